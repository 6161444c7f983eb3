//! `cargo xtask test`: runs every test that this machine can run, and ends with how many passed, failed and were skipped.
//!
//! A test that finds at run time that it cannot run says so by `lb_lab::skip`, in the file that `LB_SKIP_FILE` names, and
//! returns. libtest takes it for passed; here it is counted as skipped.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result};

use crate::shell::cargo;
use crate::{build, setup, workspace};
use tally::{Skip, Tally};

pub mod tally;

/// What the caller asks for.
#[derive(Default)]
pub struct Wanted<'a> {
    /// Also what takes long.
    pub full: bool,
    /// Only tests whose names hold this.
    pub filter: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// From the arguments of the verb.
    pub fn parse(arguments: &[&'a str]) -> Option<Self> {
        let mut wanted = Self::default();
        for argument in arguments {
            match *argument {
                "--full" => wanted.full = true,
                filter if filter.starts_with('-') || wanted.filter.is_some() => return None,
                filter => wanted.filter = Some(filter),
            }
        }
        Some(wanted)
    }
}

/// Runs the tests; false when any failed, or none ran.
pub fn run(wanted: &Wanted) -> Result<bool> {
    setup::for_running()?;
    setup::net_test_programs()?;
    let lb = build::dev()?;
    let skip_file = SkipFile::new()?;
    let mut test = command(wanted, &lb, &skip_file.path);
    let (mut tally, status) = watch(&mut test)?;
    tally.skip_at_run_time(skip_file.read()?);
    if !status.success() && tally.failed.is_empty() {
        tally.failed.push(format!("cargo test itself: {status}"));
    }
    report(&tally, wanted);
    Ok(tally.is_good())
}

fn command(wanted: &Wanted, lb: &Path, skip_file: &Path) -> Command {
    let mut test = cargo();
    test.args(["test", "--no-fail-fast"])
        .args(wanted.filter)
        .env("LB_BIN", lb)
        .env("LB_SKIP_FILE", skip_file)
        .stdout(Stdio::piped());
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        // Half of the tests wait for servers and health checks more than they compute.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        test.env("RUST_TEST_THREADS", (2 * cores).to_string());
    }
    if wanted.full {
        test.env("LB_TEST_FULL", "1");
    } else {
        test.env_remove("LB_TEST_FULL");
    }
    test
}

/// Runs the tests, shows what they say as they say it, and counts.
fn watch(test: &mut Command) -> Result<(Tally, ExitStatus)> {
    eprintln!("==> testing");
    let mut child = test.spawn().context("cannot run cargo test")?;
    let output = child.stdout.take().context("cargo test has no output")?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.read_line(&line);
    }
    Ok((tally, child.wait()?))
}

fn report(tally: &Tally, wanted: &Wanted) {
    println!();
    for Skip { name, reason } in &tally.skipped {
        println!("skipped: {name}: {reason}");
    }
    for name in &tally.failed {
        println!("failed: {name}");
    }
    if tally.ran() == 0 {
        match wanted.filter {
            Some(filter) => {
                println!("no test ran: no name holds `{filter}`, or what does was skipped")
            }
            None => println!("no test ran"),
        }
    }
    println!("{}", tally.closing_line());
}

/// The file in which tests say that they were skipped.
struct SkipFile {
    path: PathBuf,
}

impl SkipFile {
    fn new() -> Result<Self> {
        let name = format!("lb-skipped-{}", std::process::id());
        let path = workspace::target()?.join(name);
        std::fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }

    fn read(&self) -> Result<Vec<Skip>> {
        let text = std::fs::read_to_string(&self.path)?;
        Ok(text.lines().map(Skip::from_line).collect())
    }
}

impl Drop for SkipFile {
    fn drop(&mut self) {
        // What is left behind is one small file below target/.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let wanted = Wanted::parse(&["maglev", "--full"]).unwrap();
        assert!(wanted.full);
        assert_eq!(wanted.filter, Some("maglev"));
        assert!(Wanted::parse(&["a", "b"]).is_none());
        assert!(Wanted::parse(&["--fast"]).is_none());
    }
}
