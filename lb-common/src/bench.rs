//! What the benchmark's programs share with the benchmark.

pub mod traffic;

/// Names of the maps of `bench_feed` and `bench_floors`.
pub mod maps {
    /// [`super::Feed`], array of one, mapped.
    pub const FEED: &str = "FEED";
    /// [`super::Listed`] packets, array, mapped.
    pub const FEED_LIST: &str = "FEED_LIST";
    /// The program under test, program array of one.
    pub const NEXT: &str = "NEXT";
    /// [`super::FloorVip`] → [`super::FloorService`], hash.
    pub const FLOOR_VIPS: &str = "FLOOR_VIPS";
    /// Slot → backend, array of `u32`.
    pub const FLOOR_SLOTS: &str = "FLOOR_SLOTS";
    /// [`super::FloorBackend`], array.
    pub const FLOOR_REALS: &str = "FLOOR_REALS";
    /// [`super::FloorCounters`] of services, per CPU.
    pub const FLOOR_SERVICE: &str = "FLOOR_SERVICE";
    /// [`super::FloorCounters`] of backends, per CPU.
    pub const FLOOR_BACKEND: &str = "FLOOR_BACKEND";
}

/// Words of an IPv4 frame's front that are written anew before each run.
pub const FRONT_WORDS: usize = 7;
/// Of an IPv6 frame's.
pub const FRONT6_WORDS: usize = 10;

/// Flows that share a client's address: its ports.
pub const PORTS_PER_CLIENT_BITS: u32 = 14;
/// Port of a client's first flow.
pub const FIRST_CLIENT_PORT: u16 = 1024;

/// Whose flow this is: the client's number, from 0, and its port.
#[inline(always)]
pub const fn client_of(flow: u32) -> (u32, u16) {
    let port = FIRST_CLIENT_PORT as u32 + (flow & ((1 << PORTS_PER_CLIENT_BITS) - 1));
    (flow >> PORTS_PER_CLIENT_BITS, port as u16)
}

/// Bits of [`Feed::flags`].
pub mod feed_flags {
    /// Flows in their order instead of at random.
    pub const IN_ORDER: u32 = 1 << 0;
    /// UDP; else TCP.
    pub const UDP: u32 = 1 << 1;
}

/// What the program under test is fed with: the front of a frame, put back before each run, and how it differs from flow to
/// flow. 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Feed {
    /// The frame's first 56 bytes, or 80: Ethernet, IPv4 without options or IPv6 without extension headers, TCP or UDP. Source
    /// address and port are those of flow 0, checksums are right.
    pub front: [u64; FRONT6_WORDS],
    /// Packets so far.
    pub count: u64,
    /// Source address of flow 0, of IPv6 its last four bytes, host order.
    pub client: u32,
    /// Number of flows less one, a power of two less one.
    pub mask: u32,
    /// Bytes of the frame.
    pub length: u32,
    /// Bits of [`feed_flags`].
    pub flags: u32,
    /// Number of the first flow.
    pub first: u32,
    pub reserved_word: u32,
    /// Listed packets: source address of backend 0, as [`Feed::client`].
    pub backend: u32,
    /// Listed packets: destination address of source 0, likewise.
    pub source: u32,
    pub reserved: u64,
}

/// A listed packet, from a backend to a source address: `port:16 | backend:10 | source:6`, the port in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Listed(pub u32);

impl Listed {
    #[inline(always)]
    pub const fn new(source: u32, backend: u32, port: u16) -> Self {
        Self((port as u32) << 16 | (backend & 0x3ff) << 6 | (source & 0x3f))
    }
    #[inline(always)]
    pub const fn source(self) -> u32 {
        self.0 & 0x3f
    }
    #[inline(always)]
    pub const fn backend(self) -> u32 {
        (self.0 >> 6) & 0x3ff
    }
    #[inline(always)]
    pub const fn port(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// Listed packets in one value of the list: the kernel gives each value a multiple of eight bytes.
pub const LISTED_PER_VALUE: usize = 16;

/// A value of the list: one cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct ListLine(pub [u32; LISTED_PER_VALUE]);

/// Key of the smallest balancer's services. 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FloorVip {
    /// As in the packet.
    pub address: u32,
    /// As in the packet.
    pub port: u16,
    pub protocol: u16,
}

/// The smallest balancer's service. 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FloorService {
    pub id: u32,
    /// Its first slot.
    pub base: u32,
}

/// Slots of the smallest balancer's table.
pub const FLOOR_TABLE_SIZE: u32 = 65_537;
/// Backends that the smallest balancer has room for.
pub const FLOOR_BACKENDS: u32 = 4096;
/// Services that the smallest balancer has room for.
pub const FLOOR_SERVICES: u32 = 512;

/// The smallest balancer's backend: the front of the frame that goes to it. 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct FloorBackend {
    /// Both MACs.
    pub macs: [u32; 3],
    /// Sum of the outer header but for its length.
    pub sum: u32,
    /// Outer source, as in the packet.
    pub source: u32,
    /// Outer destination, as in the packet.
    pub address: u32,
    pub reserved: [u32; 10],
}

/// 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FloorCounters {
    pub packets: u64,
    pub bytes: u64,
}

crate::abi::assert_layout! {
    Feed: 128, 64;
    Listed: 4, 4;
    ListLine: 64, 64;
    FloorVip: 8, 4;
    FloorService: 8, 4;
    FloorBackend: 64, 64;
    FloorCounters: 16, 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_have_clients_and_ports() {
        assert_eq!(client_of(0), (0, FIRST_CLIENT_PORT));
        assert_eq!(client_of(0x3fff), (0, FIRST_CLIENT_PORT + 0x3fff));
        assert_eq!(client_of(0x4000), (1, FIRST_CLIENT_PORT));
    }

    #[test]
    fn a_listed_packet_keeps_its_fields() {
        let listed = Listed::new(62, 1023, 65_535);
        assert_eq!((listed.source(), listed.backend(), listed.port()), (62, 1023, 65_535));
    }
}
