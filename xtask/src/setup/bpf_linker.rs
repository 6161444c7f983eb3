//! The linker for BPF objects, built against rustc's own LLVM, so that it can read rustc's bitcode by construction.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Toolchain;
use super::toolchain::file_name;
use crate::shell;
use crate::workspace;

const VERSION: &str = "0.13.0";

/// Makes sure that `<tools>/bin/bpf-linker` is there, runs, and was built for this toolchain.
pub fn ensure(toolchain: &Toolchain) -> Result<()> {
    let tools = workspace::tools();
    let linker = tools.join("bin/bpf-linker");
    let stamp = tools.join("bin/bpf-linker.built-for");
    let wanted = format!("bpf-linker {VERSION}\n{}", toolchain.verbose_version);
    if std::fs::read_to_string(&stamp).is_ok_and(|built_for| built_for == wanted) && runs(&linker) {
        shell::already("bpf-linker");
        return Ok(());
    }
    shell::step(&format!("bpf-linker {VERSION}: building it"), || {
        let prefix = llvm_prefix(&tools, toolchain)?;
        install(&tools, &prefix, toolchain)?;
        std::fs::write(&stamp, wanted)?;
        Ok(())
    })
}

/// Running it also proves that the LLVM it was linked to is still there.
fn runs(linker: &Path) -> bool {
    Command::new(linker)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// A directory that looks like an installed LLVM to bpf-linker's build script.
///
/// It ends up in the rpath of the binary and has to stay.
fn llvm_prefix(tools: &Path, toolchain: &Toolchain) -> Result<PathBuf> {
    let Some(llvm) = toolchain.shared_llvm() else {
        return distribution_llvm(toolchain);
    };
    let prefix = tools.join("llvm");
    let lib = prefix.join("lib");
    if lib.exists() {
        std::fs::remove_dir_all(&lib)?;
    }
    std::fs::create_dir_all(&lib)?;
    for name in [file_name(&llvm).as_str(), "libLLVM.so"] {
        std::os::unix::fs::symlink(&llvm, lib.join(name))?;
    }
    Ok(prefix)
}

/// A distribution's rustc has no LLVM of its own, but uses the distribution's.
fn distribution_llvm(toolchain: &Toolchain) -> Result<PathBuf> {
    let prefix = PathBuf::from(format!("/usr/lib/llvm-{}", toolchain.llvm));
    prefix
        .join("include/llvm-c")
        .is_dir()
        .then_some(prefix)
        .with_context(|| {
            format!(
                "{} has no libLLVM of its own; install the package llvm-{}-dev, or use rustup's toolchain",
                toolchain.sysroot.display(),
                toolchain.llvm
            )
        })
}

fn install(tools: &Path, prefix: &Path, toolchain: &Toolchain) -> Result<()> {
    let feature = format!("llvm-{}", toolchain.llvm);
    shell::run(
        shell::cargo()
            .args(["install", "--quiet", "bpf-linker", "--version", VERSION])
            .args(["--no-default-features", "--features", &feature])
            .args(["--locked", "--debug", "--force", "--root"])
            .arg(tools)
            .env("LLVM_PREFIX", prefix)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS"),
    )
}
