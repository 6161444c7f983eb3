//! What the kernel holds of a data plane, as bpftool sees it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lb_lab::{program, wait_until};
use serde_json::Value;

use super::PATIENCE;

/// The identifiers of BPF objects. The kernel gives none of them a second time soon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    pub programs: BTreeSet<u64>,
    pub maps: BTreeSet<u64>,
    pub links: BTreeSet<u64>,
}

impl Objects {
    /// What is pinned in a directory, with the programs that its links run, and the maps that those use.
    pub fn pinned_in(dir: &Path) -> Result<Self> {
        let mut objects = Self::default();
        for pin in pins(dir)? {
            objects
                .add_pinned(&pin)
                .with_context(|| format!("looking at {}", pin.display()))?;
        }
        for program in &objects.programs {
            let id = program.to_string();
            let shown = json(["prog", "show", "id", &id].map(OsStr::new))?;
            objects.maps.extend(numbers(&shown["map_ids"]));
        }
        Ok(objects)
    }

    fn add_pinned(&mut self, pin: &Path) -> Result<()> {
        // A pin does not say what it is of; bpftool refuses to show one thing as another.
        let show = |kind: &str| {
            json(
                [kind, "show", "pinned"]
                    .map(OsStr::new)
                    .iter()
                    .chain([&pin.as_os_str()]),
            )
        };
        if let Ok(link) = show("link") {
            self.links.extend(link["id"].as_u64());
            self.programs.extend(link["prog_id"].as_u64());
        } else if let Ok(program) = show("prog") {
            self.programs.extend(program["id"].as_u64());
        } else {
            self.maps.extend(show("map")?["id"].as_u64());
        }
        Ok(())
    }

    /// These and others.
    pub fn and(mut self, others: Self) -> Self {
        self.programs.extend(others.programs);
        self.maps.extend(others.maps);
        self.links.extend(others.links);
        self
    }

    /// Waits until the kernel has none of them any more: it takes them away some time after their last user.
    pub fn wait_until_gone(&self) -> Result<()> {
        for (kind, ids) in [("prog", &self.programs), ("map", &self.maps), ("link", &self.links)] {
            let mut left = BTreeSet::new();
            let gone = wait_until("it is gone", PATIENCE, || {
                left = ids.intersection(&all(kind)?).copied().collect();
                Ok(left.is_empty().then_some(()))
            });
            gone.with_context(|| format!("bpftool {kind} still shows {left:?}"))?;
        }
        Ok(())
    }
}

/// Whether there is a bpftool to look with.
pub fn has_bpftool() -> bool {
    program::find("bpftool").is_some()
}

/// What is pinned in a directory; nothing where it does not exist.
pub fn pins(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(dir)?;
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

/// What a pinned map holds.
pub fn dump(pin: &Path) -> Result<String> {
    let bpftool = program::find("bpftool").context("bpftool is not installed")?;
    program::output(Command::new(bpftool).args(["map", "dump", "pinned"]).arg(pin))
}

/// Every identifier of a kind that there is on this machine.
fn all(kind: &str) -> Result<BTreeSet<u64>> {
    let shown = json([kind, "show"].map(OsStr::new))?;
    let objects = shown.as_array().context("bpftool gives no list")?;
    Ok(objects.iter().filter_map(|object| object["id"].as_u64()).collect())
}

fn numbers(list: &Value) -> Vec<u64> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .collect()
}

fn json(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Value> {
    let bpftool = program::find("bpftool").context("bpftool is not installed")?;
    let mut command = Command::new(bpftool);
    let text = program::output(command.arg("-j").args(words))?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("bpftool wrote: {text}"))?;
    // It says in JSON what went wrong, too.
    ensure!(value.get("error").is_none(), "bpftool: {value}");
    Ok(value)
}
