//! Processes that do not outlive the lab.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};

use crate::netns::Netns;
use crate::program::shown;
use crate::wait::wait_until;

/// How long a program may take until it listens.
const LISTEN_LIMIT: Duration = Duration::from_secs(10);

/// A running process, in a group of its own. It is killed with its group on drop, and when this process dies.
pub struct Process {
    child: Child,
    is_kept: bool,
}

impl Process {
    /// Starts `command`; when it `is_kept`, it stays when this is dropped, and when this process dies.
    pub fn spawn(mut command: Command, is_kept: bool) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let shown = shown(&command);
        command.process_group(0);
        if !is_kept {
            let die_with_us = || {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                Ok(())
            };
            // SAFETY: between fork and exec the closure makes one system call, and neither allocates nor locks.
            unsafe { command.pre_exec(die_with_us) };
        }
        let child = spawn_on_lasting_thread(command)?;
        let child = child.with_context(|| format!("cannot run `{shown}`"))?;
        Ok(Self { child, is_kept })
    }

    /// Starts `command`, a command of `netns`, and waits until it takes connections at all `addresses`. What it says goes
    /// to the file `log`.
    ///
    /// # Errors
    ///
    /// It ends, or does not listen in time; the error has what it said.
    pub fn spawn_listening(
        netns: &Netns,
        mut command: Command,
        addresses: &[SocketAddr],
        log: &Path,
        is_kept: bool,
    ) -> Result<Self> {
        let shown = shown(&command);
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdout(file.try_clone()?).stderr(file).stdin(Stdio::null());
        let mut process = Self::spawn(command, is_kept)?;
        let ready = netns.run(|| addresses.iter().try_for_each(|address| process.wait_for(*address)));
        ready.with_context(|| {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            match said.trim() {
                "" => format!("`{shown}` said nothing"),
                said => format!("`{shown}` said `{said}`"),
            }
        })?;
        Ok(process)
    }

    /// Waits until it takes connections at `address`, which is of the namespace of this thread.
    fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        wait_until(&format!("{address} takes connections"), LISTEN_LIMIT, || {
            if let Some(status) = self.ended()? {
                bail!("it ended: {status}");
            }
            Ok(TcpStream::connect(address).ok())
        })
        .map(drop)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Kills it and its group with SIGKILL, and waits until it is gone.
    pub fn kill9(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end with SIGTERM, and waits for that; what takes longer than `limit` is killed, and an error.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let ended = wait_until("the process has ended", limit, || self.ended());
        if ended.is_err() {
            self.kill9()?;
        }
        ended
    }

    /// Sends it SIGHUP, which a daemon takes for a wish to read its configuration again.
    pub fn hang_up(&mut self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let group = Pid::from_child(&self.child);
        match rustix::process::kill_process_group(group, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).context("cannot signal a process"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = self.kill9()
        {
            eprintln!("cannot kill process {}: {error:#}", self.id());
        }
    }
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts processes on a thread that lasts as long as we do: the death signal comes when the thread that started the
/// process ends, not when its process does.
fn spawn_on_lasting_thread(command: Command) -> Result<io::Result<Child>> {
    static STARTER: OnceLock<Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, inbox): (_, Receiver<Order>) = channel();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                // Whoever gave the order may be gone by now.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, started) = channel();
    let order = (command, answer);
    starter.send(order).ok().context("the starter is gone")?;
    started.recv().context("the starter is gone")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Result<Process> {
        let mut command = Command::new("sleep");
        command.arg("600");
        // The thread that asks for it ends at once, and the process must not end with it.
        std::thread::scope(|scope| {
            let started = scope.spawn(|| Process::spawn(command, false)).join();
            started.expect("no panic")
        })
    }

    #[test]
    fn a_process_outlives_the_thread_but_not_its_handle() -> Result<()> {
        let mut process = sleeper()?;
        assert!(process.ended()?.is_none());
        let pid = Pid::from_child(&process.child);
        drop(process);
        assert!(rustix::process::test_kill_process(pid).is_err());
        Ok(())
    }

    #[test]
    fn signals_are_told_apart() -> Result<()> {
        use std::os::unix::process::ExitStatusExt as _;
        let status = sleeper()?.terminate(Duration::from_secs(10))?;
        assert_eq!(status.signal(), Some(libc::SIGTERM));
        let mut process = sleeper()?;
        process.kill9()?;
        let ended = process.ended()?.expect("it was killed");
        assert_eq!(ended.signal(), Some(libc::SIGKILL));
        Ok(())
    }
}
