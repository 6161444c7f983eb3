//! The structs that lie in the maps, shared by the programs and the daemon.
//!
//! # Layout
//!
//! - here: services, slots, backends, the way back
//! - `address`: of either family
//! - `counters`: what a packet is counted as
//! - `bucket`: what hash tables are made of
//! - `vip`: what clients connect to
//! - `range`: what clients connect to by ranges of ports or prefixes of addresses
//! - `flows`: the flow table of `fullnat` and its ports
//! - `fragment`: what later fragments follow
//! - `mode`: how packets reach backends
//! - `noted`: of a packet while it is looked at
//! - [`role`]: which addresses are worth looking up
//! - `tags`: of VLANs
//!
//! A change to anything here that an old program or an old daemon would misread needs a new [`ABI_VERSION`]. No struct has
//! implicit padding; sizes are asserted.

macro_rules! assert_layout {
    ($($t:ty: $size:literal, $align:literal;)*) => {
        $(const _: () = assert!(core::mem::size_of::<$t>() == $size && core::mem::align_of::<$t>() == $align);)*
        $(
            // SAFETY: repr(C), no implicit padding (the size above is the sum of its fields), valid for every bit pattern.
            #[cfg(feature = "user")]
            unsafe impl aya::Pod for $t {}
        )*
    };
}

pub(crate) use assert_layout;

mod address;
mod bucket;
mod counters;
mod flows;
mod fragment;
mod mode;
mod noted;
mod range;
pub mod role;
mod tags;
mod vip;

pub use address::Address;
pub use bucket::{BUCKET_ENTRIES, Bucket, Entry};
pub use counters::{Counters, Past};
pub use flows::{Client6, FlowKey, FlowValue, MAX_SOURCES, PORTS_PER_SOURCE, PortQueue, flow_state};
pub use fragment::{FRAGMENT_SECONDS, FragmentKey, FragmentWay, fragment_direction};
pub use mode::Mode;
pub use noted::{Across, Found, Handed, across_flags};
pub use range::{PrefixKey, RangeKey};
pub use tags::{Tags, tag_protocol};
pub use vip::{NO_SERVICE, VipKey, vip_buckets, vip_first, vip_second};

/// Version of everything in this module. A daemon adopts pinned maps only when they carry its own version.
pub const ABI_VERSION: u32 = 11;

/// Identifier of no backend. A slot that holds it has nobody to send to.
pub const NO_BACKEND: u32 = 0;

/// Bits of a backend's identifier in a [`Slot`] and in a flow's value.
pub const BACKEND_BITS: u32 = 24;

/// IP protocol numbers that a service can have (IANA protocol numbers).
pub mod protocol {
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const SCTP: u8 = 132;
    /// Of a service for every protocol; reserved, so no packet's.
    pub const ANY: u8 = 255;
    /// Not a service's; what is said about its packets.
    pub const ICMP: u8 = 1;
    pub const ICMPV6: u8 = 58;
}

/// A service by its number: its table, and the address that the way back writes as the source. One cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Service {
    /// First slot of its table in the slots' array.
    pub table_base: u32,
    /// Number of slots; a prime.
    pub table_size: u32,
    /// Bits of [`service_flags`].
    pub flags: u32,
    /// Port as in the packet; of a range the first.
    pub port: u16,
    /// IP protocol number; 0: no such service.
    pub protocol: u8,
    /// How many bits of its address are the same in every packet to it.
    pub prefix_length: u8,
    /// Of a prefix the first.
    pub address: Address,
    /// The last port of a range, as in the packet; else the same as the first.
    pub last_port: u16,
    pub reserved_tail: [u16; 15],
}

impl Service {
    /// What stands at a number that is no service's.
    pub const NONE: Self = Self {
        table_base: 0,
        table_size: 0,
        flags: 0,
        port: 0,
        protocol: 0,
        prefix_length: 0,
        address: Address([0; 2]),
        last_port: 0,
        reserved_tail: [0; 15],
    };
}

/// Flags of a [`Service`].
pub mod service_flags {
    /// The flow table decides before the slot does: `fullnat`.
    pub const FLOW_TABLE: u32 = 1 << 0;
    /// Its address is IPv6.
    pub const IPV6: u32 = 1 << 1;
    /// Where the number of the service's [`super::Mode`] begins, for a daemon that adopts it.
    pub const MODE_SHIFT: u32 = 8;
    /// Where the largest TCP segment begins that either side is told to send, in bytes; 0: what they say themselves.
    pub const MSS_SHIFT: u32 = 16;
}

/// One entry of a service's table, one 64-bit word so that it changes in one store:
/// `spare:8 | state:8 | previous:24 | current:24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Slot(pub u64);

/// State of a [`Slot`].
pub mod slot_state {
    pub const STABLE: u8 = 0;
}

impl Slot {
    /// A slot that belongs to `backend` and has not changed hands.
    #[inline(always)]
    pub const fn stable(backend: u32) -> Self {
        Self((backend & 0xff_ffff) as u64)
    }
    /// Identifier of the backend that new flows go to.
    #[inline(always)]
    pub const fn current(self) -> u32 {
        (self.0 & 0xff_ffff) as u32
    }
    /// Identifier of the backend that the slot belonged to before.
    #[inline(always)]
    pub const fn previous(self) -> u32 {
        ((self.0 >> 24) & 0xff_ffff) as u32
    }
    /// One of [`slot_state`].
    #[inline(always)]
    pub const fn state(self) -> u8 {
        ((self.0 >> 48) & 0xff) as u8
    }
}

/// Flags of a [`Backend`].
pub mod backend_flags {
    /// Flows that belong to this backend go on; without it they are void.
    pub const ALIVE: u8 = 1 << 0;
    /// Its address, and the source of the outer header, are IPv6.
    pub const IPV6: u8 = 1 << 1;
    /// Frames to it are tagged: how, stands beside it ([`crate::maps::BACKEND_TAGS`]).
    pub const TAGGED: u8 = 1 << 2;
}

/// A backend with everything a packet to it needs: one cache line.
///
/// `ethernet` with `egress` is the next hop. The daemon changes it in place, word by word; whoever reads meanwhile sees for
/// some nanoseconds an old word beside a new one, which costs at most the packets of that instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Backend {
    /// The first twelve bytes of a frame to it, destination and source MAC, as three words in memory order.
    pub ethernet: [u32; 3],
    /// Index of the interface to send from; 0: the next hop is not known.
    pub egress: u32,
    /// Its address, or the tunnel's far end.
    pub address: Address,
    /// Source of the outer header.
    pub source: Address,
    /// Its port as in the packet; the tunnel and `l2` modes leave the packet's as it is.
    pub port: u16,
    /// A [`Mode`], or [`Mode::FULLNAT_ACROSS`].
    pub mode: u8,
    /// [`backend_flags`].
    pub flags: u8,
    /// One's complement sum, folded, not inverted: of an outer IPv4 header all but its length and type of service; of a UDP header
    /// behind an outer IPv6 one, what its checksum covers of both but the length and the source port. `nat` and `fullnat`: what the service's address
    /// adds to an inverted checksum as it becomes the backend's, folded ([`crate::checksum::change_of_address`]); 0 where that is of another family.
    pub outer_sum_or_change: u16,
    /// Largest packet as it comes in, from the IP header on, that the next hop's link takes with what the mode adds, in bytes.
    pub largest: u16,
    /// The service it belongs to.
    pub service: u16,
    /// `fullnat`: number of the first source address it may use. `gue`: the port that tunnels go to, as in the packet.
    pub source_first_or_tunnel_port: u16,
    /// `fullnat`: how many source addresses from there on. `ipip`: bits of the last two bytes of an outer header's source that are each
    /// flow's own, as in the packet.
    pub source_count_or_spread: u16,
    /// IP protocol number of its service.
    pub protocol: u8,
    pub reserved: u8,
}

impl Backend {
    /// The mode of its service; `None`: one that this version does not know.
    pub const fn mode(&self) -> Option<Mode> {
        match self.mode {
            Mode::FULLNAT_ACROSS => Some(Mode::Fullnat),
            mode => Mode::from_u8(mode),
        }
    }
}

/// Key of the way back of `nat`: an IPv4 backend as a packet's source. 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct BackKey {
    /// Address as in the packet.
    pub address: u32,
    /// Port as in the packet.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    pub reserved: u8,
}

/// Key of the way back of `nat`: an IPv6 backend as a packet's source. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct BackKey6 {
    pub address: Address,
    /// Port as in the packet.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    pub reserved: u8,
    pub reserved_tail: u32,
}

/// The way back of `nat`: which backend of which service sent the packet. 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Back {
    pub backend: u32,
    pub service: u16,
    /// What the backend's address adds to an inverted checksum as it becomes the service's, folded.
    pub change: u16,
}

/// Where packets to clients go, the way back of the NAT modes. 28 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Hop {
    /// As in [`Backend::ethernet`].
    pub ethernet: [u32; 3],
    /// Index of the interface to send from, or one of [`hop_egress`].
    pub egress: u32,
    /// Tags of frames to it.
    pub tags: Tags,
    /// Largest packet that the link takes, from the IP header on, in bytes.
    pub largest: u32,
}

/// What [`Hop::egress`] says besides an interface.
pub mod hop_egress {
    /// The mirror of the routes does not know: ask the kernel's FIB.
    pub const ASK: u32 = 0;
    /// The address is this host's own: whatever goes there is no client's.
    pub const HOST: u32 = u32::MAX;
}

/// What a map set is made with; written once when it is created and read by every daemon that adopts it. 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Meta {
    /// [`ABI_VERSION`]; 0 while the set is being made.
    pub abi_version: u32,
    pub reserved: u32,
    /// Key of the flow hash.
    pub hash_key: [u64; 2],
    /// Secret seed of the flow table's hash.
    pub flow_seed: u64,
    /// Unix time of creation, seconds.
    pub created: u64,
    pub reserved_tail: [u64; 3],
}

/// What was decided about the last packet, written only by the program that traces. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Trace {
    /// The slot that was read.
    pub slot: u64,
    /// Index of that slot in its table.
    pub slot_index: u32,
    /// The service found; 0: none.
    pub service: u32,
    /// The backend that the packet goes to, or comes from on the way back; 0: none.
    pub backend: u32,
    /// Bits of [`trace_flags`].
    pub flags: u32,
    pub reserved: u64,
}

/// Flags of a [`Trace`].
pub mod trace_flags {
    /// `slot` and `slot_index` are set: the packet was steered by its slot.
    pub const SLOT: u32 = 1 << 0;
    /// The packet is on its way back to a client.
    pub const BACK: u32 = 1 << 1;
    /// The packet's flow was found in the flow table.
    pub const FLOW: u32 = 1 << 2;
}

assert_layout! {
    Service: 64, 64;
    Slot: 8, 8;
    Backend: 64, 64;
    BackKey: 8, 4;
    BackKey6: 24, 8;
    Back: 8, 4;
    Hop: 28, 4;
    Meta: 64, 8;
    Trace: 32, 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_keeps_its_backend() {
        let slot = Slot::stable(0xabcdef);
        assert_eq!(
            (slot.current(), slot.previous(), slot.state()),
            (0xabcdef, 0, slot_state::STABLE)
        );
    }
}
