//! Running programs, and saying how long a step took.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

pub use lb_lab::is_root;
pub use lb_lab::program::output;
use lb_lab::program::shown;
use lb_lab::wait_until;

/// Runs `work`, and says on standard error what it is and how long it took.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {what}");
    let started = Instant::now();
    let result = work()?;
    eprintln!("    {:.1} s", started.elapsed().as_secs_f64());
    Ok(result)
}

/// Says that a step has nothing to do.
pub fn already(what: &str) {
    eprintln!("==> {what}: nothing to do");
}

/// Runs `command`, its output going where ours goes.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    ensure!(status.success(), "`{}` failed: {status}", shown(command));
    Ok(())
}

/// Runs `command`, and kills it with its children when it is not done within `limit`.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    let shown = shown(command);
    let child = command.stdin(Stdio::null()).process_group(0).spawn();
    let mut child = child.with_context(|| format!("cannot run `{shown}`"))?;
    let what = format!("`{shown}` is done");
    let ended = wait_until(&what, limit, || Ok(child.try_wait()?));
    if ended.is_err() {
        let group = rustix::process::Pid::from_child(&child);
        // The group may have ended between the look and the signal; then there is nothing to kill.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        child.wait()?;
    }
    let status = ended?;
    ensure!(status.success(), "`{shown}` failed: {status}");
    Ok(())
}

/// The cargo that started us.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether a program of that name can be found.
pub fn has_program(name: &str) -> bool {
    lb_lab::program::find(name).is_some()
}

/// Joins `arguments` to a command, for calls that are easier to read on one line.
pub fn program<S: AsRef<OsStr>>(name: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}
