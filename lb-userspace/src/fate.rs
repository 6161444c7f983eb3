//! What became of a packet that was run without an interface, as it is said. Field names are a contract.

use lb_common::abi::{self, trace_flags};
use serde::Serialize;

use crate::core::model::{Mode, mode_name};
use crate::edge::dataplane::run::{Outcome, Verdict, slot_state_name};

/// One packet's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fate {
    pub verdict: Verdict,
    /// Why it was passed, dropped or answered.
    pub reason: Option<&'static str>,
    pub service: Option<String>,
    /// Name of the backend that it goes to, or comes from.
    pub backend: Option<String>,
    pub mode: Option<&'static str>,
    /// The slot that steered it; none where the flow table did.
    pub slot: Option<u32>,
    pub slot_state: Option<&'static str>,
    /// In bytes, from the Ethernet header on.
    pub length_in: usize,
    /// 0: dropped.
    pub length_out: usize,
}

impl Fate {
    /// Of a packet that was `length_in` bytes long, with what the service and the backend that its trace has numbers of are called.
    pub fn new(outcome: &Outcome, length_in: usize, service: Option<(String, Mode)>, backend: Option<String>) -> Self {
        let trace = &outcome.trace;
        let steered = trace.flags & trace_flags::SLOT != 0;
        let (service, mode) = service.unzip();
        Self {
            verdict: outcome.verdict,
            reason: outcome.reason.map(|reason| reason.name()),
            service,
            backend,
            mode: mode.map(mode_name),
            slot: steered.then_some(trace.slot_index),
            slot_state: steered.then(|| slot_state_name(abi::Slot(trace.slot))),
            length_in,
            length_out: match outcome.verdict {
                Verdict::Drop | Verdict::Aborted => 0,
                Verdict::Tx | Verdict::Redirect | Verdict::Pass => outcome.packet.len(),
            },
        }
    }

    /// A frame that is shorter or longer than the kernel runs, and than a driver would hand over.
    pub fn not_run(length: usize) -> Self {
        Self {
            verdict: Verdict::Drop,
            reason: Some("frame_length"),
            service: None,
            backend: None,
            mode: None,
            slot: None,
            slot_state: None,
            length_in: length,
            length_out: 0,
        }
    }

    /// Whether there still is a packet: all but dropped ones.
    pub fn is_left(&self) -> bool {
        matches!(self.verdict, Verdict::Tx | Verdict::Redirect | Verdict::Pass)
    }

    /// `SERVICE/BACKEND`, as far as it is known.
    pub fn target(&self) -> Option<String> {
        match (&self.service, &self.backend) {
            (Some(service), Some(backend)) => Some(format!("{service}/{backend}")),
            (service, _) => service.clone(),
        }
    }
}
