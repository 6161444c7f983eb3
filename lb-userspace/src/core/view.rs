//! What people and scripts are shown: the answers of the API, one to one. Field names are a contract.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::model::{AdminState, SetBy, XdpMode};
use super::observed::{CheckResult, Health};

/// Answer to `lb status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub abi_version: u32,
    pub name: Option<String>,
    pub revision: u64,
    /// Unix time, seconds.
    pub started_at: u64,
    /// Unix time, seconds, of the maps' creation.
    pub data_plane_since: u64,
    /// What the daemon found when it started: `created` or `adopted`.
    pub data_plane: String,
    pub interfaces: Vec<Interface>,
    pub services: usize,
    pub backends: usize,
    pub backends_up: usize,
    pub backends_down: usize,
    pub next_hops_unresolved: usize,
    pub slots_used: u64,
    pub slots_capacity: u64,
    pub flow_table_entries: u64,
    pub flow_table_capacity: u64,
    pub dropped_packets: u64,
    /// Whether the configuration file was read without an error when it was last read.
    pub config_last_load_successful: bool,
    /// Things an operator should know of, a line each.
    pub warnings: Vec<String>,
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    pub name: String,
    pub index: u32,
    pub mac: String,
    pub mtu_bytes: u32,
    /// Kind of link, `veth` or `bridge`; empty for hardware.
    pub kind: String,
    pub up: bool,
    pub addresses: Vec<String>,
    /// Whether our program is attached, and how.
    pub attached: Option<XdpMode>,
    /// Identifier of somebody else's XDP program, if there is one.
    pub other_program: Option<u32>,
}

/// Counters of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCounters {
    pub packets: u64,
    pub bytes: u64,
    pub new_flows: u64,
    pub back_packets: u64,
    pub back_bytes: u64,
}

/// Counters of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendCounters {
    pub packets: u64,
    pub bytes: u64,
    pub new_flows: u64,
}

/// One service, as `lb list` and `lb show` give it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub name: String,
    /// `192.0.2.10:443/tcp`.
    pub vip: String,
    pub mode: String,
    pub table_size: u32,
    pub when_all_down: String,
    pub check: String,
    /// `ok`, `degraded` (some backend is down or not checked yet) or `down` (nobody takes packets).
    pub state: String,
    pub counters: ServiceCounters,
    pub backends: Vec<Backend>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    pub name: String,
    /// `10.0.1.2:80`.
    pub address: String,
    pub weight: u32,
    pub configured_weight: u32,
    pub priority: u32,
    pub state: AdminState,
    pub set_by: Option<SetBy>,
    pub health: Health,
    /// Unix time, seconds, of the last change of health.
    pub health_since: Option<u64>,
    pub last_check: Option<LastCheck>,
    /// Slots of the service's table that are its.
    pub slots: u32,
    /// Why it gets no new flows; `None`: it does.
    pub out_because: Option<String>,
    /// `02:00:00:00:00:01 via eth0`, or why there is none.
    pub next_hop: String,
    pub next_hop_resolved: bool,
    pub counters: BackendCounters,
    /// Flows in the flow table; `None` where the mode keeps none.
    pub flows: Option<u64>,
}

/// The last check of a backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastCheck {
    #[serde(flatten)]
    pub result: CheckResult,
    /// Unix time, seconds.
    pub at: u64,
}

/// Packets by reason, one line of `lb drops`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    pub reason: String,
    /// `drop` or `pass`.
    pub verdict: String,
    pub meaning: String,
    pub packets: u64,
}

/// Answer to a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The revision it made, or would make; the present one if nothing changes.
    pub revision: u64,
    pub changed: bool,
    pub dry_run: bool,
    /// What changes, a line each, in the words of `lb apply --dry-run`.
    pub plan: Vec<String>,
    /// What does not stop the change, but should be known.
    pub warnings: Vec<String>,
}

/// A refusal, or a failure: RFC 9457 problem document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Kind of problem, stable: `about:blank#invalid`, `…#not-found`, `…#conflict`, `…#failed`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// One line: what, why, what to do.
    pub detail: String,
    /// All findings, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}

/// `10.0.1.2:80`; without the port where packets keep whatever port they have.
pub fn backend_address(address: IpAddr, port: u16) -> String {
    match port {
        0 => address.to_string(),
        port => SocketAddr::new(address, port).to_string(),
    }
}

/// `02:00:00:00:00:01`.
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

impl Service {
    /// Its backend with this name, or this address with or without the port.
    pub fn into_backend(self, name: &str) -> Result<Backend, Problem> {
        let is_named = |backend: &Backend| {
            let address = backend.address.as_str();
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            backend.name == name || address == name || host == name
        };
        let Some(index) = self.backends.iter().position(|backend| backend.name == name) else {
            let mut found: Vec<Backend> = self.backends.into_iter().filter(is_named).collect();
            return match (found.pop(), found.pop()) {
                (Some(backend), None) => Ok(backend),
                (None, _) => Err(Problem::not_found(format!(
                    "service {} has no backend {name}; see lb show {}",
                    self.name, self.name
                ))),
                _ => Err(Problem::conflict(format!(
                    "service {} has several backends at {name}; name one of them, see lb show {}",
                    self.name, self.name
                ))),
            };
        };
        let mut backends = self.backends;
        Ok(backends.swap_remove(index))
    }
}

impl Problem {
    fn new(kind: &str, title: &str, status: u16, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("about:blank#{kind}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            findings: Vec::new(),
        }
    }
    /// The request itself cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new("malformed", "Malformed request", 400, detail)
    }
    /// What is asked for is named, and is not there.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new("not-found", "Not found", 404, detail)
    }
    /// The path is there, the method is not.
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new("method-not-allowed", "Method not allowed", 405, detail)
    }
    /// It contradicts what is there: a duplicate.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new("conflict", "Conflict", 409, detail)
    }
    /// The desired state is at another revision than the change was made for.
    pub fn revision_mismatch(expected: u64, present: u64) -> Self {
        let detail = format!(
            "the change was made for revision {expected}, but the desired state is at revision {present}; \
             look at what changed and try again with revision {present}"
        );
        Self::new("revision-mismatch", "Revision mismatch", 412, detail)
    }
    /// More than the API takes.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new("too-large", "Content too large", 413, detail)
    }
    /// A body in a language that this path does not read.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new("unsupported-media-type", "Unsupported media type", 415, detail)
    }
    /// It can be read, but cannot be the desired state.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new("invalid", "Invalid", 422, detail)
    }
    /// It should have worked: the disk, the kernel.
    pub fn failed(detail: impl Into<String>) -> Self {
        Self::new("failed", "Failed", 500, detail)
    }
    /// The daemon is starting, ending, or stuck.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new("unavailable", "Unavailable", 503, detail)
    }
    /// The wait that the client asked for ran out.
    pub fn deadline(detail: impl Into<String>) -> Self {
        Self::new("deadline", "Deadline ran out", 504, detail)
    }
    /// The same with all findings.
    pub fn with_findings(self, findings: Vec<String>) -> Self {
        Self { findings, ..self }
    }
}

/// Everything that `/metrics` is made from, read in one go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub status: Status,
    pub services: Vec<Service>,
    pub reasons: Vec<ReasonCount>,
    /// (service, backend, code) → checks.
    pub checks: Vec<(String, String, String, u64)>,
    /// Per service: seconds, buckets in [`CHECK_BUCKETS`] (not cumulative, one more for the rest), sum.
    pub check_durations: Vec<(String, Vec<u64>, f64)>,
    /// Seconds that the last change took to reach the maps.
    pub last_apply_seconds: f64,
}

/// Upper bounds of the histogram of check durations, in seconds.
pub const CHECK_BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0];
