//! `cargo xtask setup`: gets a machine ready.
//!
//! Each part is a function of its own, idempotent and quick when there is nothing to do, so that every other verb calls
//! what it needs of it.

use anyhow::Result;

mod bpf_linker;
mod bpffs;
pub mod debian;
mod programs;
mod rust_src;
mod toolchain;

pub use bpffs::mount_bpffs;
pub use programs::{
    for_bench as bench_programs, for_fuzz as fuzz_programs, for_guests as guest_programs,
    for_guests_that_measure as measuring_guest_programs, for_net_tests as net_test_programs,
};
pub use rust_src::library_outside_sysroot;
pub use toolchain::Toolchain;

/// Everything that building and running need.
pub fn run() -> Result<()> {
    for_build()?;
    for_running()
}

/// What a build needs: the source of `core` and a linker for BPF. No root.
pub fn for_build() -> Result<Toolchain> {
    let toolchain = Toolchain::active()?;
    rust_src::ensure(&toolchain)?;
    bpf_linker::ensure(&toolchain)?;
    Ok(toolchain)
}

/// What running needs: the bpffs, where programs, links and maps are pinned. Without root nothing is run.
pub fn for_running() -> Result<()> {
    if crate::shell::is_root() {
        mount_bpffs()?;
    }
    Ok(())
}
