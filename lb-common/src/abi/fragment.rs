//! Fragments: what was decided about the first of a datagram's, for the later ones, which have no ports.

use super::Address;

/// Which datagram a fragment is of (RFC 791, section 3.2; RFC 8200, section 4.5). 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct FragmentKey {
    pub source: Address,
    pub destination: Address,
    /// As in the packet.
    pub identification: u32,
    /// IP protocol number in IPv4. 0 in IPv6, where only the first fragment's counts.
    pub protocol: u8,
    /// 4 or 6: an IPv4 address may look like an IPv6 one.
    pub version: u8,
    pub reserved: u16,
}

/// What became of the first fragment of a datagram. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FragmentWay {
    /// The address that no map says by its number: in the modes that translate, the source that the datagram leaves with, or on the way back
    /// the client.
    pub address: Address,
    /// [`crate::maps::CLOCK`] when it came, modulo 2^32.
    pub seen: u32,
    /// The backend that it went to, or came from.
    pub backend: u32,
    /// The half of the flow's hash that outer headers are made of; in `fullnat` the index of the flow's port.
    pub hash: u32,
    pub service: u16,
    /// One of [`fragment_direction`].
    pub direction: u8,
    pub reserved: u8,
}

/// Directions of a [`FragmentWay`].
pub mod fragment_direction {
    /// To a backend.
    pub const FORWARD: u8 = 0;
    /// From a backend to a client.
    pub const BACK: u8 = 1;
}

/// For how many seconds a first fragment is remembered: as long as Linux waits for the rest of an IPv4 datagram (`net.ipv4.ipfrag_time`).
pub const FRAGMENT_SECONDS: u32 = 30;

super::assert_layout! {
    FragmentKey: 40, 8;
    FragmentWay: 32, 8;
}
