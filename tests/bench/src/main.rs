//! Benchmarks of `lb`, side by side with what it is compared with.
//!
//! # Layout
//!
//! - [`report`]: figures, tables and charts, and what is written of them
//! - [`measure`]: time, rounds, and what is made of samples
//! - [`bpf`]: the benchmark's own BPF programs
//! - [`packet`]: one packet through the program, many times
//!
//! Everything is measured in one run, interleaved, and quoted as a ratio: on a shared machine absolute times say little.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};

mod bpf;
mod measure;
mod packet;
mod report;

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
}

/// What every benchmark takes.
#[derive(Args, Clone)]
struct Common {
    /// Short: shows that it runs, its figures mean nothing.
    #[arg(long, conflicts_with = "quick")]
    smoke: bool,
    /// Fewer rounds.
    #[arg(long)]
    quick: bool,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Common {
    fn extent(&self) -> Extent {
        match (self.smoke, self.quick) {
            (true, _) => Extent::Smoke,
            (_, true) => Extent::Quick,
            _ => Extent::Whole,
        }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: What) -> Result<()> {
    match what {
        What::Packet { common, packet } => {
            let section = packet::run(common.extent(), &packet)?;
            say(&common, section)
        }
    }
}

fn say(common: &Common, section: Section) -> Result<()> {
    println!("{section}");
    if let Some(path) = &common.json {
        let text = serde_json::to_string_pretty(&section)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
