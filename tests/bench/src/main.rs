//! Benchmarks of `lb`, side by side with what it is compared with.
//!
//! # Layout
//!
//! - [`all`]: every benchmark there is
//! - [`diff`]: what has changed between two reports
//! - [`report`]: figures, tables and charts, and what is written of them
//! - [`measure`]: time, rounds, and what is made of samples
//! - [`bpf`]: the benchmark's own BPF programs
//! - [`packet`]: one packet through the program, many times
//! - [`forward`]: packets through a balancer and out again
//! - [`connections`]: real requests to real servers, through each balancer and through none
//! - [`table`]: Maglev: its cost, its evenness, what it moves
//!
//! Everything is measured in one run, interleaved, and quoted as a ratio: on a shared machine absolute times say little.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use lb_lab::interrupt::Interrupted;
use serde::{Deserialize, Serialize};

mod all;
mod bpf;
mod connections;
mod diff;
mod forward;
mod measure;
mod packet;
mod report;
mod table;

use report::Section;

/// Measures lb, side by side with what it is compared with.
#[derive(Parser)]
#[command(name = "cargo xtask bench", version)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Nanoseconds per packet: the real program with real maps, and the smallest programs that could do the same.
    Packet {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        packet: packet::Arguments,
    },
    /// Requests of a real client to real servers: through lb in each mode, HAProxy, nginx, nftables, and directly.
    Connections {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        connections: connections::Arguments,
    },
    /// Packets per second through veths and network namespaces: lb, the smallest programs, Linux and nftables.
    Forward {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        forward: forward::Arguments,
    },
    /// Maglev: time to build a table and to bring a change into the maps, evenness and moves beside other hashes, memory.
    Table {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        table: table::Arguments,
    },
    /// Every benchmark, and a report of it all: JSON, Markdown and charts. Takes up to 15 minutes.
    ///
    /// LB_BENCH_AGAINST: as --against of the packet benchmark.
    All {
        #[command(flatten)]
        length: Length,
        /// Write the report into this directory, which is empty or not there [default: target/bench/TIME].
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Say what got worse from one report to another, beyond noise; exit with 1 if something did.
    ///
    /// A figure has changed when its medians differ by more than 4 standard errors of their difference, which come from both spreads,
    /// and by more than 3 %. Where both reports give it as a multiple of the floor, the multiple is compared: the machine's speed is
    /// not in it.
    ///
    /// Exit status: 0 nothing got worse, 1 something did, 2 wrong usage or a file that cannot be read.
    Diff {
        /// `report.json`, or what `--json` has written.
        before: PathBuf,
        after: PathBuf,
    },
}

/// What every benchmark takes.
#[derive(Args, Clone)]
struct Common {
    #[command(flatten)]
    length: Length,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How long it is to take.
#[derive(Args, Clone)]
struct Length {
    /// Short: shows that it runs, its figures mean nothing.
    #[arg(long, conflicts_with = "quick")]
    smoke: bool,
    /// Fewer rounds.
    #[arg(long)]
    quick: bool,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Enough to see that it runs.
    Smoke,
    Quick,
    Whole,
}

impl Extent {
    /// One of three.
    pub fn choose<T>(self, smoke: T, quick: T, whole: T) -> T {
        match self {
            Self::Smoke => smoke,
            Self::Quick => quick,
            Self::Whole => whole,
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.choose("smoke", "quick", "whole"))
    }
}

impl Length {
    fn extent(&self) -> Extent {
        match (self.smoke, self.quick) {
            (true, _) => Extent::Smoke,
            (_, true) => Extent::Quick,
            _ => Extent::Whole,
        }
    }
}

impl Common {
    fn extent(&self) -> Extent {
        self.length.extent()
    }
}

fn main() -> ExitCode {
    let what = Cli::parse().what;
    let on_error = match what {
        What::Diff { .. } => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    };
    match run(what) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            // A shell expects 128 and the signal's number of what a signal has ended.
            let by = error.downcast_ref().map(|Interrupted(signal)| signal + 128);
            by.and_then(|code| u8::try_from(code).ok())
                .map_or(on_error, ExitCode::from)
        }
    }
}

fn run(what: What) -> Result<ExitCode> {
    match what {
        What::Packet { common, packet } => {
            let section = packet::run(common.extent(), &packet)?;
            say(&common, section)?;
        }
        What::Forward { common, forward } => {
            let section = forward::run(common.extent(), &forward)?;
            say(&common, section)?;
        }
        What::Table { common, table } => {
            let section = table::run(common.extent(), &table)?;
            say(&common, section)?;
        }
        What::All { length, out } => all::run(length.extent(), out)?,
        What::Diff { before, after } => {
            let is_worse = diff::run(&before, &after)?;
            return Ok(ExitCode::from(u8::from(is_worse)));
        }
        What::Connections { common, connections } => {
            let section = connections::run(common.extent(), &connections)?;
            say(&common, section)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say(common: &Common, section: Section) -> Result<()> {
    println!("{section}");
    if let Some(path) = &common.json {
        let text = serde_json::to_string_pretty(&section)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
