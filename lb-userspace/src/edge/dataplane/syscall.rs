//! `bpf(2)` itself, for what aya has no words for.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use rustix::process::{Resource, Rlimit, setrlimit};

/// Commands that give a file descriptor.
#[derive(Clone, Copy)]
pub enum Command {
    MapCreate = 0,
    ProgramLoad = 5,
}

/// Runs a command. Before Linux 5.11 maps and programs count as locked memory, of all that run as the same user, and a limit of that
/// looks like a lack of permission, or in a devmap like a bad argument: it is lifted, and the command tried again.
///
/// # Safety
///
/// `attributes` are those of the command, from the first on; memory that they point to is valid, and only read.
pub unsafe fn bpf<T>(command: Command, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's.
    let run = || unsafe { once(command, attributes) };
    let refused = match run() {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EINVAL)) => error,
        result => return result,
    };
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    match setrlimit(Resource::Memlock, unlimited) {
        Ok(()) => run(),
        Err(_) => Err(refused),
    }
}

/// # Safety
///
/// As [`bpf`].
unsafe fn once<T>(command: Command, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's; the kernel takes a shorter set of attributes than its own for one whose rest is 0.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_int,
            &raw const *attributes,
            size_of::<T>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that the kernel has just given, and that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}
