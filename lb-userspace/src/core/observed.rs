//! What health checks and netlink say, as values. The edge makes them, the model's owner reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use lb_common::abi::Tags;
use serde::{Deserialize, Serialize};

use super::model::NextHop;

/// Health of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Up,
    Down,
    /// Not checked yet, or not checked at all.
    #[default]
    Unknown,
}

/// Short codes of a check's result, as HAProxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CheckCode {
    /// Connected.
    L4OK,
    /// Refused, reset, or no route.
    L4CON,
    /// No answer to the connection in time.
    L4TOUT,
    /// The answer is right.
    L7OK,
    /// The answer has the wrong status or body.
    L7STS,
    /// Connected, but no answer in time.
    L7TOUT,
    /// The answer cannot be read.
    L7RSP,
    /// Not checked: something on this host is missing (files, ports, memory). Says nothing about the backend and leaves its
    /// health as it was.
    SOCKERR,
}

impl CheckCode {
    /// Whether the check succeeded.
    pub fn good(self) -> bool {
        matches!(self, Self::L4OK | Self::L7OK)
    }
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    pub code: CheckCode,
    /// For people: `connection refused`, `status 503`.
    pub detail: String,
    #[serde(rename = "duration_seconds", with = "seconds")]
    pub duration: Duration,
}

/// A duration as a number of seconds, so that JSON says its unit.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What a probe says after each check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    pub service: String,
    pub backend: String,
    /// Which target this report is about; reports about one that was replaced since are ignored.
    pub generation: u64,
    /// The health that follows from this check and the ones before it.
    pub health: Health,
    pub result: CheckResult,
}

/// Whose next hop is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HopTarget {
    pub address: IpAddr,
    /// Fixed by the configuration.
    pub via: Option<NextHop>,
}

/// How packets to an address leave this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedHop {
    /// Index of the interface to send from.
    pub egress: u32,
    pub source_mac: [u8; 6],
    pub destination_mac: [u8; 6],
    /// The address that this host would use as the source.
    pub source: IpAddr,
    /// Of the egress interface, in bytes.
    pub mtu: u16,
    /// VLAN tags of frames that are sent there.
    pub tags: Tags,
}

/// No address, of this family: a [`ResolvedHop::source`] where the host has none to send from.
pub fn unspecified(is_ipv6: bool) -> IpAddr {
    if is_ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

/// The state of a [`HopTarget`]; the error says what is missing and what to do.
pub type HopState = Result<ResolvedHop, String>;

/// Where packets to a prefix go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteHop {
    Via(ResolvedHop),
    /// The mirror does not know: the packet's program asks the kernel's FIB.
    AskKernel,
    /// This host's own address: nobody's way back leads there.
    Host,
}
