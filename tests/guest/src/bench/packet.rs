//! The packet benchmark, `lb-bench packet`, whose figures are by the CPU time of a thread.

use anyhow::{Context as _, Result, ensure};
use lb_guest::said::Said;
use serde_json::Value;

use crate::report::Report;
use crate::work;

/// Flows, of which the benchmark would otherwise take a million too, and more memory than a guest has.
const FLOWS: &str = "1,1024";

/// Measures so many rounds, and says each figure that is a time.
pub fn measure(rounds: u32, report: &mut Report) -> Result<()> {
    const FIGURES: &str = "/tmp/packet.json";
    let mut bench = work::program("lb-bench");
    bench.args(["packet", "--quick", "--flows", FLOWS, "--json", FIGURES]);
    bench.args(["--rounds", &rounds.to_string()]);
    let output = bench.output().context("running lb-bench")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "lb-bench packet: {}: {said}", output.status);
    let section: Value = serde_json::from_str(&std::fs::read_to_string(FIGURES)?)?;
    let figures = section["figures"].as_array().context("lb-bench wrote no figures")?;
    for figure in figures.iter().filter(|figure| figure["unit"] == "ns") {
        let (name, value) = (figure["name"].as_str(), figure["median"].as_f64());
        let (name, value) = name.zip(value).context("a figure has a name and a median")?;
        let name = name.to_owned();
        report.say(&Said::Figure { name, value });
    }
    Ok(())
}
