//! Clearing away when somebody has had enough: SIGINT and SIGTERM.

use std::io::{PipeReader, PipeWriter, Read as _};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::{Context as _, Result, ensure};

use crate::scratch;

/// Where the handler says that a signal came.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// From now on SIGINT and SIGTERM remove the labs of this process, even kept ones, and end it with exit code 130. Programs that
/// it starts are not concerned.
pub fn clear_when_interrupted() -> Result<()> {
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    WAKE.store(writer.as_raw_fd(), Ordering::Relaxed);
    std::thread::spawn(move || wait(reader, writer));
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let handler = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler only calls write(2), which may be called in one.
        let before = unsafe { libc::signal(signal, handler) };
        ensure!(before != libc::SIG_ERR, "cannot handle signal {signal}");
    }
    Ok(())
}

extern "C" fn note(_: libc::c_int) {
    // SAFETY: one byte of a static, to a pipe that stays open as long as the process lives.
    unsafe { libc::write(WAKE.load(Ordering::Relaxed), c"!".as_ptr().cast(), 1) };
}

fn wait(mut reader: PipeReader, _writer: PipeWriter) {
    if reader.read_exact(&mut [0]).is_ok() {
        eprintln!("\ninterrupted; clearing away");
        scratch::clear_own();
        std::process::exit(130);
    }
}
