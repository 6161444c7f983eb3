//! The desired state: what the operator asked for, validated, with every default filled in.
//!
//! Nothing in it is a string that still has to be parsed, and no two parts of it contradict each other: what holds a
//! [`Model`] need not check it again.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use lb_common::abi::Mode;

use super::prefix::Prefix;

/// The whole desired state at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Grows by one with each accepted change.
    pub revision: u64,
    pub node: Node,
    /// In the order of the configuration.
    pub services: Vec<Service>,
}

/// What concerns this balancer alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub name: Option<String>,
    /// Interfaces to be attached to.
    pub interfaces: Vec<Interface>,
    /// Source addresses of `ipip` and `fullnat`; none of a family: the egress interface's own.
    pub source: Vec<IpAddr>,
    /// Addresses that outer headers of `ipip` come from, each flow's from one: so network cards and routers spread flows by them. At most
    /// one prefix of each family.
    pub ipip_source: Vec<Prefix>,
    /// Key of the flow hash; the same on every balancer of a cluster.
    pub hash_key: [u64; 2],
    pub limits: Limits,
    pub flow_timeouts: FlowTimeouts,
}

/// An interface and how the program is attached to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub xdp: XdpMode,
}

/// Where in the kernel the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XdpMode {
    /// In the driver.
    #[default]
    Native,
    /// In the network stack, slower, on any interface.
    Generic,
    /// Native where the driver can, else generic.
    Auto,
}

/// Sizes that the maps are made with; they change only when the maps are made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub services: u32,
    pub backends: u32,
    /// Slots of all tables together.
    pub slots: u32,
    /// Flows of all `fullnat` services together.
    pub flows: u32,
    /// Source addresses of `fullnat`.
    pub sources: u32,
}

/// After what time without a packet `fullnat` forgets a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowTimeouts {
    /// A SYN and nothing since.
    pub tcp_embryonic: Duration,
    pub tcp_established: Duration,
    /// FIN from both sides, or an RST.
    pub tcp_closed: Duration,
    pub udp: Duration,
}

/// What clients connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vip {
    /// Of a prefix the first.
    pub address: IpAddr,
    /// How many of its bits an address has in common with this one, to be it.
    pub length: u8,
    /// The first port.
    pub port: u16,
    /// The last one; as a rule the same.
    pub last_port: u16,
    pub protocol: Protocol,
}

impl Vip {
    /// With one port.
    pub const fn new(address: IpAddr, port: u16, protocol: Protocol) -> Self {
        Self {
            address,
            length: Prefix::host(address).length,
            port,
            last_port: port,
            protocol,
        }
    }

    /// The same at another port.
    pub const fn at(self, port: u16) -> Self {
        Self {
            port,
            last_port: port,
            ..self
        }
    }

    /// Its addresses.
    pub const fn prefix(self) -> Prefix {
        Prefix {
            address: self.address,
            length: self.length,
        }
    }

    /// Whether it has more than one address.
    pub fn is_prefix(self) -> bool {
        self.prefix() != Prefix::host(self.address)
    }

    /// Whether it has more than one port.
    pub fn is_range(self) -> bool {
        self.port != self.last_port
    }

    /// Whether it has every port there is.
    pub fn is_any(self) -> bool {
        (self.port, self.last_port) == (0, u16::MAX)
    }
}

/// Protocol of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
    /// Every protocol; it has no ports.
    Any,
}

/// A service and its pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub name: String,
    pub vip: Vip,
    pub mode: Mode,
    /// Slots of its table, a prime.
    pub table_size: u32,
    /// `gue`: UDP port of the backends that tunnels go to.
    pub tunnel_port: u16,
    /// TCP: largest segment that either side is told to send, in bytes; `None`: what they say themselves.
    pub mss_clamp: Option<u16>,
    pub check: Check,
    pub when_all_down: WhenAllDown,
    /// In the order of the configuration.
    pub backends: Vec<Backend>,
}

/// A real server behind a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    pub name: String,
    pub address: IpAddr,
    /// Where it is checked, and in `fullnat` and `nat` where packets go.
    pub port: u16,
    /// What holds now; 0: no new flows.
    pub weight: u32,
    /// What the configuration says.
    pub configured_weight: u32,
    /// The pool is made of the lowest priority that has anybody to offer.
    pub priority: u32,
    /// What holds now.
    pub state: AdminState,
    /// Who set state or weight by hand, if anybody did.
    pub set_by: Option<SetBy>,
    /// Fixed by the configuration; `None`: by route.
    pub next_hop: Option<NextHop>,
}

/// Who set something by hand, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetBy {
    pub who: String,
    /// Unix time, seconds.
    pub at: u64,
}

/// A next hop fixed by the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// A router that is resolved like any neighbour.
    Address(IpAddr),
    /// A MAC address on the interface that the route names.
    Mac([u8; 6]),
}

/// What the operator wants of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminState {
    #[default]
    Ready,
    /// No new flows; the old ones finish.
    Drain,
    /// Out at once, not checked.
    Maint,
}

/// What to do with packets when no backend is healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenAllDown {
    #[default]
    Drop,
    /// Use every backend that is ready, healthy or not.
    UseAll,
}

/// How a backend is checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub kind: CheckKind,
    /// `None`: the backend's port.
    pub port: Option<u16>,
    /// From one check's start to the next one's.
    pub interval: Duration,
    /// The interval while the health is about to change, or not known yet.
    pub fast_interval: Duration,
    pub timeout: Duration,
    /// Successes in a row that bring a backend up.
    pub rise: u32,
    /// Failures in a row that take it down.
    pub fall: u32,
    /// Share of the interval by which each check is moved at random, 0 to 1.
    pub jitter: f64,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// Nothing: the backend counts as healthy.
    None,
    /// Connects.
    Tcp,
    Http {
        path: String,
        /// `None`: the backend's address and port.
        host: Option<String>,
        /// Ranges of status codes that are good, both ends included.
        status: Vec<(u16, u16)>,
        /// Must be part of the body.
        body: Option<String>,
    },
}

impl Service {
    /// The backend with this name.
    pub fn backend(&self, name: &str) -> Option<&Backend> {
        self.backends.iter().find(|backend| backend.name == name)
    }
}

impl Model {
    /// The service with this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}

impl Protocol {
    /// IP protocol number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => lb_common::abi::protocol::TCP,
            Self::Udp => lb_common::abi::protocol::UDP,
            Self::Sctp => lb_common::abi::protocol::SCTP,
            Self::Any => lb_common::abi::protocol::ANY,
        }
    }

    /// The protocol with this IP protocol number, if a service can have it.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp, Self::Any]
            .into_iter()
            .find(|known| known.number() == number)
    }

    /// As in `VIP:PORT/tcp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Any => "any",
        }
    }
}

impl std::fmt::Display for Vip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}")?,
            IpAddr::V6(address) => write!(f, "[{address}]")?,
        }
        if self.is_prefix() {
            write!(f, "/{}", self.length)?;
        }
        let protocol = self.protocol.name();
        match (self.is_range(), self.is_any()) {
            (false, _) => write!(f, ":{}/{protocol}", self.port),
            (true, true) => write!(f, ":any/{protocol}"),
            (true, false) => write!(f, ":{}-{}/{protocol}", self.port, self.last_port),
        }
    }
}

/// The name of a mode in configuration, CLI and JSON.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Nat => "nat",
        Mode::Fullnat => "fullnat",
        Mode::L2 => "l2",
        Mode::Ipip => "ipip",
        Mode::Gue => "gue",
    }
}
