//! The balancer: the daemon in its namespace, and the command line beside it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::amount;
use crate::netns::Netns;
use crate::process::Process;
use crate::program;
use crate::wait::wait_until;

/// How long the daemon may take until its socket answers, and to end.
const DAEMON_LIMIT: Duration = Duration::from_secs(60);

/// What the daemon starts with, if the caller has no configuration of its own.
const CONFIG: &str = "version = 1\n\n[node]\nname = \"balancer\"\n";

/// Maps that are smaller than usual, for machines on which making and sweeping usual ones takes seconds.
const SMALL_LIMITS: &str = "limits = { services = 64, backends = 256, slots = 262148, flows = 16384, sources = 2 }\n";

/// The host that balances.
pub struct Balancer {
    daemon: Option<Process>,
    other: Option<Process>,
    was_started: bool,
    netns: Netns,
    dir: PathBuf,
    pins: PathBuf,
    devices: &'static [&'static str],
    is_attached_by_flag: bool,
    is_kept: bool,
}

/// What a run of the command line said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliOutput {
    /// The exit code; none when it was killed.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Balancer {
    /// For a host that is there: its namespace, a directory of its lab for files and one for pins, and the interfaces that the
    /// daemon attaches to unless its configuration says so itself.
    pub fn new(
        netns: Netns,
        (lab, pins): (PathBuf, PathBuf),
        devices: &'static [&'static str],
        is_kept: bool,
    ) -> Result<Self> {
        let dir = lab.join("balancer");
        std::fs::create_dir(&dir)?;
        Ok(Self {
            daemon: None,
            other: None,
            was_started: false,
            netns,
            dir,
            pins: pins.join("balancer"),
            devices,
            is_attached_by_flag: true,
            is_kept,
        })
    }

    /// Where its files lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// What tells `lb` where this daemon's socket, state and pins are.
    pub fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("LB_SOCKET", self.dir.join("lb.sock")),
            ("LB_STATE_DIR", self.dir.join("state")),
            ("LB_PIN_DIR", self.pins.clone()),
        ]
    }

    /// Where the daemon pins what it loads.
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    /// Starts the daemon with a configuration that says next to nothing, attached to all interfaces.
    pub fn start(&mut self) -> Result<()> {
        self.start_with(&[CONFIG, amount("", SMALL_LIMITS)].concat())
    }

    /// Starts the daemon with a configuration, attached to all interfaces, and waits until its socket answers.
    pub fn start_with(&mut self, config: &str) -> Result<()> {
        self.is_attached_by_flag = true;
        self.configure(config)?;
        self.run_daemon()
    }

    /// Starts the daemon with a configuration that says itself which interfaces to attach to.
    pub fn start_as_configured(&mut self, config: &str) -> Result<()> {
        self.is_attached_by_flag = false;
        self.configure(config)?;
        self.run_daemon()
    }

    /// Writes another configuration file. The daemon reads it when it starts, and on [`Balancer::hang_up`].
    pub fn configure(&self, config: &str) -> Result<()> {
        Ok(std::fs::write(self.config(), config)?)
    }

    /// Starts the daemon again, as it was started before.
    pub fn restart(&mut self) -> Result<()> {
        self.run_daemon()
    }

    /// Starts another program that balances, instead of the daemon: `command` is one of this host's namespace. Waits until
    /// it takes connections at `address`.
    ///
    /// # Errors
    ///
    /// It ends, or does not listen in time; the error has what it said.
    pub fn start_other(&mut self, command: Command, address: SocketAddr) -> Result<()> {
        ensure!(self.daemon.is_none(), "the daemon runs already");
        ensure!(self.other.is_none(), "another balancer runs already");
        let log = self.dir.join("other.log");
        let started = Process::spawn_listening(&self.netns, command, &[address], &log, self.is_kept)?;
        self.other = Some(started);
        Ok(())
    }

    /// The command, without the leading `lb`, by which the daemon is started.
    pub fn daemon_command(&self) -> Vec<String> {
        let config = self.config().display().to_string();
        let mut command = vec!["daemon".to_owned(), "--config".to_owned(), config];
        if self.is_attached_by_flag {
            let attach = |device: &&str| ["--attach".to_owned(), (*device).to_owned()];
            command.extend(self.devices.iter().flat_map(attach));
        }
        command
    }

    fn run_daemon(&mut self) -> Result<()> {
        ensure!(self.daemon.is_none(), "the daemon runs already");
        let mut command = self.command()?;
        command.args(self.daemon_command());
        let said_before = self.log().len();
        let log = File::options().create(true).append(true).open(self.log_file())?;
        command.stdout(log.try_clone()?).stderr(log).stdin(Stdio::null());
        self.was_started = true;
        let daemon = Process::spawn(command, self.is_kept)?;
        let daemon = self.daemon.insert(daemon);
        let socket = self.dir.join("lb.sock");
        let ready = wait_until("the daemon's socket answers", DAEMON_LIMIT, || {
            if let Some(status) = daemon.ended()? {
                anyhow::bail!("lb daemon ended: {status}");
            }
            Ok(answers(&socket).then_some(()))
        });
        if ready.is_err() {
            // One that does not answer cannot be asked to take anything down.
            self.daemon = None;
        }
        ready.with_context(|| {
            let log = self.log();
            let said = log.get(said_before..).unwrap_or_default().trim();
            match said.is_empty() {
                true => "lb daemon said nothing".to_owned(),
                false => format!("lb daemon said `{said}`"),
            }
        })
    }

    /// Runs the command line; what it says, however it ends.
    pub fn lb(&self, arguments: &[&str]) -> Result<CliOutput> {
        let mut command = self.command()?;
        let output = command.args(arguments).stdin(Stdio::null()).output();
        let output = output.context("cannot run lb")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(CliOutput {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }

    /// Runs the command line, which has to succeed; what it wrote to standard output.
    pub fn lb_ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.lb(arguments)?;
        let shown = arguments.join(" ");
        let said = output.stderr.trim();
        match output.code {
            Some(0) => Ok(output.stdout),
            Some(code) => anyhow::bail!("`lb {shown}` exited with {code}: {said}"),
            None => anyhow::bail!("`lb {shown}` was killed: {said}"),
        }
    }

    /// Kills the daemon with SIGKILL. What it pinned goes on forwarding.
    pub fn kill9(&mut self) -> Result<()> {
        self.take_daemon()?.kill9()
    }

    /// Ends the daemon with SIGTERM. What it pinned goes on forwarding.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.take_daemon()?.terminate(DAEMON_LIMIT)?;
        ensure!(status.success(), "lb daemon ended: {status}");
        Ok(())
    }

    /// Has the daemon read its configuration file again, by SIGHUP.
    pub fn hang_up(&mut self) -> Result<()> {
        let daemon = self.daemon.as_mut().context("the daemon does not run")?;
        daemon.hang_up()
    }

    /// The process id of the other program that balances, if one was started.
    pub fn other_id(&self) -> Option<u32> {
        self.other.as_ref().map(Process::id)
    }

    /// The daemon's process id, while it runs.
    pub fn daemon_id(&self) -> Option<u32> {
        self.daemon.as_ref().map(Process::id)
    }

    /// The interfaces of its namespace that hold an XDP program, as iproute2 sees them.
    pub fn interfaces_with_xdp(&self) -> Result<Vec<String>> {
        let mut show = self.netns.command(program::ip()?)?;
        let lines = program::output(show.args(["-oneline", "link", "show"]))?;
        let with_xdp = lines.lines().filter(|line| line.contains("xdp"));
        let name = |line: &str| line.split([':', '@']).nth(1).unwrap_or(line).trim().to_owned();
        Ok(with_xdp.map(name).collect())
    }

    /// What the daemon said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn take_daemon(&mut self) -> Result<Process> {
        self.daemon.take().context("the daemon does not run")
    }

    /// The configuration file that the daemon is started with.
    pub fn config(&self) -> PathBuf {
        self.dir.join("lb.toml")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("daemon.log")
    }

    /// A command line of this balancer to add words to, for those who need more of it than [`Balancer::lb`] does.
    pub fn command(&self) -> Result<Command> {
        let mut command = self.netns.command(program::lb()?)?;
        command.envs(self.environment());
        Ok(command)
    }

    /// Takes the data plane down as an operator would; without a daemon to ask, by removing the pins.
    fn take_down(&mut self) -> Result<()> {
        if self.daemon.is_some() {
            self.lb_ok(&["detach", "--all"])?;
            self.stop()?;
        }
        Ok(())
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        if self.is_kept || !self.was_started {
            return;
        }
        if let Err(error) = self.take_down() {
            eprintln!("taking the balancer down: {error:#}");
        }
        // The daemon has removed them where it was there to do so.
        let _ = std::fs::remove_dir_all(&self.pins);
    }
}

/// Whether something behind the socket speaks HTTP.
fn answers(socket: &Path) -> bool {
    let request = b"GET /healthz HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n\r\n";
    let ask = || -> std::io::Result<[u8; 5]> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(DAEMON_LIMIT))?;
        stream.write_all(request)?;
        let mut start = [0; 5];
        stream.read_exact(&mut start)?;
        Ok(start)
    };
    ask().is_ok_and(|start| &start == b"HTTP/")
}
