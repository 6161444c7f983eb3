//! Headers as they lie in a packet. Multi-byte fields are as in the packet (network order).
//!
//! The structs are not packed: the frame starts at an even address, so the 32-bit fields of the IP header lie at odd
//! multiples of two. BPF loads and stores are allowed there, and the same load as two half words costs 5 % of the whole packet.
//! So these structs are only ever used behind the raw pointers of [`crate::packet`], never by reference and never by value.

use lb_common::abi::tag_protocol;

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800u16.to_be();
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86ddu16.to_be();

/// Ethernet II header; the two MACs as three words, the way they are copied.
#[repr(C)]
pub struct Ethernet {
    pub macs: [u32; 3],
    pub ethertype: u16,
}

/// Bytes of [`Ethernet`] in a frame; the struct is larger by its tail padding.
pub const ETHERNET_BYTES: usize = 14;

/// EtherTypes of VLAN tags: IEEE 802.1Q, 802.1ad.
pub const ETHERTYPE_VLAN: u16 = tag_protocol::CUSTOMER.to_be();
pub const ETHERTYPE_VLAN_SERVICE: u16 = tag_protocol::SERVICE.to_be();

/// Bytes of a VLAN tag.
pub const TAG_BYTES: usize = 4;

/// RFC 791, without options.
#[repr(C)]
pub struct Ipv4 {
    /// Version and header length, then type of service: one field, so that both are written at once.
    pub version_tos: u16,
    pub total_length: u16,
    pub id: u16,
    /// Flags and fragment offset.
    pub fragment: u16,
    pub ttl: u8,
    pub protocol: u8,
    pub checksum: u16,
    pub source: u32,
    pub destination: u32,
}

impl Ipv4 {
    #[inline(always)]
    pub fn version_ihl(&self) -> u8 {
        self.version_tos.to_ne_bytes()[0]
    }

    #[inline(always)]
    pub fn tos(&self) -> u8 {
        self.version_tos.to_ne_bytes()[1]
    }
}

/// The first bytes of a frame, to be checked at once.
#[repr(C)]
pub struct Front<const BYTES: usize>(pub [u8; BYTES]);

/// Bytes of [`Ipv4`].
pub const IPV4_BYTES: usize = 20;
/// The flag *more fragments* in [`Ipv4::fragment`].
pub const MORE_FRAGMENTS: u16 = 0x2000u16.to_be();
/// The offset in [`Ipv4::fragment`].
pub const FRAGMENT_OFFSET: u16 = 0x1fffu16.to_be();

/// RFC 8200.
#[repr(C)]
pub struct Ipv6 {
    /// `version:4 | traffic class:8 | flow label:20`.
    pub version_class_label: u32,
    pub payload_length: u16,
    pub next_header: u8,
    pub hop_limit: u8,
    pub source: [u64; 2],
    pub destination: [u64; 2],
}

impl Ipv6 {
    #[inline(always)]
    pub fn version(&self) -> u8 {
        (u32::from_be(self.version_class_label) >> 28) as u8
    }

    #[inline(always)]
    pub fn traffic_class(&self) -> u8 {
        (u32::from_be(self.version_class_label) >> 20) as u8
    }
}

/// Bytes of [`Ipv6`].
pub const IPV6_BYTES: usize = 40;

/// Numbers of IPv6 extension headers.
pub mod next_header {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const DESTINATION: u8 = 60;
}

/// What hop-by-hop options, routing header and destination options begin with (RFC 8200, sections 4.3, 4.4 and 4.6).
#[repr(C)]
pub struct Extension {
    pub next_header: u8,
    /// In units of 8 bytes, the first 8 not counted.
    pub length: u8,
    /// Of a routing header, its type; else the first option.
    pub kind: u8,
    /// Of a routing header.
    pub segments_left: u8,
}

/// RFC 8200, section 4.5.
#[repr(C)]
pub struct FragmentHeader {
    pub next_header: u8,
    pub reserved: u8,
    /// `offset:13 | reserved:2 | more:1`.
    pub offset: u16,
    pub identification: u32,
}

/// Bytes of [`FragmentHeader`].
pub const FRAGMENT_HEADER_BYTES: usize = 8;
/// The offset in [`FragmentHeader::offset`].
pub const FRAGMENT6_OFFSET: u16 = 0xfff8u16.to_be();
/// The flag *more fragments* in [`FragmentHeader::offset`].
pub const MORE_FRAGMENTS6: u16 = 0x0001u16.to_be();

/// The first four bytes of TCP and UDP.
#[repr(C)]
pub struct Ports {
    pub source: u16,
    pub destination: u16,
}

/// RFC 9293, without options.
#[repr(C)]
pub struct Tcp {
    pub ports: Ports,
    pub sequence: u32,
    pub acknowledgment: u32,
    /// Data offset in the high half.
    pub offset: u8,
    pub flags: u8,
    pub window: u16,
    pub checksum: u16,
    pub urgent: u16,
}

/// Bytes of [`Tcp`].
pub const TCP_BYTES: usize = 20;
/// Where its checksum is.
pub const TCP_CHECKSUM: usize = core::mem::offset_of!(Tcp, checksum);

/// Bits of [`Tcp::flags`].
pub mod tcp_flags {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;
}

/// RFC 768.
#[repr(C)]
pub struct Udp {
    pub ports: Ports,
    pub length: u16,
    pub checksum: u16,
}

/// Bytes of [`Udp`].
pub const UDP_BYTES: usize = 8;
/// Where its checksum is.
pub const UDP_CHECKSUM: usize = core::mem::offset_of!(Udp, checksum);

/// The common header of RFC 9260, and its first chunk's.
#[repr(C)]
pub struct Sctp {
    pub ports: Ports,
    pub verification_tag: u32,
    pub checksum: u32,
    pub chunk_type: u8,
    pub chunk_flags: u8,
    pub chunk_length: u16,
}

/// Bytes of [`Sctp`].
pub const SCTP_BYTES: usize = 16;
/// The chunk that asks for an association.
pub const SCTP_INIT: u8 = 1;

/// RFC 792, RFC 4443.
#[repr(C)]
pub struct Icmp {
    /// Type and code.
    pub kind: u16,
    pub checksum: u16,
    /// What the type has there.
    pub rest: u32,
}

/// Bytes of [`Icmp`].
pub const ICMP_BYTES: usize = 8;
