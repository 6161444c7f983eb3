//! Finding programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Looks for a program on PATH, and where Debian keeps what an administrator runs.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let admin = [Path::new("/usr/sbin"), Path::new("/sbin")];
    std::env::split_paths(&path)
        .chain(admin.map(Path::to_path_buf))
        .map(|dir| dir.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

/// The `ip` of iproute2.
pub fn ip() -> Result<PathBuf> {
    find("ip").context("there is no `ip` here; install the package iproute2")
}

/// The `lb` that is looked at: the one that `LB_BIN` names, or the one that cargo built beside this program.
pub fn lb() -> Result<PathBuf> {
    match std::env::var_os("LB_BIN") {
        Some(lb) => Ok(PathBuf::from(lb)),
        None => built("lb"),
    }
}

/// A program that cargo built beside this one, which may be a test in `deps/`.
pub fn built(name: &str) -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    me.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(name))
        .find(|file| is_executable(file))
        .with_context(|| format!("`{name}` is not built; run `cargo build` first"))
}

/// Runs `command` and returns what it wrote to standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot run `{shown}`"))?;
    ensure!(
        output.status.success(),
        "`{shown}` failed: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` did not write UTF-8"))
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
