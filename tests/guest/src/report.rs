//! The port by which the host hears of what goes on here.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use lb_guest::places;
use lb_guest::said::Said;
use rustix::termios::OptionalActions;

/// The port. What the guest says, and what tests write to their standard output, goes there.
pub struct Report {
    port: File,
}

impl Report {
    pub fn open() -> Result<Self> {
        let port = File::options().write(true).open(places::REPORT_PORT);
        let port = port.with_context(|| format!("opening {}", places::REPORT_PORT))?;
        let mut settings = rustix::termios::tcgetattr(&port)?;
        settings.make_raw();
        rustix::termios::tcsetattr(&port, OptionalActions::Now, &settings)?;
        Ok(Self { port })
    }

    pub fn say(&mut self, said: &Said) {
        // There is no other way to say that this one does not work.
        let _ = writeln!(self.port, "{said}").and_then(|()| self.port.flush());
    }

    /// For the standard output of a program.
    pub fn as_output(&self) -> Result<Stdio> {
        Ok(self.port.try_clone()?.into())
    }
}
