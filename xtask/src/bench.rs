//! `cargo xtask bench`: builds `lb` and the benchmark for release, and runs the benchmark.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::shell::{self, cargo};
use crate::{setup, workspace};

/// Runs the benchmark with these arguments.
pub fn run(arguments: &[&str]) -> Result<()> {
    setup::for_running()?;
    let build = [
        "build",
        "--release",
        "--package",
        "lb-userspace",
        "--package",
        "lb-bench",
        "--package",
        "lb-lab",
    ];
    shell::step("building for release", || shell::run(cargo().args(build)))?;
    let release = workspace::target()?.join("release");
    let bench = release.join("lb-bench");
    ensure!(bench.is_file(), "cargo built no {}", bench.display());
    shell::run(Command::new(bench).args(arguments).env("LB_BIN", release.join("lb")))
}
