//! The maps: their names, and how large they are made.
//!
//! Names are those in the object, in the bpffs and in `bpftool map`: 15 characters at most, no dot.

/// [`crate::abi::Bucket`]s: what clients connect to → service number; array, mapped by the daemon.
pub const VIPS: &str = "VIPS";
/// Prefixes of [`crate::abi::RangeKey`] → service number, longest prefix match: services with ranges of ports, or of a group.
pub const PORT_RANGES: &str = "PORT_RANGES";
/// Prefixes of [`crate::abi::PrefixKey`] → number of a group of services, longest prefix match.
pub const PREFIXES: &str = "PREFIXES";
/// Service number → [`crate::abi::Service`], array.
pub const SERVICES: &str = "SERVICES";
/// [`crate::abi::Slot`]s of all tables, array, mapped by the daemon.
pub const SLOTS: &str = "SLOTS";
/// Backend identifier → [`crate::abi::Backend`], array.
pub const BACKENDS: &str = "BACKENDS";
/// Backend identifier → [`crate::abi::Tags`] of frames to it, if its flags say so; array, mapped by the daemon.
pub const BACKEND_TAGS: &str = "BACKEND_TAGS";
/// [`crate::abi::BackKey`] → [`crate::abi::Back`], hash.
pub const BACKS: &str = "BACKS";
/// [`crate::abi::BackKey6`] → [`crate::abi::Back`], hash.
pub const BACKS6: &str = "BACKS6";
/// Prefix of IPv4 clients as in the packet → [`crate::abi::Hop`], longest prefix match.
pub const ROUTES: &str = "ROUTES";
/// Prefix of IPv6 clients as in the packet → [`crate::abi::Hop`], longest prefix match.
pub const ROUTES6: &str = "ROUTES6";
/// Interface index → interface to send from, devmap.
pub const EGRESS: &str = "EGRESS";
/// [`crate::abi::Bucket`]s of the flow table of `fullnat`, array, mapped by the daemon.
pub const FLOWS: &str = "FLOWS";
/// `source number * 65536 + port` → [`crate::abi::Entry`] of the flow that holds it, array, mapped by the daemon.
pub const PORTS: &str = "PORTS";
/// `source number * 65536 + port` → [`crate::abi::Client6`] of the flow that holds it, if its client is IPv6; array.
pub const CLIENTS6: &str = "CLIENTS6";
/// Rings of free ports, 65,536 places a source, array of `u32`, mapped by the daemon.
pub const FREE_PORTS: &str = "FREE_PORTS";
/// Source number → [`crate::abi::PortQueue`], array, mapped by the daemon.
pub const PORT_QUEUES: &str = "PORT_QUEUES";
/// [`crate::abi::role::RoleLine`]s of all addresses, array, mapped by the daemon.
pub const ROLES: &str = "ROLES";
/// [`crate::abi::Address`] of a source → source number, hash.
pub const SOURCES: &str = "SOURCES";
/// Source number → [`crate::abi::Address`], array.
pub const SOURCE_ADDRS: &str = "SOURCE_ADDRS";
/// Seconds that a daemon has been running for, all runs added up; array of one `u64`, mapped by the daemon.
pub const CLOCK: &str = "CLOCK";
/// Service number → [`crate::abi::Past`], array.
pub const SERVICE_PAST: &str = "SERVICE_PAST";
/// Backend identifier → [`crate::abi::Counters`], per CPU.
pub const BACKEND_STATS: &str = "BACKEND_STATS";
/// [`crate::reason::Reason`] → packets, per CPU.
pub const REASONS: &str = "REASONS";
/// [`crate::abi::Found`] of the packet that is looked at, array of one, per CPU.
pub const FOUND: &str = "FOUND";
/// [`crate::abi::Handed`] of the packet that the balancer hands over, array of one, per CPU.
pub const HANDED: &str = "HANDED";
/// What the balancer hands packets over to: [`programs`]; program array.
pub const PROGRAMS: &str = "PROGRAMS";
/// [`crate::abi::FragmentKey`] → [`crate::abi::FragmentWay`], hash that gives up what was used least lately.
pub const FRAGMENTS: &str = "FRAGMENTS";
/// [`crate::abi::Meta`], array of one.
pub const META: &str = "META";
/// [`crate::abi::Trace`] of the last packet, array of one, mapped by the daemon.
pub const TRACE: &str = "TRACE";

/// Maps of the balancer, in the order in which they are pinned.
pub const BALANCER: &[&str] = &[
    VIPS,
    PORT_RANGES,
    PREFIXES,
    SERVICES,
    SLOTS,
    BACKENDS,
    BACKEND_TAGS,
    BACKS,
    BACKS6,
    ROUTES,
    ROUTES6,
    EGRESS,
    FLOWS,
    PORTS,
    CLIENTS6,
    FREE_PORTS,
    PORT_QUEUES,
    ROLES,
    SOURCES,
    SOURCE_ADDRS,
    CLOCK,
    SERVICE_PAST,
    BACKEND_STATS,
    REASONS,
    FOUND,
    HANDED,
    PROGRAMS,
    FRAGMENTS,
    META,
    TRACE,
];

/// Places in [`PROGRAMS`].
pub mod programs {
    /// ICMP, and packets whose sender is to be told something.
    pub const ICMP: u32 = 0;
    /// Later fragments.
    pub const FRAGMENTS: u32 = 1;
    /// Packets between a service and a backend of different families.
    pub const ACROSS: u32 = 2;
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// Maps of `decap`: local address → anything, hash. Addresses of `decap` are IPv6, IPv4 ones mapped ([`crate::encap::mapped`])
pub const DECAP_LOCAL: &str = "DECAP_LOCAL";
/// Prefixes of balancers whose packets are unpacked, longest prefix match.
pub const DECAP_FROM: &str = "DECAP_FROM";
/// [`decap`] counter → packets, per CPU.
pub const DECAP_STATS: &str = "DECAP_STATS";

/// Indices of [`DECAP_STATS`].
pub mod decap {
    /// Packets unpacked and passed on.
    pub const UNPACKED: u32 = 0;
    /// Packets that were no tunnel packets to one of our addresses; passed untouched.
    pub const OTHER: u32 = 1;
    /// Tunnel packets from a source that is not allowed; dropped.
    pub const NOT_ALLOWED: u32 = 2;
    /// Tunnel packets whose inner packet is not what the outer header says, or is cut short; dropped.
    pub const MALFORMED: u32 = 3;
    /// Tunnel packets that met congestion, and whose sender does not understand a mark of it; dropped (RFC 6040, section 4.2).
    pub const NOT_CAPABLE: u32 = 4;
    /// How many there are.
    pub const COUNT: usize = 5;
}

/// Globals in `.rodata` that the daemon sets at load.
pub mod globals {
    /// `abi::Meta::hash_key`, two `u64`.
    pub const HASH_KEY: &str = "HASH_KEY";
    /// `abi::Meta::flow_seed`, `u64`.
    pub const FLOW_SEED: &str = "FLOW_SEED";
    /// Number of buckets in [`super::FLOWS`], `u32`.
    pub const FLOW_BUCKETS: &str = "FLOW_BUCKETS";
    /// Number of source addresses that [`super::PORTS`] has room for, `u32`.
    pub const SOURCE_LIMIT: &str = "SOURCE_LIMIT";
    /// Number of buckets in [`super::VIPS`], a power of two, less 1, `u32`.
    pub const VIP_MASK: &str = "VIP_MASK";
    /// `decap`: 1 if only the prefixes of [`super::DECAP_FROM`] may send, `u32`.
    pub const FROM_LISTED: &str = "FROM_LISTED";
    /// `decap`: the UDP port at which tunnels of `gue` end, as in the packet, `u32`.
    pub const GUE_PORT: &str = "GUE_PORT";
}

/// Entries of the maps where nobody says otherwise.
pub mod default_limits {
    pub const SERVICES: u32 = 4096;
    pub const BACKENDS: u32 = 16_384;
    /// 64 tables of 65,537 slots.
    pub const SLOTS: u32 = 64 * 65_537;
    pub const FLOWS: u32 = 262_144;
    pub const SOURCES: u32 = 4;
    pub const ROUTES: u32 = 65_536;
    /// A range is made of 30 prefixes at most.
    pub const PORT_RANGES: u32 = 65_536;
    pub const EGRESS: u32 = 1024;
    /// Datagrams on their way in fragments at once.
    pub const FRAGMENTS: u32 = 16_384;
}
