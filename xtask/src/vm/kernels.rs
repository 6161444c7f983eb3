//! Kernels as Debian builds them, downloaded once and kept unpacked below `target/vm`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::setup::debian::{self, Apt};
use crate::shell::{self, program};

/// A series of kernels, of which the newest is taken.
pub struct Series {
    /// `6.1`
    pub name: &'static str,
    /// Debian's suites in which it is found.
    suites: &'static [&'static str],
    /// Whether BPF has atomic compare-exchange, which came with 5.12, and so whether there is the mode `fullnat`.
    pub has_compare_exchange: bool,
}

/// The oldest kernel that lb runs on, and those of Debian's releases after it.
pub const SERIES: [Series; 4] = [
    Series {
        name: "5.10",
        suites: &["bullseye-security"],
        has_compare_exchange: false,
    },
    Series {
        name: "6.1",
        suites: &["bookworm-security", "bookworm"],
        has_compare_exchange: true,
    },
    Series {
        name: "6.12",
        suites: &["bookworm-security", "trixie-security"],
        has_compare_exchange: true,
    },
    Series {
        name: "6.18",
        suites: &["trixie-backports"],
        has_compare_exchange: true,
    },
];

/// A kernel that is there, unpacked.
pub struct Kernel {
    pub series: &'static Series,
    /// `6.12.117+deb12-cloud-amd64`, as `uname -r` says it.
    pub release: String,
    dir: PathBuf,
}

/// What stands before and after the version in a package's name.
const NAME: (&str, &str) = ("linux-image-", "-cloud-amd64");

impl Kernel {
    pub fn image(&self) -> PathBuf {
        self.dir.join("boot").join(format!("vmlinuz-{}", self.release))
    }

    /// The files of these modules and of those that they need, in the order in which they have to be loaded. What is built in
    /// is left out.
    pub fn modules(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> = Vec::new();
        for name in names {
            let mut show = program("modprobe", ["--set-version", &self.release, "--show-depends", name]);
            let shown = shell::output(show.arg("--dirname").arg(&self.dir))?;
            for file in shown.lines().filter_map(|line| line.strip_prefix("insmod ")) {
                let file = PathBuf::from(file.split(' ').next().unwrap_or(file));
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        Ok(files)
    }

    /// One that was unpacked before; the newest.
    fn kept(series: &'static Series, under: &Path) -> Option<Self> {
        let entries = std::fs::read_dir(under).ok()?;
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
        let release = newest(names.filter(|name| series.has(name)).collect())?;
        Some(Self {
            series,
            dir: under.join(&release),
            release,
        })
    }

    fn download(series: &'static Series, apt: &Apt, under: &Path) -> Result<Self> {
        let expression = format!("^{}{}.*{}$", NAME.0, series.name.replace('.', r"\."), NAME.1);
        let names = apt.names(&expression)?;
        let releases = names.iter().filter_map(|name| name.strip_prefix(NAME.0));
        let suits = |release: &&str| series.has(release) && !is_backport_to_older(release);
        let release = newest(releases.filter(suits).map(str::to_owned).collect());
        let release = release.with_context(|| format!("no suite of {} has one", series.suites.join(", ")))?;
        let package = apt.download(&format!("{}{release}", NAME.0))?;
        let dir = under.join(&release);
        unpack(&package, &release, &dir)?;
        Ok(Self { series, release, dir })
    }
}

impl Series {
    /// Whether a release is one of this series: `6.1` has `6.1.0-56-cloud-amd64`, not `6.12.117+deb12-cloud-amd64`.
    fn has(&self, release: &str) -> bool {
        let rest = release.strip_prefix(self.name);
        rest.is_some_and(|rest| rest.starts_with('.') && rest.ends_with(NAME.1))
    }
}

/// Where a series stands among all.
pub fn place(series: &Series) -> Option<usize> {
    SERIES.iter().position(|one| one.name == series.name)
}

/// A series with its kernel, or with why there is none.
pub type Found = (&'static Series, Result<Kernel>);

/// Finds a kernel of each series; what is not there yet is downloaded.
pub fn ensure(wanted: &[&'static Series], under: &Path) -> Result<Vec<Found>> {
    let kept = wanted.iter().map(|series| (*series, Kernel::kept(series, under)));
    let kept: Vec<(&'static Series, Option<Kernel>)> = kept.collect();
    let absent = kept.iter().filter(|(_, kernel)| kernel.is_none());
    let absent: Vec<&'static Series> = absent.map(|(series, _)| *series).collect();
    if absent.is_empty() {
        shell::already("kernels");
        let found = kept.into_iter();
        return Ok(found
            .filter_map(|(series, kernel)| Some((series, Ok(kernel?))))
            .collect());
    }
    let names: Vec<&str> = absent.iter().map(|series| series.name).collect();
    shell::step(&format!("kernels: downloading {}", names.join(", ")), || {
        std::fs::create_dir_all(under)?;
        let lists = under.join("apt");
        let suites = absent.iter().flat_map(|series| series.suites).copied();
        let apt = lists_of(&lists, suites.collect());
        let found = kept.into_iter().map(|(series, kernel)| {
            let kernel = match (kernel, &apt) {
                (Some(kernel), _) => Ok(kernel),
                (None, Ok(apt)) => Kernel::download(series, apt, under),
                (None, Err(error)) => Err(anyhow!("{error:#}")),
            };
            (series, kernel)
        });
        let found = found.collect();
        if lists.exists() {
            std::fs::remove_dir_all(&lists)?;
        }
        Ok(found)
    })
}

fn lists_of(dir: &Path, suites: BTreeSet<&str>) -> Result<Apt> {
    let apt = Apt::new(dir, &suites.into_iter().collect::<Vec<_>>())?;
    if let Err(error) = apt.update() {
        // A suite may have vanished; the others may have been read.
        eprintln!("    {error:#}");
    }
    Ok(apt)
}

/// Unpacks beside the place where it belongs and moves it there whole, so that an interrupted run leaves no half of it.
fn unpack(package: &Path, release: &str, dir: &Path) -> Result<()> {
    let scratch = dir.with_file_name(format!(".unpacking-{release}"));
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    std::fs::create_dir(&scratch)?;
    debian::unpack(package, &scratch, &["--wildcards", "./boot/vmlinuz-*", "*/lib/modules"])?;
    // Newer packages have their modules below usr/, and no lib/.
    let (lib, usr_lib) = (scratch.join("lib"), scratch.join("usr/lib"));
    if usr_lib.exists() {
        std::fs::rename(usr_lib, &lib)?;
    }
    let modules = lib.join("modules").join(release);
    ensure!(modules.is_dir(), "{} has no modules", package.display());
    shell::output(program("depmod", ["--basedir"]).arg(&scratch).arg(release))?;
    Ok(std::fs::rename(&scratch, dir)?)
}

/// A kernel of a newer release rebuilt for an older one.
fn is_backport_to_older(release: &str) -> bool {
    release.contains("deb11")
}

/// The newest of these releases, by the numbers in them.
fn newest(releases: Vec<String>) -> Option<String> {
    let numbers = |release: &String| -> Vec<u64> {
        let version = release.trim_end_matches(NAME.1);
        let numbers = version.split(|c: char| !c.is_ascii_digit());
        numbers.filter_map(|number| number.parse().ok()).collect()
    };
    releases.into_iter().max_by_key(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_no_prefix() {
        let [_, six_one, six_twelve, _] = &SERIES;
        assert!(six_one.has("6.1.0-56-cloud-amd64"));
        assert!(!six_one.has("6.12.117+deb12-cloud-amd64"));
        assert!(six_twelve.has("6.12.117+deb12-cloud-amd64"));
        assert!(!six_twelve.has("6.12-cloud-amd64"));
        assert!(!six_twelve.has(".unpacking-6.12.117+deb12-cloud-amd64"));
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let newest_of = |releases: &[&str]| newest(releases.iter().map(|release| (*release).to_owned()).collect());
        let newest = newest_of(&[
            "6.12.90+deb12.1-cloud-amd64",
            "6.12.117+deb12-cloud-amd64",
            "6.12.96+deb13-cloud-amd64",
        ]);
        assert_eq!(newest.as_deref(), Some("6.12.117+deb12-cloud-amd64"));
        let newest = newest_of(&["6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64"]);
        assert_eq!(newest.as_deref(), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(newest_of(&[]), None);
    }
}
