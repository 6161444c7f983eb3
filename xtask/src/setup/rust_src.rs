//! The source of the standard library, of which `core` is built for the BPF target.
//!
//! The ordinary way is rustup's component. Where rustup has no network, the same source comes from Debian's package of
//! exactly this release, or from a packed copy that the caller names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Toolchain, debian};
use crate::shell::{self, program};
use crate::workspace;

/// How long rustup may take: on a machine without its network it would try for minutes.
const RUSTUP_LIMIT: Duration = Duration::from_secs(120);

/// Debian's suites that carry a newer rust-src than the stable release does.
const DEBIAN_SUITES: &[&str] = &["trixie-backports", "bookworm-backports"];

/// Makes sure that the source is there.
pub fn ensure(toolchain: &Toolchain) -> Result<()> {
    if present(toolchain).is_some() {
        shell::already("rust-src");
        return Ok(());
    }
    for (name, get) in WAYS {
        match shell::step(&format!("rust-src: by {name}"), || get(toolchain)) {
            Ok(()) if present(toolchain).is_some() => return Ok(()),
            Ok(()) => eprintln!("    done, but the source is not there"),
            Err(error) => eprintln!("    not this way: {error:#}"),
        }
    }
    bail!(
        "no source of the standard library of Rust {release}; one of these will do: \
         `rustup component add rust-src` (with network), \
         apt with Debian's rust-src {release} in reach, \
         or LB_RUST_SRC=FILE.tar.xz, a packed `library/` directory of Rust {release}",
        release = toolchain.release
    )
}

type Way = (&'static str, fn(&Toolchain) -> Result<()>);

const WAYS: &[Way] = &[
    ("rustup's component", from_rustup),
    ("Debian's package", from_debian),
    ("the file that LB_RUST_SRC names", from_packed_file),
];

/// Where the source is, if it is.
fn present(toolchain: &Toolchain) -> Option<PathBuf> {
    let places = [toolchain.library(), private_library()];
    places
        .into_iter()
        .find(|library| library.join("core/Cargo.toml").is_file())
}

/// Where the source goes when the toolchain may not be written.
fn private_library() -> PathBuf {
    workspace::tools().join("rust-src/library")
}

/// Where cargo has to be sent for the source, when it is not where cargo looks by itself.
pub fn library_outside_sysroot(toolchain: &Toolchain) -> Option<PathBuf> {
    present(toolchain).filter(|library| *library != toolchain.library())
}

fn from_rustup(toolchain: &Toolchain) -> Result<()> {
    let rustc = shell::output(&mut program("rustup", ["which", "rustc"]))?;
    ensure!(
        Path::new(rustc.trim()).starts_with(&toolchain.sysroot),
        "the active rustc is not rustup's"
    );
    let mut add = program("rustup", ["component", "add", "rust-src"]);
    shell::run_within(&mut add, RUSTUP_LIMIT)
}

/// Downloads Debian's package with lists of our own, so that the system's apt configuration stays as it is.
fn from_debian(toolchain: &Toolchain) -> Result<()> {
    let dir = workspace::tools().join("apt");
    let mut last = anyhow::anyhow!("no suite to look in");
    for suite in DEBIAN_SUITES {
        match download_from_suite(&dir, suite, &toolchain.release) {
            Ok(package) => {
                let member = format!("./usr/src/rustc-{}/library", toolchain.release);
                unpack(toolchain, &package, |into| {
                    debian::unpack(&package, into, &["--strip-components=4", &member])
                })?;
                std::fs::remove_dir_all(&dir)?;
                return Ok(());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn download_from_suite(dir: &Path, suite: &str, release: &str) -> Result<PathBuf> {
    let apt = debian::Apt::new(dir, &[suite])?;
    apt.update()?;
    let listed = apt.madison("rust-src")?;
    let version =
        exact_version(&listed, release).with_context(|| format!("Debian's {suite} has no rust-src {release}"))?;
    apt.download(&format!("rust-src={version}"))
}

/// The version of the package that is exactly this release of Rust: `1.95.0+dfsg1-2` for `1.95.0`.
fn exact_version<'a>(madison: &'a str, release: &str) -> Option<&'a str> {
    let prefix = format!("{release}+");
    madison
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
        .find(|version| version.starts_with(&prefix))
}

fn from_packed_file(toolchain: &Toolchain) -> Result<()> {
    let file = std::env::var_os("LB_RUST_SRC").context("LB_RUST_SRC is not set")?;
    let file = std::path::absolute(PathBuf::from(file))?;
    ensure!(file.is_file(), "{} is not a file", file.display());
    unpack(toolchain, &file, |into| {
        shell::run(
            Command::new("tar")
                .args(["-x", "--no-same-owner", "-f"])
                .arg(&file)
                .arg("-C")
                .arg(into),
        )
    })
}

/// Unpacks beside the place where `library/` belongs and moves it there whole, so that an interrupted run leaves no
/// half of it.
fn unpack(toolchain: &Toolchain, source: &Path, fill: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let library = if writable(&toolchain.library()) {
        toolchain.library()
    } else {
        private_library()
    };
    let parent = library.parent().context("library/ has no parent")?;
    std::fs::create_dir_all(parent)?;
    let scratch = parent.join(format!(".unpacking-{}", std::process::id()));
    std::fs::create_dir(&scratch)?;
    let moved = fill(&scratch).and_then(|()| {
        std::fs::rename(scratch.join("library"), &library)
            .with_context(|| format!("{} holds no library/", source.display()))
    });
    std::fs::remove_dir_all(&scratch)?;
    moved?;
    eprintln!("    the source is in {}", library.display());
    Ok(())
}

/// Whether `library` can be created: its nearest parent that exists is ours to write.
fn writable(library: &Path) -> bool {
    library
        .ancestors()
        .skip(1)
        .find(|dir| dir.exists())
        .is_some_and(|dir| rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_release_will_do() {
        let listed = "  rust-src | 1.96.0+dfsg1-1 | mirror trixie-backports/main\n  \
                      rust-src | 1.95.0+dfsg1-2~bpo13+1 | mirror trixie-backports/main\n";
        assert_eq!(exact_version(listed, "1.95.0"), Some("1.95.0+dfsg1-2~bpo13+1"));
        assert_eq!(exact_version(listed, "1.95"), None);
        assert_eq!(exact_version(listed, "1.94.0"), None);
    }
}
