//! What the active Rust toolchain is, by asking it: its name says nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;

/// The toolchain that cargo uses here.
pub struct Toolchain {
    /// `rustc --print sysroot`
    pub sysroot: PathBuf,
    /// The whole of `rustc -vV`, to be compared with.
    pub verbose_version: String,
    /// `x86_64-unknown-linux-gnu`
    pub host: String,
    /// `1.95.0`
    pub release: String,
    /// `22`, the major version of rustc's LLVM.
    pub llvm: String,
}

impl Toolchain {
    /// Asks rustc.
    pub fn active() -> Result<Self> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let sysroot = shell::output(Command::new(&rustc).args(["--print", "sysroot"]))?;
        let verbose_version = shell::output(Command::new(&rustc).arg("-vV"))?;
        let release = field(&verbose_version, "release")
            .context("`rustc -vV` names no release")?
            .to_owned();
        let host = field(&verbose_version, "host").context("`rustc -vV` names no host")?;
        let host = host.to_owned();
        let llvm = field(&verbose_version, "LLVM version")
            .and_then(|version| version.split('.').next())
            .context("`rustc -vV` names no LLVM version; a rustc with the LLVM backend is needed")?
            .to_owned();
        Ok(Self {
            sysroot: PathBuf::from(sysroot.trim()),
            verbose_version,
            host,
            release,
            llvm,
        })
    }

    /// Where rustup would put the source of the standard library.
    pub fn library(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust/library")
    }

    /// rustc's own LLVM, where the toolchain has it as a shared library (rustup's do).
    pub fn shared_llvm(&self) -> Option<PathBuf> {
        let prefix = format!("libLLVM.so.{}.", self.llvm);
        let entries = std::fs::read_dir(self.sysroot.join("lib")).ok()?;
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| file_name(path).starts_with(&prefix))
    }
}

/// The last part of a path, as text.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The value of a `key: value` line.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_verbose_version() {
        let text = "rustc 1.95.0 (59807616e 2026-04-14)\nrelease: 1.95.0\nLLVM version: 22.1.2\n";
        assert_eq!(field(text, "release"), Some("1.95.0"));
        assert_eq!(field(text, "LLVM version"), Some("22.1.2"));
        assert_eq!(field(text, "host"), None);
    }
}
