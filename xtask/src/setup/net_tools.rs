//! Debian's packages of the programs that the net tests use: servers, clients, and tools that look from outside.
//!
//! They are wanted, not needed: a test that misses its program says so and is skipped.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;

/// A program, and the package that brings it.
const TOOLS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("nginx", "nginx-light"),
    ("curl", "curl"),
    ("ab", "apache2-utils"),
    ("tcpdump", "tcpdump"),
    ("tshark", "tshark"),
    ("bpftool", "bpftool"),
];

/// While this file stands, a package that is installed does not start its service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing, on a Debian and as root; elsewhere says what is missing.
pub fn ensure() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        shell::already("programs of the net tests");
        return Ok(());
    }
    if !shell::is_root() || !shell::has_program("apt-get") {
        eprintln!("==> programs of the net tests: not here: {}", missing.join(" "));
        return Ok(());
    }
    let what = format!("programs of the net tests: installing {}", missing.join(" "));
    shell::step(&what, || install(&missing))?;
    let missing = self::missing();
    if !missing.is_empty() {
        eprintln!(
            "    still missing, and what needs them is skipped: {}",
            missing.join(" ")
        );
    }
    Ok(())
}

/// The packages of the programs that are not here.
fn missing() -> Vec<&'static str> {
    let absent = TOOLS.iter().filter(|(program, _)| !shell::has_program(program));
    absent.map(|(_, package)| *package).collect()
}

/// Installs all at once, or where one of them cannot be had, one by one.
fn install(packages: &[&str]) -> Result<()> {
    let _quiet = NoServices::new()?;
    if let Err(error) = shell::output(apt_get().arg("update")) {
        eprintln!("    {error:#}");
    }
    if apt_install(packages).is_ok() {
        return Ok(());
    }
    for package in packages {
        if let Err(error) = apt_install(&[package]) {
            eprintln!("    {error:#}");
        }
    }
    Ok(())
}

fn apt_install(packages: &[&str]) -> Result<String> {
    let options = ["install", "-y", "--no-install-recommends"];
    shell::output(apt_get().args(options).args(packages))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-qq").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Keeps what is being installed from starting its service; a policy that is there already stays.
struct NoServices {
    is_ours: bool,
}

impl NoServices {
    fn new() -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        if Path::new(POLICY).exists() {
            return Ok(Self { is_ours: false });
        }
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o755).open(POLICY);
        let mut file = file.with_context(|| format!("cannot write {POLICY}"))?;
        std::io::Write::write_all(&mut file, b"#!/bin/sh\nexit 101\n")?;
        Ok(Self { is_ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = std::fs::remove_file(POLICY)
        {
            eprintln!("    cannot remove {POLICY}, remove it by hand: {error}");
        }
    }
}
