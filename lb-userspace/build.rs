//! Builds the programs of `lb-ebpf` for the BPF target and leaves the objects in `OUT_DIR`, to be embedded: those of `lb` here,
//! those of the benchmark in its own crate, which learns from `DEP_LB_EBPF_OBJECTS` where they are.
//!
//! Needs what `cargo xtask setup` provides: `bpf-linker` in `target/tools/bin` (or `$LB_TOOLS_DIR/bin`), and the source of
//! `core`, in the toolchain or in `rust-src` beside it. `RUSTC_BOOTSTRAP` lets a stable compiler build `core`; it is set for
//! that one inner build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const PROGRAMS: [&str; 7] = [
    "balancer",
    "stateless",
    "decap",
    "pass",
    "bench_feed",
    "bench_floors",
    "bench_traffic",
];
const TARGET: &str = "bpfel-unknown-none";
/// BPF instruction set: `v3` has 32-bit jumps, and compare-exchange for the objects that use it.
const CPU: &str = "v3";

fn main() {
    let workspace = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("..");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    for path in [
        "lb-ebpf/src",
        "lb-ebpf/Cargo.toml",
        "lb-common/src",
        "lb-common/Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    println!("cargo::rerun-if-env-changed=LB_TOOLS_DIR");
    let tools = env::var_os("LB_TOOLS_DIR").map_or_else(|| workspace.join("target/tools"), PathBuf::from);
    // Canonical, so that the path holds in the inner cargo's working directory too.
    let tools = fs::canonicalize(&tools).unwrap_or(tools);
    let linker = tools.join("bin/bpf-linker");
    println!("cargo::rerun-if-changed={}", linker.display());
    if !linker.exists() {
        fail(&format!("{} is missing; run: cargo xtask setup", linker.display()));
    }
    let build = target_dir(&out).join("ebpf");
    compile(&workspace, &tools, &linker, &build);
    println!("cargo::metadata=objects={}", out.display());
    for program in PROGRAMS {
        let object = build.join(TARGET).join("release").join(program);
        fs::copy(&object, out.join(program)).unwrap_or_else(|error| fail(&format!("{}: {error}", object.display())));
    }
}

fn compile(workspace: &Path, tools: &Path, linker: &Path, build: &Path) {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("set by cargo");
    let flags = [
        format!("-Ctarget-cpu={CPU}"),
        "-Cdebuginfo=2".into(),
        "-Clink-arg=--btf".into(),
        format!("--cfg=bpf_target_arch=\"{arch}\""),
    ];
    let mut cargo = Command::new(env::var_os("CARGO").expect("set by cargo"));
    cargo
        .current_dir(workspace.join("lb-ebpf"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--bins",
            "--target",
            TARGET,
            "-Zbuild-std=core",
            "--target-dir",
        ])
        .arg(build)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker);
    for inherited in [
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "CLIPPY_ARGS",
    ] {
        cargo.env_remove(inherited);
    }
    let library = tools.join("rust-src/library");
    if library.exists() {
        cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    }
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!(
            "the programs of lb-ebpf did not build ({status}); if something is missing, run: cargo xtask setup"
        )),
        Err(error) => fail(&format!("cannot run cargo for lb-ebpf: {error}")),
    }
}

/// `target` of the outer build: `target/debug/build/lb-userspace-…/out` lies four below it.
fn target_dir(out: &Path) -> PathBuf {
    out.ancestors()
        .nth(4)
        .unwrap_or_else(|| fail("OUT_DIR is not where cargo puts it"))
        .to_path_buf()
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1)
}
