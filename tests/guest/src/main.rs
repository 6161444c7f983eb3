//! The guest itself: boots, carries out its plan, and ends the machine with a verdict.
//!
//! # Layout
//!
//! - [`boot`]: file systems, modules, and the end of the machine
//! - [`report`]: the port by which the host hears of it
//! - [`work`]: the steps of a plan; [`bench`]: those that measure

mod bench;
mod boot;
mod report;
mod work;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use lb_guest::said::Said;
use lb_guest::verdict::Verdict;
use lb_guest::{places, plan};

use report::Report;

fn main() -> ExitCode {
    if !boot::is_guest() {
        eprintln!("lb-guest is the first process of a virtual machine; see `cargo xtask vm`");
        return ExitCode::from(2);
    }
    let verdict = boot::mount().and_then(|()| Report::open()).map(|mut report| {
        carry_out(&mut report).unwrap_or_else(|error| {
            let why = format!("{error:#}");
            report.say(&Said::Broken { why });
            Verdict::Broken
        })
    });
    boot::end(verdict.unwrap_or_else(|error| {
        // Nobody is there to hear of it but whoever reads the console.
        eprintln!("lb-guest: {error:#}");
        Verdict::Broken
    }))
}

fn carry_out(report: &mut Report) -> Result<Verdict> {
    report.say(&Said::Booted {
        release: boot::kernel_release(),
        after_s: boot::uptime_s()?,
    });
    boot::load_modules()?;
    boot::raise_loopback()?;
    let text = std::fs::read_to_string(places::PLAN).context("reading the plan")?;
    let mut is_good = true;
    for step in plan::from_text(&text)? {
        is_good &= work::step(&step, report)?;
    }
    Ok(if is_good { Verdict::Good } else { Verdict::Bad })
}
