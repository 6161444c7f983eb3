//! `cargo xtask vm`: lb on other kernels than this machine's, in virtual machines.
//!
//! A guest is a kernel of Debian's with the file system of an archive: `lb`, the tests, and their libraries from this
//! machine. Its first process, `lb-guest`, carries out a plan and reports through a serial port. There is no disk and no
//! network.
//!
//! # Layout
//!
//! - [`mod@test`]: the packet and net tests in a guest; [`choice`] says which, [`hearing`] what came of them
//! - [`mod@bench`]: packets through `lb` in a guest, in instructions or in time; [`figures`] are what it finds
//! - [`guests`], [`machine`]: QEMU
//! - [`kernels`]: which kernels, and where they come from
//! - [`root`]: the file system of a guest; [`cpio`] is its archive

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{build, setup, workspace};
use kernels::{SERIES, Series};

pub mod bench;
mod choice;
mod cpio;
mod figures;
mod guests;
mod hearing;
mod kernels;
mod machine;
mod root;
mod test;

/// What the caller asks for.
#[derive(Default)]
pub struct Wanted<'a> {
    /// The kernels of these series; of all where none is named.
    series: Vec<&'static Series>,
    /// Only tests whose names, with their binary's before them, hold this.
    filter: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// From the arguments of the verb.
    pub fn parse(arguments: &[&'a str]) -> Option<Self> {
        let mut wanted = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--kernel" => {
                    let name = arguments.next()?;
                    wanted.series.push(SERIES.iter().find(|series| series.name == *name)?);
                }
                filter if filter.starts_with('-') || wanted.filter.is_some() => return None,
                filter => wanted.filter = Some(filter),
            }
        }
        if wanted.series.is_empty() {
            wanted.series = SERIES.iter().collect();
        }
        Some(wanted)
    }
}

/// Runs the tests in guests; false when any failed.
pub fn test(wanted: &Wanted) -> Result<bool> {
    if let Some(why) = why_not(setup::guest_programs)? {
        println!("vm test: skipped, no kernel was tested: {why}");
        return Ok(true);
    }
    let kernels = kernels::ensure(&wanted.series, &directory()?)?;
    let lb = build::dev()?;
    test::run(kernels, &lb, wanted.filter)
}

/// Measures in a guest; false when something got worse than it was.
pub fn bench(wanted: &bench::Wanted) -> Result<bool> {
    if let Some(why) = why_not(setup::measuring_guest_programs)? {
        println!("vm bench: skipped, nothing was measured: {why}");
        return Ok(true);
    }
    let newest = SERIES.last().map_or("", |series| series.name);
    let name = wanted.series.unwrap_or(newest);
    let series = SERIES.iter().find(|series| series.name == name);
    let series = series.with_context(|| format!("no kernel {name}; there are {}", names().join(", ")))?;
    let found = kernels::ensure(&[series], &directory()?)?;
    match found.into_iter().next() {
        Some((_, Ok(kernel))) => bench::run(&kernel, &build::dev()?, wanted),
        Some((_, Err(error))) => {
            println!("vm bench: skipped, nothing was measured: kernel {name}: {error:#}");
            Ok(true)
        }
        None => Ok(true),
    }
}

fn names() -> Vec<&'static str> {
    SERIES.iter().map(|series| series.name).collect()
}

/// Gets the programs that guests need; why there can be none.
fn why_not(get: fn() -> Result<Vec<&'static str>>) -> Result<Option<String>> {
    if std::env::consts::ARCH != "x86_64" {
        let why = "the kernels are those of Debian for amd64, and this machine is another";
        return Ok(Some(why.to_owned()));
    }
    let missing = get()?;
    Ok((!missing.is_empty()).then(|| format!("not installed: {}", missing.join(" "))))
}

/// Where kernels are kept, and what belongs to a run.
fn directory() -> Result<PathBuf> {
    Ok(workspace::target()?.join("vm"))
}
