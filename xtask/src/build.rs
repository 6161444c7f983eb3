//! `cargo xtask build`: everything that runs on the host, with the BPF objects inside `lb`.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::shell::{self, cargo};
use crate::{setup, workspace};

/// Builds and says where `lb` is.
pub fn run(release: bool) -> Result<()> {
    let lb = if release { release_lb()? } else { dev()? };
    println!("{}", lb.display());
    Ok(())
}

/// Builds the default members with the dev profile, which serves the demo, the tests and daily work, and returns where
/// `lb` is.
pub fn dev() -> Result<PathBuf> {
    setup::for_build()?;
    shell::step("building", || shell::run(cargo().arg("build")))?;
    binary("debug")
}

/// Builds the one file to ship, and returns where it is.
fn release_lb() -> Result<PathBuf> {
    setup::for_build()?;
    let arguments = ["build", "--release", "--package", "lb-userspace"];
    shell::step("building for release", || shell::run(cargo().args(arguments)))?;
    binary("release")
}

fn binary(profile: &str) -> Result<PathBuf> {
    let lb = workspace::target()?.join(profile).join("lb");
    ensure!(
        lb.is_file(),
        "cargo built no {}; is build.target set in a cargo configuration?",
        lb.display()
    );
    Ok(lb)
}
