//! Hosts as network namespaces.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use rustix::mount::UnmountFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

/// Where namespaces get their names, for us as for `ip netns`.
pub const DIRECTORY: &str = "/run/netns";

/// A network namespace. It is unnamed on drop, and gone when nothing in it runs any more.
pub struct Netns {
    name: String,
    fd: OwnedFd,
    is_kept: bool,
}

impl Netns {
    /// Makes a namespace, named as `ip netns` names them. Needs root.
    pub fn create(name: &str) -> Result<Self> {
        std::fs::create_dir_all(DIRECTORY)?;
        let path = path_of(name);
        File::create_new(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let made = std::thread::scope(|scope| scope.spawn(|| bind_new(&path)).join());
        let made = made.unwrap_or_else(|_| Err(anyhow!("the thread panicked")));
        let fd = match made.and_then(|()| Ok(File::open(&path)?)) {
            Ok(file) => file.into(),
            Err(error) => {
                // Half a namespace would only be in the way; the first error is the one to tell.
                let _ = std::fs::remove_file(&path);
                return Err(error.context(format!("cannot make the network namespace {name}")));
            }
        };
        let (name, is_kept) = (name.to_owned(), false);
        Ok(Self { name, fd, is_kept })
    }

    /// Its name below `/run/netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it can be entered: `nsenter --net=PATH`.
    pub fn path(&self) -> PathBuf {
        path_of(&self.name)
    }

    /// Leaves the namespace standing when this is dropped.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Runs `work` in the namespace, on a thread of its own, and waits for it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let inside = || {
            enter(self.fd.as_fd())?;
            work()
        };
        let done = std::thread::scope(|scope| scope.spawn(inside).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Starts a thread in the namespace.
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<Result<T>>> {
        let fd = self.fd.try_clone()?;
        let inside = move || {
            enter(fd.as_fd())?;
            drop(fd);
            Ok(work())
        };
        Ok(std::thread::Builder::new().spawn(inside)?)
    }

    /// A command that will run in the namespace, and sees the bpffs, which `ip netns exec` would hide.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let fd = self.fd.try_clone()?;
        let mut command = Command::new(program);
        let enter = move || Ok(enter_raw(fd.as_fd())?);
        // SAFETY: between fork and exec the closure makes one system call, and neither allocates nor locks.
        unsafe { command.pre_exec(enter) };
        Ok(command)
    }

    /// Writes settings such as `("net/ipv4/ip_forward", "1")` below `/proc/sys`.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.run(|| {
            for (key, value) in settings {
                let path = Path::new("/proc/sys").join(key);
                std::fs::write(&path, value).with_context(|| format!("cannot set {} to {value}", path.display()))?;
            }
            Ok(())
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if !self.is_kept {
            remove(&self.name);
        }
    }
}

/// Where a namespace of that name is bound.
pub fn path_of(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Unnames a namespace; one that is not there is no matter.
pub fn remove(name: &str) {
    let path = path_of(name);
    // It may never have been bound, or be removed already.
    let _ = rustix::mount::unmount(&path, UnmountFlags::DETACH);
    let _ = std::fs::remove_file(&path);
}

/// Moves this thread, which is about to end, into a new namespace and binds that to `path`.
fn bind_new(path: &Path) -> Result<()> {
    // SAFETY: a new network namespace leaves this thread's files and memory as they are.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.context("unshare; are you root?")?;
    rustix::mount::mount_bind("/proc/thread-self/ns/net", path)
        .with_context(|| format!("cannot bind it to {}", path.display()))
}

fn enter(namespace: BorrowedFd) -> Result<()> {
    enter_raw(namespace).context("cannot enter the network namespace")
}

fn enter_raw(namespace: BorrowedFd) -> rustix::io::Result<()> {
    rustix::thread::move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_comes_and_goes() -> Result<()> {
        crate::needs_root!();
        let name = format!("lb-{}-netns", std::process::id());
        let netns = Netns::create(&name)?;
        netns.sysctl(&[("net/ipv4/ip_forward", "1")])?;
        let read = || Ok(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward")?);
        assert_eq!(netns.run(read)?, "1\n");
        let mut cat = netns.command("cat")?;
        let devices = crate::program::output(cat.arg("/proc/net/dev"))?;
        assert_eq!(devices.lines().count(), 3, "only lo: {devices}");
        drop(cat);
        drop(netns);
        assert!(!path_of(&name).exists());
        Ok(())
    }
}
