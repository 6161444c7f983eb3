//! The balancers on another CPU than the sender: what the driver's poll of their interfaces does, in a kernel thread of its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_lab::{Netns, wait_until};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use super::hosts::DEVICE;
use crate::measure::pin_thread;

/// One round with two cores for so many with one.
pub const ONE_OF: usize = 4;

/// How long the kernel may take to start a thread.
const START_LIMIT: Duration = Duration::from_secs(5);

/// Moves the polling of each host's interface to this CPU, for as long as the hosts stand.
///
/// # Errors
///
/// A kernel without threaded NAPI (Linux has it since 5.12), or one that lets nobody bind its threads.
pub fn move_to<'a>(cpu: usize, hosts: impl Iterator<Item = &'a Netns>) -> Result<()> {
    let others = threads()?;
    let mut expected = others.len();
    for host in hosts {
        host.run(make_threaded)
            .with_context(|| format!("{DEVICE} of {}: cannot poll it in a thread", host.name()))?;
        expected += 1;
    }
    let all = wait_until("every interface has its thread", START_LIMIT, || {
        let threads = threads()?;
        Ok((threads.len() >= expected).then_some(threads))
    })?;
    for thread in all.difference(&others) {
        pin_thread(Pid::from_raw(*thread), cpu)
            .with_context(|| format!("cannot bind a thread of the kernel to CPU {cpu}"))?;
    }
    Ok(())
}

/// Threads that poll an interface of that name, of any namespace.
fn threads() -> Result<BTreeSet<i32>> {
    let prefix = format!("napi/{DEVICE}-");
    let mut threads = BTreeSet::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(id) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        // It may have ended since.
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.starts_with(&prefix) {
            threads.insert(id);
        }
    }
    Ok(threads)
}

/// Has this thread's namespace poll the interface in a kernel thread. The setting is in sysfs, which shows the namespace that it was
/// mounted in: so the thread, which is about to end, gets a view of its own.
fn make_threaded() -> Result<()> {
    // SAFETY: a mount namespace of its own leaves this thread's files and memory as they are.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.context("unshare")?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    rustix::mount::mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None).context("cannot mount sysfs")?;
    let file = Path::new("/sys/class/net").join(DEVICE).join("threaded");
    std::fs::write(&file, "1").with_context(|| format!("cannot write {}", file.display()))?;
    let says = std::fs::read_to_string(&file)?;
    ensure!(says.trim() == "1", "the kernel does not do it");
    Ok(())
}
