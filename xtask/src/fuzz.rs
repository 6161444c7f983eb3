//! `cargo xtask fuzz`: looks for bytes that a parser does not take well, guided by which code they reach.
//!
//! A target is a function of `lb_tests::parsers`, libFuzzer is what looks, and the compiler counts the branches: on a stable
//! toolchain, by a pass of LLVM's. What is worth going on from is kept below `target/`, so that each run begins where the last ended.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::setup::Toolchain;
use crate::shell::{self, cargo};
use crate::{setup, workspace};

/// Where the code tells libFuzzer which of its branches are taken, and what is compared with what.
const RUSTFLAGS: &[&str] = &[
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// How long a target is looked at, if not said otherwise.
const SECONDS: u32 = 30;

/// How long one input may take. The slowest takes milliseconds.
const SECONDS_PER_INPUT: u32 = 20;

/// What the caller asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// All where it is not said.
    target: Option<&'a str>,
    seconds: u32,
}

impl<'a> Wanted<'a> {
    /// From the arguments of the verb.
    pub fn parse(arguments: &[&'a str]) -> Option<Self> {
        let mut wanted = Self {
            target: None,
            seconds: SECONDS,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--seconds" => wanted.seconds = arguments.next()?.parse().ok().filter(|seconds| *seconds > 0)?,
                target if target.starts_with('-') || wanted.target.is_some() => return None,
                target => wanted.target = Some(target),
            }
        }
        Some(wanted)
    }
}

/// Builds the targets and looks at each; false when something was found.
pub fn run(wanted: &Wanted) -> Result<bool> {
    let toolchain = setup::for_build()?;
    setup::fuzz_programs()?;
    let targets = targets(wanted.target)?;
    let dir = workspace::target()?.join("fuzz");
    let program = shell::step("building the fuzz targets", || build(&toolchain, &dir))?;
    let mut failed = Vec::new();
    for target in &targets {
        let fuzzer = Fuzzer {
            program: &program,
            target,
            dir: &dir,
        };
        if let Err(error) = shell::step(&format!("fuzzing {target}"), || fuzzer.run(wanted.seconds)) {
            eprintln!("    {error:#}");
            failed.push(target.as_str());
        }
    }
    match failed.is_empty() {
        true => println!("fuzz: nothing found in {}", targets.join(", ")),
        false => println!("fuzz: found something in {}", failed.join(", ")),
    }
    Ok(failed.is_empty())
}

/// The directory of the seeds, each target's below it.
fn seeds() -> PathBuf {
    workspace::root().join("tests/fuzz/seeds")
}

/// The targets that there are, or the one that is wanted.
fn targets(wanted: Option<&str>) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(seeds()).context("cannot read the seeds of the fuzz targets")?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.sort();
    let Some(wanted) = wanted else { return Ok(names) };
    let is_there = names.iter().any(|name| name == wanted);
    ensure!(
        is_there,
        "there is no fuzz target {wanted}; there are {}",
        names.join(", ")
    );
    Ok(vec![wanted.to_owned()])
}

/// Builds the program of all targets, in a directory of its own: everything in it is compiled for this alone. With `--target`,
/// cargo leaves build scripts and procedural macros as they are.
fn build(toolchain: &Toolchain, dir: &Path) -> Result<PathBuf> {
    let mut build = cargo();
    build
        .args(["build", "--quiet", "--package", "lb-fuzz", "--features", "run"])
        .args(["--profile", "fuzz", "--target", &toolchain.host, "--target-dir"])
        .arg(dir)
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\x1f"));
    shell::run(&mut build)?;
    Ok(dir.join(&toolchain.host).join("fuzz/lb-fuzz"))
}

/// One target, and where it keeps what it finds.
struct Fuzzer<'a> {
    program: &'a Path,
    target: &'a str,
    dir: &'a Path,
}

impl Fuzzer<'_> {
    /// An error where it found something, which names the file.
    fn run(&self, seconds: u32) -> Result<()> {
        let (corpus, found) = (self.dir.join("corpus").join(self.target), self.dir.join("found"));
        for dir in [&corpus, &found] {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let found = found.join(self.target);
        let mut fuzzer = Command::new(self.program);
        fuzzer
            .env("LB_FUZZ_TARGET", self.target)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={SECONDS_PER_INPUT}"))
            .arg(format!("-artifact_prefix={}-", found.display()))
            .args(["-print_final_stats=1", "-verbosity=1"])
            .arg(&corpus)
            .arg(seeds().join(self.target));
        shell::run(&mut fuzzer).with_context(|| {
            format!(
                "mend it, and move what is named above into {}, under a name that says what it is: the test parsers runs it from then on",
                seeds().join(self.target).display()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let wanted = |target, seconds| Some(Wanted { target, seconds });
        assert_eq!(Wanted::parse(&[]), wanted(None, SECONDS));
        assert_eq!(
            Wanted::parse(&["capture", "--seconds", "5"]),
            wanted(Some("capture"), 5)
        );
        assert_eq!(Wanted::parse(&["--seconds"]), None);
        assert_eq!(Wanted::parse(&["--seconds", "0"]), None);
        assert_eq!(Wanted::parse(&["a", "b"]), None);
        assert_eq!(Wanted::parse(&["--fast"]), None);
    }

    #[test]
    fn a_target_has_seeds() {
        assert_eq!(targets(Some("capture")).unwrap(), ["capture"]);
        let error = targets(Some("captures")).unwrap_err().to_string();
        assert!(
            error.contains("no fuzz target captures; there are answer, argument"),
            "{error}"
        );
    }
}
