//! Says where the objects of the benchmark's programs are, which `lb-userspace`'s build script has built, and what compiles the
//! benchmark.

use std::process::Command;

fn main() {
    let objects = variable("DEP_LB_EBPF_OBJECTS");
    println!("cargo::rustc-env=LB_BENCH_OBJECTS={objects}");
    println!("cargo::rustc-env=LB_BENCH_RUSTC={}", rustc());
    println!("cargo::rustc-env=LB_BENCH_PROFILE={}", variable("PROFILE"));
    println!("cargo::rerun-if-changed=build.rs");
}

/// `rustc 1.95.0 (59807616e 2026-04-14)`
fn rustc() -> String {
    let output = Command::new(variable("RUSTC")).arg("--version").output();
    let output = output.expect("cargo has just run this rustc");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for this build script"))
}
