//! What is said of a packet. Field names are a contract.

use std::fmt;

use serde::Serialize;

use crate::fate::Fate;

/// One packet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Place of the packet in its file, from 0.
    pub index: usize,
    pub file: String,
    #[serde(flatten)]
    pub fate: Fate,
}

impl Line {
    pub fn header() -> String {
        format!(
            "{:>7}  {:<8}  {:<16}  {:<24}  {:>6}  {:>9}  FILE",
            "INDEX", "VERDICT", "REASON", "BACKEND", "SLOT", "BYTES"
        )
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, file, fate } = self;
        let target = fate.target().unwrap_or_else(|| "-".into());
        let slot = fate.slot.map_or_else(|| "-".into(), |slot| slot.to_string());
        let bytes = format!("{}>{}", fate.length_in, fate.length_out);
        let (verdict, reason) = (fate.verdict.name(), fate.reason.unwrap_or("-"));
        write!(
            f,
            "{index:>7}  {verdict:<8}  {reason:<16}  {target:<24}  {slot:>6}  {bytes:>9}  {file}"
        )
    }
}
