//! A virtual machine: started, listened to, and ended when it falls silent.

use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Result;
use lb_guest::places;
use lb_guest::verdict::{self, Verdict};
use lb_lab::process::Process;

/// A guest that says nothing for so long hangs. Its slowest test takes a fraction of this.
const SILENCE: Duration = Duration::from_secs(180);

/// The same for a guest that only boots, to see whether it can.
const SILENCE_OF_A_TRIAL: Duration = Duration::from_secs(10);

/// What QEMU complains of where a processor cannot run guests, though its device is there. The machine stops at its first
/// instructions, and QEMU waits for somebody to look at it.
const NO_KVM: &str = "KVM internal error";

/// How often it is looked whether QEMU has complained so.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long a guest may take to be gone once it has closed its port.
const END_LIMIT: Duration = Duration::from_secs(30);

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    /// The host's own processor.
    Kvm,
    /// An emulated one.
    Emulated,
    /// An emulated one whose clock goes by its instructions: a nanosecond each.
    Counting,
}

impl Processor {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host", "-smp", "2"],
            // With a source of random numbers: without one the kernel makes its own for seconds.
            Self::Emulated => &[
                "-accel",
                "tcg,thread=multi",
                "-cpu",
                "qemu64,+rdrand,+rdseed",
                "-smp",
                "2",
            ],
            Self::Counting => &[
                "-accel",
                "tcg,thread=single",
                "-smp",
                "1",
                "-icount",
                "shift=0,sleep=off",
            ],
        }
    }
}

/// A machine to be.
pub struct Machine {
    pub processor: Processor,
    pub image: PathBuf,
    /// The archives of its file system, one after the other.
    pub archives: PathBuf,
    /// Where the kernel's messages go.
    pub console: PathBuf,
    /// Where QEMU's own complaints go.
    pub complaints: PathBuf,
}

/// How a machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Verdict(Verdict),
    /// It ended without a verdict: its kernel panicked, or QEMU failed.
    Lost,
    /// It fell silent, and was killed.
    Silent,
}

impl Machine {
    /// Runs the machine to its end; each line that the guest writes to its report goes to `hear`.
    pub fn run(&self, hear: impl FnMut(&str)) -> Result<End> {
        self.run_until_silent(SILENCE, hear)
    }

    /// Whether a machine that only boots gets to a good end.
    pub fn is_good(&self) -> Result<bool> {
        Ok(self.run_until_silent(SILENCE_OF_A_TRIAL, |_| ())? == End::Verdict(Verdict::Good))
    }

    fn run_until_silent(&self, silence: Duration, mut hear: impl FnMut(&str)) -> Result<End> {
        let (output, writing) = std::io::pipe()?;
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(writing)
            .stderr(File::create(&self.complaints)?);
        let mut process = Process::spawn(command, false)?;
        let lines = lines(output);
        let mut last_heard = Instant::now();
        loop {
            match lines.recv_timeout(LOOK_EVERY) {
                Ok(line) => {
                    hear(line.trim_end_matches('\r'));
                    last_heard = Instant::now();
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if last_heard.elapsed() > silence || self.has_stopped() => {
                    process.kill9()?;
                    return Ok(End::Silent);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let status = lb_lab::wait_until("the machine has ended", END_LIMIT, || process.ended())?;
        let verdict = status.code().and_then(Verdict::from_exit_code);
        Ok(verdict.map_or(End::Lost, End::Verdict))
    }

    fn has_stopped(&self) -> bool {
        let complaints = std::fs::read_to_string(&self.complaints).unwrap_or_default();
        complaints.contains(NO_KVM)
    }

    fn command(&self) -> Command {
        // Without the mitigations of processors that an emulated one is not, and without zeroing memory that nobody reads. Programs
        // at the same addresses every time, for what QEMU has translated it knows by its address: to translate `lb` anew takes
        // five times as long as to run it. With all else as Debian has it.
        let mut append =
            "console=ttyS0 panic=-1 quiet tsc=reliable rcupdate.rcu_expedited=1 init_on_alloc=0".to_owned();
        if self.processor != Processor::Kvm {
            append.push_str(" mitigations=off norandmaps");
        }
        append.push_str(&format!(" {}=1", places::SIGN));
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-nodefaults", "-M", "q35", "-m", "1G", "-display", "none", "-no-reboot"])
            .args(self.processor.arguments())
            .arg("-device")
            .arg(format!("isa-debug-exit,iobase={:#x},iosize=1", verdict::PORT))
            .arg("-serial")
            .arg(format!("file:{}", self.console.display()))
            .args(["-serial", "stdio", "-append", &append, "-kernel"])
            .arg(&self.image)
            .arg("-initrd")
            .arg(&self.archives);
        command
    }

    /// What QEMU complained of, and the last lines of the kernel's messages.
    pub fn last_words(&self, lines: usize) -> String {
        [last_lines(&self.complaints, lines), last_lines(&self.console, lines)]
            .join("\n")
            .trim()
            .to_owned()
    }
}

fn last_lines(file: &Path, count: usize) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches('\r')).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The lines that come, until there are no more.
fn lines(output: PipeReader) -> Receiver<String> {
    let (line, lines) = channel();
    std::thread::spawn(move || {
        for read in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if line.send(String::from_utf8_lossy(&read).into_owned()).is_err() {
                break;
            }
        }
    });
    lines
}
