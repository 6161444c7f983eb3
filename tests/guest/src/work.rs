//! The steps of a plan.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use lb_guest::places;
use lb_guest::plan::{self, Step};
use lb_guest::said::Said;
use lb_lab::amount;
use rustix::process::{Pid, WaitOptions, WaitStatus};

use crate::bench;
use crate::report::Report;

/// A capture file without packets: the header of the format, for Ethernet.
const EMPTY_CAPTURE: [u8; 24] = [
    0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
];

/// Takes a step; false when a test failed. What a kernel should be able to load, the host knows.
pub fn step(step: &Step, report: &mut Report) -> Result<bool> {
    match step {
        Step::Load { mode } => load(mode, report),
        Step::Forward { packets, runs } => bench::forward(*packets, *runs, report).map(|()| true),
        Step::Packet { rounds } => bench::packet(*rounds, report).map(|()| true),
        Step::Test { binary, names } => test(binary, names, report),
    }
}

/// `lb replay` is the quickest way to load the real program.
fn load(mode: &str, report: &mut Report) -> Result<bool> {
    const CONFIG: &str = "/tmp/load.toml";
    const CAPTURE: &str = "/tmp/load.pcap";
    std::fs::write(CONFIG, config(mode))?;
    std::fs::write(CAPTURE, EMPTY_CAPTURE)?;
    let mut replay = program("lb");
    replay.args(["replay", CONFIG, CAPTURE]);
    let output = replay.output().context("running lb replay")?;
    let mode = mode.to_owned();
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    report.say(&match output.status.success() {
        true => Said::Loads { mode },
        false => Said::Refuses { mode, why },
    });
    Ok(true)
}

/// A small data plane with one service.
fn config(mode: &str) -> String {
    format!(
        "version = 1

[node]
source = {{ ipv4 = \"10.0.0.1\" }}
limits = {{ services = 16, backends = 16, slots = 1021, flows = 1024, sources = 1 }}

[[service]]
name = \"web\"
address = \"192.0.2.10\"
port = 80
protocol = \"tcp\"
mode = \"{mode}\"
table_size = 1021
check = {{ type = \"none\" }}
backend = [{{ address = \"10.0.1.1\", port = 80 }}]
"
    )
}

fn test(binary: &str, names: &[String], report: &mut Report) -> Result<bool> {
    report.say(&Said::Tests {
        binary: binary.to_owned(),
    });
    std::fs::write(places::SKIPPED, "")?;
    let mut test = program(binary);
    test.arg("--exact").args(names);
    test.arg("--test-threads").arg(plan::threads(binary).to_string());
    // How long each took is something that libtest says only where it is told that it may be unstable.
    test.args(["-Zunstable-options", "--report-time"])
        .env("RUSTC_BOOTSTRAP", "1");
    test.env(amount::SMALL, "1");
    test.stdout(report.as_output()?);
    let child = test.spawn().with_context(|| format!("running {binary}"))?;
    let status = wait_for(&child)?;
    for line in std::fs::read_to_string(places::SKIPPED)?.lines() {
        report.say(&Said::Skipped { line: line.to_owned() });
    }
    Ok(status.exit_status() == Some(0))
}

/// A program of ours; what it complains of goes to the console.
pub fn program(name: &str) -> Command {
    let programs = Path::new(places::PROGRAMS);
    let mut command = Command::new(programs.join(name));
    command
        .env("PATH", "/bin:/sbin")
        .env("LB_BIN", programs.join("lb"))
        .env("LB_SKIP_FILE", places::SKIPPED)
        .current_dir("/tmp")
        .stdin(Stdio::null());
    command
}

/// Waits for a child of ours, and meanwhile for those whose parents have died, which the first process inherits.
fn wait_for(child: &Child) -> Result<WaitStatus> {
    let child = Pid::from_child(child);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == child => return Ok(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for a program"),
        }
    }
}
