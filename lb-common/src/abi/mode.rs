//! How packets reach backends.

use crate::encap;

/// How a packet reaches its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Destination rewritten, client address kept.
    Nat = 1,
    /// Source and destination rewritten.
    Fullnat = 2,
    /// Destination MAC rewritten.
    L2 = 3,
    /// Outer IPv4 or IPv6 header (RFC 2003, RFC 2473), whatever the family of the packet.
    Ipip = 4,
    /// The same with a UDP header between (GUE variant 1, which is also foo-over-UDP).
    Gue = 5,
}

impl Mode {
    /// What [`super::Backend::mode`] says instead of [`Mode::Fullnat`] where the backend's family is not its service's.
    pub const FULLNAT_ACROSS: u8 = 6;

    /// The mode with this number in a map, if there is one.
    #[inline(always)]
    pub const fn from_u8(mode: u8) -> Option<Self> {
        match mode {
            1 => Some(Self::Nat),
            2 => Some(Self::Fullnat),
            3 => Some(Self::L2),
            4 => Some(Self::Ipip),
            5 => Some(Self::Gue),
            _ => None,
        }
    }

    /// Whether it puts an outer header in front of packets.
    pub const fn is_tunnel(self) -> bool {
        matches!(self, Self::Ipip | Self::Gue)
    }

    /// Whether packets to a backend leave with an address of the balancer's.
    pub const fn needs_source(self) -> bool {
        self.is_tunnel() || matches!(self, Self::Fullnat)
    }

    /// Whether packets to a backend have its address and port instead of the service's.
    pub const fn translates(self) -> bool {
        matches!(self, Self::Nat | Self::Fullnat)
    }

    /// Bytes that it adds to every packet on the way to a backend, or takes from it where the headers of the families differ; each is IPv6 or is
    /// not.
    pub const fn added_bytes(self, from_ipv6: bool, to_ipv6: bool) -> i16 {
        let to = header_bytes(to_ipv6);
        match self {
            Self::Ipip => to,
            Self::Gue => to + encap::OUTER_UDP_BYTES as i16,
            Self::Fullnat => to - header_bytes(from_ipv6),
            Self::Nat | Self::L2 => 0,
        }
    }
}

/// Bytes of an IP header without options or extension headers.
const fn header_bytes(is_ipv6: bool) -> i16 {
    let bytes = if is_ipv6 {
        encap::OUTER_IPV6_BYTES
    } else {
        encap::OUTER_IPV4_BYTES
    };
    bytes as i16
}
