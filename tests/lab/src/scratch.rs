//! The files of a lab, and clearing away what is left of labs whose process was killed.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Clears away the labs that were left standing on purpose, whose process has ended.
pub fn clear_kept() {
    clear(true);
}

/// Clears away what is left of labs whose process is dead. What cannot be removed is being removed by another.
fn clear(also_kept: bool) {
    clear_where(|lab, owner| {
        let is_alive = Path::new("/proc").join(owner.to_string()).exists();
        !is_alive && (also_kept || !dir_of(lab).join(KEPT).exists())
    });
}

/// Clears away the labs of this very process, which is about to end.
pub(crate) fn clear_own() {
    clear_where(|_, owner| owner == std::process::id());
}

fn clear_where(is_over: impl Fn(&str, u32) -> bool) {
    let places = [netns::DIRECTORY.into(), std::env::temp_dir(), bpffs::MOUNT_POINT.into()];
    let names: BTreeSet<String> = places.iter().flat_map(|place| names_in(place)).collect();
    for name in &names {
        let Some((lab, owner)) = lab_and_owner(name) else {
            continue;
        };
        if !is_over(lab, owner) {
            continue;
        }
        for namespace in names.iter().filter(|name| belongs_to(name, lab)) {
            kill_all_in(&netns::path_of(namespace));
            netns::remove(namespace);
        }
        remove_files(lab);
    }
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

/// Kills every process in the namespace that is bound to `path`.
fn kill_all_in(path: &Path) {
    let Ok(namespace) = std::fs::metadata(path) else {
        return;
    };
    for id in names_in(Path::new("/proc")) {
        let Some(pid) = id.parse().ok().and_then(Pid::from_raw) else {
            continue;
        };
        let theirs = std::fs::metadata(format!("/proc/{id}/ns/net"));
        if theirs.is_ok_and(|theirs| (theirs.dev(), theirs.ino()) == (namespace.dev(), namespace.ino())) {
            // It may have ended since.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
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
        clear(false);
        assert!(!left.path().exists() && !dir_of(&lab).exists());
        assert!(!sleep.wait()?.success());
        Ok(())
    }
}
