//! Every parser of bytes from outside, with the seeds of its fuzz target: examples, and what was found with their help.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use lb_tests::parsers::{TARGETS, Target, seeds, target};

fn all_hold(name: &str) -> Result<()> {
    let holds: Target = target(name).context("there is such a target")?;
    let entries = std::fs::read_dir(seeds().join(name))?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    ensure!(!files.is_empty(), "{name} has no seeds");
    for file in files {
        println!("{}", file.display());
        holds(&std::fs::read(&file)?);
    }
    Ok(())
}

#[test]
fn answers() -> Result<()> {
    all_hold("answer")
}

#[test]
fn arguments() -> Result<()> {
    all_hold("argument")
}

#[test]
fn captures() -> Result<()> {
    all_hold("capture")
}

#[test]
fn documents() -> Result<()> {
    all_hold("document")
}

#[test]
fn requests() -> Result<()> {
    all_hold("request")
}

#[test]
fn each_target_has_seeds() -> Result<()> {
    let entries = std::fs::read_dir(seeds())?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names = names.collect::<Result<BTreeSet<String>>>()?;
    assert_eq!(names, TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect());
    Ok(())
}
