//! The maps: their names, and how large they are made.
//!
//! Names are those in the object, in the bpffs and in `bpftool map`: 15 characters at most, no dot.

/// [`crate::abi::Bucket`]s: what clients connect to → service number; array, mapped by the daemon.
pub const VIPS: &str = "VIPS";
/// Service number → [`crate::abi::Service`], array.
pub const SERVICES: &str = "SERVICES";
/// [`crate::abi::Slot`]s of all tables, array, mapped by the daemon.
pub const SLOTS: &str = "SLOTS";
/// Backend identifier → [`crate::abi::Backend`], array.
pub const BACKENDS: &str = "BACKENDS";
/// [`crate::abi::BackKey`] → [`crate::abi::Back`], hash.
pub const BACKS: &str = "BACKS";
/// [`crate::abi::RouteKey`] → [`crate::abi::Hop`], longest prefix match.
pub const ROUTES: &str = "ROUTES";
/// Interface index → interface to send from, devmap.
pub const EGRESS: &str = "EGRESS";
/// [`crate::abi::Bucket`]s of the flow table of `fullnat`, array, mapped by the daemon.
pub const FLOWS: &str = "FLOWS";
/// `source number * 65536 + port` → [`crate::abi::Entry`] of the flow that holds it, array, mapped by the daemon.
pub const PORTS: &str = "PORTS";
/// Rings of free ports, 65,536 places a source, array of `u32`, mapped by the daemon.
pub const FREE_PORTS: &str = "FREE_PORTS";
/// Source number → [`crate::abi::PortQueue`], array, mapped by the daemon.
pub const PORT_QUEUES: &str = "PORT_QUEUES";
/// [`crate::abi::role::RoleLine`]s of all addresses, array, mapped by the daemon.
pub const ROLES: &str = "ROLES";
/// Source address as in the packet → source number, hash.
pub const SOURCES: &str = "SOURCES";
/// Source number → source address as in the packet, array.
pub const SOURCE_ADDRS: &str = "SOURCE_ADDRS";
/// Seconds that a daemon has been running for, all runs added up; array of one `u64`, mapped by the daemon.
pub const CLOCK: &str = "CLOCK";
/// Service number → [`crate::abi::Past`], array.
pub const SERVICE_PAST: &str = "SERVICE_PAST";
/// Backend identifier → [`crate::abi::Counters`], per CPU.
pub const BACKEND_STATS: &str = "BACKEND_STATS";
/// [`crate::reason::Reason`] → packets, per CPU.
pub const REASONS: &str = "REASONS";
/// [`crate::abi::Meta`], array of one.
pub const META: &str = "META";
/// [`crate::abi::Trace`] of the last packet, array of one, mapped by the daemon.
pub const TRACE: &str = "TRACE";

/// Maps of the balancer, in the order in which they are pinned.
pub const BALANCER: &[&str] = &[
    VIPS,
    SERVICES,
    SLOTS,
    BACKENDS,
    BACKS,
    ROUTES,
    EGRESS,
    FLOWS,
    PORTS,
    FREE_PORTS,
    PORT_QUEUES,
    ROLES,
    SOURCES,
    SOURCE_ADDRS,
    CLOCK,
    SERVICE_PAST,
    BACKEND_STATS,
    REASONS,
    META,
    TRACE,
];

/// Maps of `decap`: local address as in the packet → anything, hash.
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
    /// Tunnel packets whose inner packet is not IPv4 or is cut short; dropped.
    pub const MALFORMED: u32 = 3;
    /// How many there are.
    pub const COUNT: usize = 4;
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
    pub const EGRESS: u32 = 1024;
}
