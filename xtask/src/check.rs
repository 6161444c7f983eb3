//! `cargo xtask check`: everything that can be said about the code without running it.
//!
//! All parts run, and all that is wrong is said, not the first alone.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::setup::Toolchain;
use crate::shell::{self, cargo};
use crate::{setup, tidy, workspace};

/// How `lb-userspace/build.rs` compiles the programs; clippy has to see the same code.
const BPF_RUSTFLAGS: &[&str] = &[
    "-Ctarget-cpu=v3",
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    "--cfg=bpf_target_arch=\"x86_64\"",
];

/// Runs every part; false when any finds something.
pub fn run() -> Result<bool> {
    let toolchain = setup::for_build()?;
    let parts: [(&str, &dyn Fn() -> Result<()>); 6] = [
        ("format", &format),
        ("clippy of the host's crates", &clippy_host),
        ("clippy of the BPF programs", &|| clippy_bpf(&toolchain)),
        ("documentation", &documentation),
        ("house rules", &house_rules),
        ("BPF objects", &bpf_objects),
    ];
    let mut failed = Vec::new();
    for (name, part) in parts {
        if let Err(error) = shell::step(name, part) {
            eprintln!("    {error:#}");
            failed.push(name);
        }
    }
    match failed.is_empty() {
        true => println!("check: all in order"),
        false => println!("check: not in order: {}", failed.join(", ")),
    }
    Ok(failed.is_empty())
}

fn format() -> Result<()> {
    shell::run(cargo().args(["fmt", "--all", "--check"]))
}

fn clippy_host() -> Result<()> {
    let mut clippy = cargo();
    clippy.args([
        "clippy",
        "--quiet",
        "--all-targets",
        "--workspace",
        "--exclude",
        "lb-ebpf",
    ]);
    shell::run(clippy.args(["--", "-Dwarnings"]))
}

fn clippy_bpf(toolchain: &Toolchain) -> Result<()> {
    let mut clippy = cargo();
    clippy
        .args(["clippy", "--quiet", "--release", "--target"])
        .args(["bpfel-unknown-none", "-Zbuild-std=core", "--target-dir"])
        .arg(workspace::target()?.join("bpf-clippy"))
        .args(["--", "-Dwarnings"])
        .current_dir(workspace::root().join("lb-ebpf"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", BPF_RUSTFLAGS.join("\x1f"));
    if let Some(library) = setup::library_outside_sysroot(toolchain) {
        clippy.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    }
    shell::run(&mut clippy)
}

/// For those who work on it: with what is private, to which a module's layout may link.
fn documentation() -> Result<()> {
    let mut doc = cargo();
    doc.args(["doc", "--quiet", "--no-deps", "--document-private-items"]);
    doc.env("RUSTDOCFLAGS", "-Dwarnings -Arustdoc::private_intra_doc_links");
    shell::run(&mut doc)
}

fn house_rules() -> Result<()> {
    let report = tidy::look(&workspace::root())?;
    for question in &report.questions {
        eprintln!("    question: {question}");
    }
    none_of(&report.findings)
}

fn bpf_objects() -> Result<()> {
    none_of(&tidy::objects::look(&objects_dir()?)?)
}

fn none_of(findings: &[tidy::Finding]) -> Result<()> {
    for finding in findings {
        eprintln!("    {finding}");
    }
    ensure!(findings.is_empty(), "{} against the rules", findings.len());
    Ok(())
}

/// Where the build script of `lb-userspace` put the objects that it embeds, as cargo tells it.
fn objects_dir() -> Result<std::path::PathBuf> {
    let arguments = ["clippy", "--quiet", "--package", "lb-userspace"];
    let mut clippy: Command = cargo();
    clippy.args(arguments).arg("--message-format=json");
    let messages = shell::output(&mut clippy)?;
    messages
        .lines()
        .filter(|line| line.contains("build-script-executed") && line.contains("lb-userspace"))
        .find_map(|line| workspace::json_string(line, "out_dir"))
        .map(Into::into)
        .context("lb-userspace ran no build script, so there are no BPF objects to look at")
}
