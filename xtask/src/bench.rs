//! `cargo xtask bench`: builds `lb` and the benchmark for release, and runs the benchmark.

use std::convert::Infallible;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Error, Result, ensure};

use crate::shell::{self, cargo};
use crate::{setup, workspace};

/// What needs no programs but our own, or measures nothing.
const ALONE: [&str; 6] = ["packet", "table", "diff", "help", "-h", "--help"];

/// Becomes the benchmark with these arguments: its exit status is ours, and a signal is for it. Returns only when that fails.
pub fn run(arguments: &[&str]) -> Result<Infallible> {
    setup::run()?;
    if !arguments.first().is_some_and(|what| ALONE.contains(what)) {
        setup::bench_programs()?;
    }
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
    let mut command = Command::new(&bench);
    let error = command.args(arguments).env("LB_BIN", release.join("lb")).exec();
    Err(Error::new(error)).with_context(|| format!("cannot run {}", bench.display()))
}
