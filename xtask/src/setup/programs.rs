//! Debian's packages of the programs that the net tests and the benchmark use: servers, clients, what `lb` is compared with,
//! tools that look from outside, and what virtual machines and the fuzz targets need.
//!
//! They are wanted, not needed: what misses its program says so and is skipped.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;

/// A program, or the file of something that is none, and the package that brings it.
type Wanted = (&'static str, &'static str);

const NET_TESTS: &[Wanted] = &[
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("nginx", "nginx-light"),
    ("curl", "curl"),
    ("ab", "apache2-utils"),
    ("tcpdump", "tcpdump"),
    ("tshark", "tshark"),
    ("bpftool", "bpftool"),
    ("unbound", "unbound"),
    ("dig", "bind9-dnsutils"),
];

const BENCH: &[Wanted] = &[
    ("ip", "iproute2"),
    ("nginx", "nginx-light"),
    ("/usr/lib/nginx/modules/ngx_stream_module.so", "libnginx-mod-stream"),
    ("haproxy", "haproxy"),
    ("nft", "nftables"),
    ("xdp-trafficgen", "xdp-tools"),
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
];

/// What runs virtual machines, and what their file systems are made of.
const GUESTS: &[Wanted] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("modprobe", "kmod"),
    ("xz", "xz-utils"),
    ("strip", "binutils"),
    ("ip", "iproute2"),
];

/// By what IPVS is told what to do, which virtual machines compare lb with.
const GUESTS_THAT_MEASURE: &[Wanted] = &[("ipvsadm", "ipvsadm")];

/// What compiles libFuzzer.
const FUZZ: &[Wanted] = &[("c++", "g++")];

/// While this file stands, a package that is installed does not start its service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what the net tests use and is missing, on a Debian and as root; elsewhere says what is missing.
pub fn for_net_tests() -> Result<()> {
    ensure("programs of the net tests", NET_TESTS)
}

/// The same for the benchmark.
pub fn for_bench() -> Result<()> {
    ensure("programs of the benchmark", BENCH)
}

/// The same for the fuzz targets.
pub fn for_fuzz() -> Result<()> {
    ensure("programs of the fuzz targets", FUZZ)
}

/// The same for virtual machines; the packages that are not here after that.
pub fn for_guests() -> Result<Vec<&'static str>> {
    ensure("programs of virtual machines", GUESTS)?;
    Ok(missing(GUESTS))
}

/// As [`for_guests`], and what is measured beside lb.
pub fn for_guests_that_measure() -> Result<Vec<&'static str>> {
    let wanted = [GUESTS, GUESTS_THAT_MEASURE].concat();
    ensure("programs of virtual machines", &wanted)?;
    Ok(missing(&wanted))
}

fn ensure(what: &str, wanted: &[Wanted]) -> Result<()> {
    let missing = missing(wanted);
    if missing.is_empty() {
        shell::already(what);
        return Ok(());
    }
    if !shell::is_root() || !shell::has_program("apt-get") {
        eprintln!("==> {what}: not here: {}", missing.join(" "));
        return Ok(());
    }
    let step = format!("{what}: installing {}", missing.join(" "));
    shell::step(&step, || install(&missing))?;
    let missing = self::missing(wanted);
    if !missing.is_empty() {
        eprintln!(
            "    still missing, and what needs them is skipped: {}",
            missing.join(" ")
        );
    }
    Ok(())
}

/// The packages of what is not here.
fn missing(wanted: &[Wanted]) -> Vec<&'static str> {
    let is_here = |name: &str| match name.starts_with('/') {
        true => Path::new(name).exists(),
        false => shell::has_program(name),
    };
    let absent = wanted.iter().filter(|(name, _)| !is_here(name));
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
