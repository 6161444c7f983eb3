//! Packets through the program without an interface: `BPF_PROG_TEST_RUN`.

use std::sync::atomic::Ordering;

use aya::programs::{TestRun, TestRunOptions, Xdp};
use lb_common::abi::{Slot, Trace};
use lb_common::maps;
use lb_common::reason::Reason;

use super::error::caused_by;
use super::mapped::Mapped;
use super::tables::mapped;
use super::{Dataplane, DataplaneError, object};

/// Interface that packets are said to come in by where nobody says otherwise: the loopback interface, which every network namespace
/// has.
pub const INGRESS: u32 = 1;
/// Shortest frame that the kernel runs.
pub const MIN_FRAME: usize = 14;
/// Longest frame that the kernel runs: a page without the room in front and behind.
pub const MAX_FRAME: usize = 4096 - 256 - 320;

/// What became of a packet, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Tx,
    Redirect,
    Pass,
    Drop,
    Aborted,
}

impl Verdict {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tx => "tx",
            Self::Redirect => "redirect",
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Aborted => "aborted",
        }
    }
}

/// A packet after the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub verdict: Verdict,
    /// Why it was passed, dropped or answered.
    pub reason: Option<Reason>,
    /// What was decided on the way; only from a program that traces.
    pub trace: Trace,
    pub packet: Vec<u8>,
}

/// How a packet comes in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival {
    /// Bytes of a driver's metadata in front of it, a multiple of 4: they take from the room for outer headers.
    pub metadata: usize,
    /// Index of the interface; 0: [`INGRESS`].
    pub interface: u32,
}

/// Runs packets, one at a time.
pub struct Runner {
    trace: Mapped<Trace>,
    before: Vec<u64>,
    buffer: Vec<u8>,
}

impl Runner {
    pub fn new(dataplane: &mut Dataplane) -> Result<Self, DataplaneError> {
        let trace = mapped(&mut dataplane.ebpf, maps::TRACE, 1)?;
        let before = dataplane.reasons()?;
        Ok(Self {
            trace,
            before,
            buffer: vec![0; 8192],
        })
    }

    /// Runs one packet, of [`MIN_FRAME`] to [`MAX_FRAME`] bytes from the Ethernet header on.
    ///
    /// # Errors
    ///
    /// The kernel refuses to run it.
    pub fn run(&mut self, dataplane: &Dataplane, packet: &[u8]) -> Result<Outcome, DataplaneError> {
        self.run_as(dataplane, Arrival::default(), packet)
    }

    /// As [`Runner::run`], for a packet that comes in in another way.
    ///
    /// # Errors
    ///
    /// As [`Runner::run`]; before Linux 5.15 the kernel knows no other way.
    pub fn run_as(
        &mut self,
        dataplane: &Dataplane,
        arrival: Arrival,
        packet: &[u8],
    ) -> Result<Outcome, DataplaneError> {
        for word in 0..size_of::<Trace>() / 8 {
            self.trace.word(0, word).store(0, Ordering::Release);
        }
        let program = object::loaded(&dataplane.ebpf, dataplane.program)?;
        let (verdict, length) = once(program, arrival, packet, &mut self.buffer)?;
        let trace: Trace = self.trace.load(0);
        let reason = match verdict {
            Verdict::Pass | Verdict::Drop => self.reason(dataplane)?,
            // An answer to its sender.
            Verdict::Tx if trace.backend == 0 => self.reason(dataplane)?,
            Verdict::Tx | Verdict::Redirect | Verdict::Aborted => None,
        };
        Ok(Outcome {
            verdict,
            reason,
            trace,
            packet: self.buffer[arrival.metadata..length].to_vec(),
        })
    }

    /// Runs one packet and only says what became of it: for many of them, whose counters are read when all are through.
    ///
    /// # Errors
    ///
    /// As [`Runner::run`].
    pub fn verdict(&mut self, dataplane: &Dataplane, packet: &[u8]) -> Result<(Verdict, &[u8]), DataplaneError> {
        let program = object::loaded(&dataplane.ebpf, dataplane.program)?;
        let (verdict, length) = once(program, Arrival::default(), packet, &mut self.buffer)?;
        Ok((verdict, &self.buffer[..length]))
    }

    /// The reason whose counter has moved.
    fn reason(&mut self, dataplane: &Dataplane) -> Result<Option<Reason>, DataplaneError> {
        let after = dataplane.reasons()?;
        let moved = after
            .iter()
            .zip(&self.before)
            .position(|(after, before)| after != before);
        self.before = after;
        Ok(moved.map(|place| Reason::ALL[place]))
    }
}

/// One packet through a program. Gives the verdict, and how many bytes of `buffer` are the metadata and the packet after it.
pub(super) fn once(
    program: &Xdp,
    arrival: Arrival,
    packet: &[u8],
    buffer: &mut [u8],
) -> Result<(Verdict, usize), DataplaneError> {
    let Arrival { metadata, interface } = arrival;
    let mut options = TestRunOptions::new();
    let mut behind = Vec::new();
    let mut context = [0u8; CONTEXT_BYTES];
    if metadata > 0 {
        behind.resize(metadata, 0);
        behind.extend_from_slice(packet);
    }
    let frame = if metadata > 0 { &behind } else { packet };
    if metadata > 0 || interface > 0 {
        context[0..4].copy_from_slice(&(metadata as u32).to_ne_bytes());
        context[4..8].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
        context[12..16].copy_from_slice(&interface.to_ne_bytes());
        options.ctx_in = Some(&context);
    }
    options.data_in = Some(frame);
    options.data_out = Some(buffer);
    let result = program.test_run(options).map_err(|error| {
        if interface > 0 && caused_by(&error, libc::EINVAL) {
            return DataplaneError::Run("to run one as if it came in by an interface takes Linux 5.15".into());
        }
        DataplaneError::run(error)
    })?;
    let verdict = match result.return_value {
        1 => Verdict::Drop,
        2 => Verdict::Pass,
        3 => Verdict::Tx,
        4 => Verdict::Redirect,
        _ => Verdict::Aborted,
    };
    Ok((verdict, result.data_size_out as usize))
}

/// The kernel's `struct xdp_md`: `data`, `data_end`, `data_meta`, `ingress_ifindex` and two more words.
const CONTEXT_BYTES: usize = 24;

/// The state of a slot in JSON.
pub fn slot_state_name(slot: Slot) -> &'static str {
    match slot.state() {
        lb_common::abi::slot_state::STABLE => "stable",
        _ => "unknown",
    }
}
