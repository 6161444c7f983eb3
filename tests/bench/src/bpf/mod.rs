//! The benchmark's own BPF programs. With `edge::dataplane` of `lb-userspace` and the
//! adapters of other balancers the only place that touches BPF.
//!
//! # Layout
//!
//! - [`feed`]: packets for a program under test
//! - [`floors`]: the smallest programs
//! - [`run_time`]: how long `lb`'s own program runs, by the kernel's statistics
//! - [`traffic`]: packets that are really sent, and what arrives

pub mod feed;
pub mod floors;
pub mod run_time;
pub mod traffic;

use anyhow::{Context as _, Result, anyhow};
use aya::Ebpf;
pub use aya::programs::ProgramFd;
use aya::programs::Xdp;

/// The XDP program of that name, loaded.
pub fn load<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("no program {name}"))?;
    let program: &mut Xdp = program.try_into().with_context(|| format!("program {name}"))?;
    if program.fd().is_err() {
        program.load().with_context(|| format!("the kernel refuses {name}"))?;
    }
    Ok(program)
}
