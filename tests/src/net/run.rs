//! Running commands: the command line, and what has to end by itself.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use lb_lab::process::Process;
use lb_lab::{Balancer, CliOutput, Netns, program, wait_until};

use super::{PATIENCE, look};

/// Runs a command that is killed, and an error, when it goes on. What it writes has to fit into a pipe.
pub fn to_its_end(mut command: Command) -> Result<CliOutput> {
    let (mut stdout, to_stdout) = io::pipe()?;
    let (mut stderr, to_stderr) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(to_stdout).stderr(to_stderr);
    let mut process = Process::spawn(command, false)?;
    let status = wait_until("the command has ended", PATIENCE, || process.ended())?;
    let mut output = CliOutput {
        code: status.code(),
        stdout: String::new(),
        stderr: String::new(),
    };
    stdout.read_to_string(&mut output.stdout)?;
    stderr.read_to_string(&mut output.stderr)?;
    Ok(output)
}

/// Runs `ip` in the balancer's namespace.
pub fn ip(balancer: &Balancer, words: &[&str]) -> Result<()> {
    ip_in(balancer.netns(), words)
}

/// Runs `ip` in a namespace.
pub fn ip_in(netns: &Netns, words: &[&str]) -> Result<()> {
    let mut command = netns.command(program::ip()?)?;
    program::output(command.args(words)).map(drop)
}

/// A file beside the daemon's own, gone with the lab.
pub fn file(balancer: &Balancer, name: &str, content: &str) -> Result<String> {
    let path = balancer.config().with_file_name(name);
    std::fs::write(&path, content)?;
    let path = path.into_os_string().into_string();
    path.ok().context("a lab's files have names that are text")
}

/// A command that has to succeed.
pub fn does(balancer: &Balancer, command: &str) -> Result<String> {
    balancer.lb_ok(&command.split(' ').collect::<Vec<_>>())
}

/// A command that makes the next revision, and says so.
pub fn changes(balancer: &Balancer, command: &str) -> Result<()> {
    let next = revision(balancer)? + 1;
    let said = does(balancer, command)?;
    let begin = format!("revision {next}: ");
    ensure!(
        said.starts_with(&begin) && !said.contains("unchanged"),
        "{command}: {said}"
    );
    ensure!(revision(balancer)? == next, "{command} did not make revision {next}");
    Ok(())
}

/// The number of the desired state.
pub fn revision(balancer: &Balancer) -> Result<u64> {
    look::number(balancer, &["status"], "/revision")
}

/// A second daemon in the balancer's namespace, with places of its own if not said otherwise.
pub struct Second {
    pub socket: PathBuf,
    pub state_dir: PathBuf,
    pub pin_dir: PathBuf,
}

impl Second {
    pub fn beside(balancer: &Balancer) -> Self {
        Self {
            socket: balancer.config().with_file_name("second.sock"),
            state_dir: balancer.config().with_file_name("second-state"),
            pin_dir: balancer.pins().with_file_name("balancer-second"),
        }
    }

    /// Starts it, by way of `through` and its arguments if there are any; it has to refuse.
    pub fn run(&self, balancer: &Balancer, through: &[&str], arguments: &[&str]) -> Result<CliOutput> {
        let lb = program::lb()?;
        let mut command = match through {
            [] => balancer.netns().command(lb)?,
            [program, options @ ..] => {
                let mut command = balancer.netns().command(program)?;
                command.args(options).arg(lb);
                command
            }
        };
        command.arg("--socket").arg(&self.socket).arg("daemon");
        command.arg("--config").arg(balancer.config());
        command.arg("--state-dir").arg(&self.state_dir);
        command.arg("--pin-dir").arg(&self.pin_dir).args(arguments);
        to_its_end(command)
    }
}
