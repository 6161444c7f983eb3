//! The files of a lab, and clearing away what is left of labs whose process was killed.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};

use crate::{bpffs, netns};

/// In a lab's directory, says that the lab was left standing on purpose.
const KEPT: &str = "kept";

/// A lab's name, and its directories: one for files and sockets, one for pins. Both are removed on drop.
pub struct Scratch {
    name: String,
    is_kept: bool,
}

impl Scratch {
    /// Makes the directories under a name that no other lab has, after clearing away what is left of dead ones.
    pub fn new(is_kept: bool) -> Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        clear(false);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lb-{}-{number}", std::process::id());
        let scratch = Self { name, is_kept };
        for dir in [scratch.dir(), scratch.pins()] {
            std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        if is_kept {
            std::fs::write(scratch.dir().join(KEPT), "")?;
        }
        Ok(scratch)
    }

    /// `lb-PID-N`
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For files and sockets.
    pub fn dir(&self) -> PathBuf {
        dir_of(&self.name)
    }

    /// For pinned programs, links and maps.
    pub fn pins(&self) -> PathBuf {
        pins_of(&self.name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_kept {
            remove_files(&self.name);
        }
    }
}

/// Clears away the labs that were left standing on purpose, whose process has ended; their names.
pub fn clear_kept() -> Vec<String> {
    clear(true)
}

/// Clears away what is left of labs whose process is dead; their names.
fn clear(also_kept: bool) -> Vec<String> {
    let names = places().iter().flat_map(|place| names_in(place)).collect::<Vec<_>>();
    let labs: BTreeSet<_> = names.iter().filter_map(|name| lab_and_owner(name)).collect();
    let is_to_go = |(lab, owner): &(&str, u32)| {
        let is_alive = Path::new("/proc").join(owner.to_string()).exists();
        !is_alive && (also_kept || !dir_of(lab).join(KEPT).exists())
    };
    let labs: Vec<String> = labs
        .into_iter()
        .filter(is_to_go)
        .map(|(lab, _)| lab.to_owned())
        .collect();
    for lab in &labs {
        remove(lab);
    }
    labs
}

/// Removes whatever has the lab's name, and kills what runs in its namespaces. What cannot be removed is being removed
/// by another.
pub fn remove(lab: &str) {
    for namespace in names_in(Path::new(netns::DIRECTORY)) {
        if belongs_to(&namespace, lab) {
            kill_all_in(&netns::path_of(&namespace));
            netns::remove(&namespace);
        }
    }
    remove_files(lab);
}

/// What there still is by the name of a lab: namespaces, files and pins.
pub fn what_is_left(lab: &str) -> Vec<PathBuf> {
    let named = |place: &PathBuf| {
        let names = names_in(place).into_iter();
        let names = names.filter(|name| belongs_to(name, lab));
        names.map(|name| place.join(name)).collect::<Vec<_>>()
    };
    places().iter().flat_map(named).collect()
}

/// Where a lab leaves something by its name.
fn places() -> [PathBuf; 3] {
    [netns::DIRECTORY.into(), std::env::temp_dir(), bpffs::MOUNT_POINT.into()]
}

fn belongs_to(name: &str, lab: &str) -> bool {
    lab_and_owner(name).is_some_and(|(of, _)| of == lab)
}

fn dir_of(lab: &str) -> PathBuf {
    std::env::temp_dir().join(lab)
}

fn pins_of(lab: &str) -> PathBuf {
    Path::new(bpffs::MOUNT_POINT).join(lab)
}

fn remove_files(lab: &str) {
    for dir in [dir_of(lab), pins_of(lab)] {
        // Another process may be at it too.
        let _ = std::fs::remove_dir_all(dir);
    }
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// `lb-12-3` and 12 of `lb-12-3` and `lb-12-3-client`.
fn lab_and_owner(name: &str) -> Option<(&str, u32)> {
    let (owner, rest) = name.strip_prefix("lb-")?.split_once('-')?;
    let number = rest.split('-').next()?;
    let lab = &name[.."lb-".len() + owner.len() + 1 + number.len()];
    Some((lab, owner.parse().ok()?))
}

/// Kills every process in the namespace that is bound to `path`, and gives them a second to be gone.
fn kill_all_in(path: &Path) {
    for _ in 0..200 {
        let processes = processes_in(path);
        if processes.is_empty() {
            return;
        }
        for process in processes {
            // It may have ended since.
            let _ = rustix::process::kill_process(process, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes in the namespace that is bound to `path`; those that have ended are in none.
fn processes_in(path: &Path) -> Vec<Pid> {
    let Ok(namespace) = std::fs::metadata(path) else {
        return Vec::new();
    };
    let is_in = |id: &String| {
        let theirs = std::fs::metadata(format!("/proc/{id}/ns/net"));
        theirs.is_ok_and(|theirs| (theirs.dev(), theirs.ino()) == (namespace.dev(), namespace.ino()))
    };
    let ids = names_in(Path::new("/proc")).into_iter().filter(is_in);
    ids.filter_map(|id| id.parse().ok().and_then(Pid::from_raw)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_name_it_is() {
        assert_eq!(lab_and_owner("lb-12-3"), Some(("lb-12-3", 12)));
        assert_eq!(lab_and_owner("lb-12-3-server-1"), Some(("lb-12-3", 12)));
        assert_eq!(lab_and_owner("lb-x-3"), None);
        assert_eq!(lab_and_owner("lb"), None);
        assert!(belongs_to("lb-12-3-client", "lb-12-3"));
        assert!(!belongs_to("lb-12-30-client", "lb-12-3"));
    }

    #[test]
    fn what_a_dead_process_left_is_cleared_away() -> Result<()> {
        crate::needs_root!();
        let mut child = std::process::Command::new("true").spawn()?;
        let dead = child.id();
        child.wait()?;
        let lab = format!("lb-{dead}-0");
        std::fs::create_dir(dir_of(&lab))?;
        std::fs::write(dir_of(&lab).join(KEPT), "")?;
        let mut left = netns::Netns::create(&format!("{lab}-client"))?;
        left.keep();
        let mut sleep = left.command("sleep")?.arg("600").spawn()?;
        clear(false);
        assert!(left.path().exists(), "it was kept on purpose");
        std::fs::remove_file(dir_of(&lab).join(KEPT))?;
        assert_eq!(what_is_left(&lab).len(), 2);
        clear(false);
        assert!(!left.path().exists() && !dir_of(&lab).exists());
        assert!(what_is_left(&lab).is_empty());
        assert!(!sleep.wait()?.success());
        Ok(())
    }
}
