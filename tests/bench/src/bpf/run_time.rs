//! How long `lb`'s own program runs, by the kernel's statistics of BPF programs.
//!
//! They cost two readings of a clock per packet, so they are on only while they are looked at.

use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};
use lb_lab::{Lab, program};
use serde_json::Value;

/// Turns the statistics on, for all programs, until the file is closed.
///
/// # Errors
///
/// The kernel has none (before 5.8), or we may not.
pub fn turn_on() -> Result<OwnedFd> {
    enable_stats(Stats::RunTime).context("cannot turn on the statistics of BPF programs (BPF_ENABLE_STATS)")
}

/// The program that is attached on the balancer's host.
pub struct Program {
    id: u32,
}

/// What it did while the statistics were on.
#[derive(Clone, Copy, Debug)]
pub struct RunTime {
    pub time: Duration,
    pub packets: u64,
}

impl Program {
    /// The one on the balancer's first interface; it is the same on all.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn of(lab: &Lab) -> Result<Self> {
        let device = lab
            .balancer_devices()
            .first()
            .context("the balancer has no interface")?;
        let mut ip = lab.balancer.netns().command(program::ip()?)?;
        let text = program::output(ip.args(["-json", "link", "show", "dev", device]))?;
        let shown: Value = serde_json::from_str(&text).context("`ip -json` did not write JSON")?;
        let id = shown[0]["xdp"]["prog"]["id"].as_u64();
        let id = id.with_context(|| format!("{device} has no XDP program"))?;
        Ok(Self { id: id as u32 })
    }

    /// What it did so far.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn read(&self) -> Result<RunTime> {
        // Other programs come and go meanwhile.
        let mut programs = loaded_programs().flatten();
        let program = programs.find(|program| program.id() == self.id);
        let program = program.with_context(|| format!("the BPF program {} is gone", self.id))?;
        Ok(RunTime {
            time: program.run_time(),
            packets: program.run_count(),
        })
    }
}

impl RunTime {
    /// What it did since.
    pub fn since(self, before: Self) -> Self {
        Self {
            time: self.time - before.time,
            packets: self.packets - before.packets,
        }
    }
}
