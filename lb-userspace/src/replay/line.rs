//! What is said of a packet. Field names are a contract.

use std::fmt;

use serde::Serialize;

use crate::edge::dataplane::run::Verdict;

/// One packet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Place of the packet in its file, from 0.
    pub index: usize,
    pub file: String,
    pub verdict: Verdict,
    /// Why it was passed or dropped.
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

impl Line {
    /// A frame that is shorter or longer than the kernel runs, and than a driver would hand over.
    pub fn not_run(index: usize, file: &str, length: usize) -> Self {
        Self {
            index,
            file: file.into(),
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

    /// Whether it is in the capture that is written: all but dropped ones.
    pub fn is_written(&self) -> bool {
        matches!(self.verdict, Verdict::Tx | Verdict::Redirect | Verdict::Pass)
    }

    pub fn header() -> String {
        format!(
            "{:>7}  {:<8}  {:<16}  {:<24}  {:>6}  {:>9}  FILE",
            "INDEX", "VERDICT", "REASON", "BACKEND", "SLOT", "BYTES"
        )
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Tx => "tx",
            Verdict::Redirect => "redirect",
            Verdict::Pass => "pass",
            Verdict::Drop => "drop",
            Verdict::Aborted => "aborted",
        };
        let target = match (&self.service, &self.backend) {
            (Some(service), Some(backend)) => format!("{service}/{backend}"),
            (Some(service), None) => service.clone(),
            _ => "-".into(),
        };
        let slot = self.slot.map_or_else(|| "-".into(), |slot| slot.to_string());
        let bytes = format!("{}>{}", self.length_in, self.length_out);
        let reason = self.reason.unwrap_or("-");
        write!(
            f,
            "{:>7}  {verdict:<8}  {reason:<16}  {target:<24}  {slot:>6}  {bytes:>9}  {}",
            self.index, self.file
        )
    }
}
