//! What `bench_traffic` shares with the benchmark: packets that are sent through a balancer, and what arrives behind it.
//!
//! The payload of every packet says what it is: `flow:32 | sequence:64 | spare:16 | MAGIC`, in host order. The first three words of
//! it are within the front that is written anew for each packet, [`MAGIC`] is in the frame from the start.

use super::FRONT_WORDS;

/// Names of the maps.
pub mod maps {
    /// [`super::Generator`], array of one, mapped.
    pub const GENERATOR: &str = "GENERATOR";
    /// Interfaces that packets leave by, devmap.
    pub const EXITS: &str = "EXITS";
    /// [`super::Sunk`], per CPU, one value.
    pub const SUNK: &str = "SUNK";
    /// Number of the last packet by the low bits of its flow, array.
    pub const NEWEST: &str = "NEWEST";
}

/// Interfaces that packets can leave by.
pub const MAX_EXITS: u32 = 64;
/// Flows are followed in so many groups, a power of two, each by the number of its last packet.
pub const FLOW_GROUPS: u32 = 256;
/// Bytes of Ethernet, IPv4 without options and UDP.
pub const HEADER_BYTES: usize = 42;
/// Bytes of the payload that say what the packet is.
pub const LABEL_BYTES: usize = 18;
/// At the end of the label.
pub const MAGIC: u32 = 0x6c62_6267;
/// One in so many packets that arrive is kept, a power of two.
pub const KEPT_EVERY: u64 = 1024;
/// Words that are kept of a packet: the shortest one that is measured, with an outer header.
pub const KEPT_WORDS: usize = 20;

/// Bits of [`Generator::flags`].
pub mod flags {
    /// Flows in their order instead of at random.
    pub const IN_ORDER: u32 = 1 << 0;
}

/// What is sent. 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Generator {
    /// The frame's first 56 bytes: Ethernet, IPv4 without options, UDP, and a label of zeroes. Source address and port are
    /// those of flow 0, checksums are right.
    pub front: [u64; FRONT_WORDS],
    /// Packets so far; the next one's number is one more.
    pub count: u64,
    /// Source address of flow 0, host order.
    pub client: u32,
    /// Number of flows less one, a power of two less one.
    pub mask: u32,
    /// Bits of [`flags`].
    pub flags: u32,
    /// Place in the devmap.
    pub exit: u32,
    /// Numbers of the two packets whose time is noted, and that time, in nanoseconds of the monotonic clock.
    pub marks: [u64; 2],
    pub times: [u64; 2],
    pub reserved: [u64; 2],
}

/// What has arrived. 120 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sunk {
    /// Ours.
    pub packets: u64,
    /// Bytes of ours.
    pub bytes: u64,
    /// Of ours, those that came behind a later packet of their flow group, or twice.
    pub late: u64,
    /// Everybody else's.
    pub others: u64,
    /// Bytes of the packet that was kept last.
    pub kept_bytes: u64,
    /// Its first bytes.
    pub kept: [u32; KEPT_WORDS],
}

crate::abi::assert_layout! {
    Generator: 128, 64;
    Sunk: 120, 8;
}
