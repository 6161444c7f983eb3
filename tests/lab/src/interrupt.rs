//! Being asked to end, by ^C, by SIGTERM, or by a terminal that goes away.
//!
//! From [`catch`] on such a signal no longer kills this process. Whatever waits in this crate gives up with
//! [`Interrupted`] instead, so that its callers return, and what they hold is taken down as it is dropped.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use anyhow::{Result, ensure};

const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// The signal that came first, or 0.
static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// Whether what waits still gives up.
static IS_HEEDED: AtomicBool = AtomicBool::new(true);

/// This process was asked to end, by the signal of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted(pub i32);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            libc::SIGINT => "SIGINT",
            libc::SIGTERM => "SIGTERM",
            libc::SIGHUP => "SIGHUP",
            other => return write!(f, "interrupted by signal {other}"),
        };
        write!(f, "interrupted by {name}")
    }
}

impl std::error::Error for Interrupted {}

/// Catches the signals from now on. Processes that are started get them as ever.
pub fn catch() -> Result<()> {
    for signal in SIGNALS {
        // SAFETY: all zeroes is a sigaction with the default action, an empty mask and no flags.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = note as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the action is valid, and its handler does nothing but write to an atomic, which a handler may.
        let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
        ensure!(
            result == 0,
            "catching signal {signal}: {}",
            std::io::Error::last_os_error()
        );
    }
    Ok(())
}

extern "C" fn note(signal: libc::c_int) {
    // Only the first counts.
    let _ = CAUGHT.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
}

/// The signal that came, if one did.
pub fn caught() -> Option<Interrupted> {
    match CAUGHT.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(Interrupted(signal)),
    }
}

/// From now on nothing gives up any more: what takes things down has to wait for them too.
pub fn heed_no_more() {
    IS_HEEDED.store(false, Ordering::Relaxed);
}

/// An error when a signal has come.
pub(crate) fn check() -> Result<(), Interrupted> {
    match caught() {
        Some(interrupted) if IS_HEEDED.load(Ordering::Relaxed) => Err(interrupted),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        assert_eq!(Interrupted(libc::SIGINT).to_string(), "interrupted by SIGINT");
        assert_eq!(Interrupted(99).to_string(), "interrupted by signal 99");
    }
}
