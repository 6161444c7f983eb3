//! The two families of addresses, and what differs between them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_route::AddressFamily;

use crate::core::observed;

/// A family of addresses. The kernel has tables of its own for each, and may lack IPv6 altogether.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Length of an address in bits.
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    pub fn unspecified(self) -> IpAddr {
        observed::unspecified(self == Self::V6)
    }

    pub fn netlink(self) -> AddressFamily {
        match self {
            Self::V4 => AddressFamily::Inet,
            Self::V6 => AddressFamily::Inet6,
        }
    }

    /// Whether an error number says that the kernel was built or booted without the family it was asked about.
    pub fn is_missing(errno: i32) -> bool {
        [libc::EAFNOSUPPORT, libc::EOPNOTSUPP].contains(&errno)
    }

    /// How a neighbour is asked for its MAC address (RFC 826, RFC 4861).
    pub fn neighbour_protocol(self) -> &'static str {
        match self {
            Self::V4 => "ARP",
            Self::V6 => "neighbour discovery",
        }
    }
}

/// Whether an address names a host only together with a link, and stays on it (RFC 4291, section 2.5.6).
///
/// IPv4 has such addresses too (RFC 3927), but there the routing table alone says on which link they are.
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// An address with everything behind the prefix set to zero.
pub fn prefix_of(address: IpAddr, length: u8) -> IpAddr {
    let behind = u32::from(Family::of(address).bits().saturating_sub(length));
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (address, length, prefix) in [
            ("10.1.2.3", 32, "10.1.2.3"),
            ("10.1.2.3", 31, "10.1.2.2"),
            ("10.1.2.3", 8, "10.0.0.0"),
            ("10.1.2.3", 0, "0.0.0.0"),
            ("2001:db8:1:2::3", 128, "2001:db8:1:2::3"),
            ("2001:db8:1:2::3", 127, "2001:db8:1:2::2"),
            ("2001:db8:1:2::3", 48, "2001:db8:1::"),
            ("2001:db8:1:2::3", 0, "::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(prefix_of(address, length).to_string(), prefix, "{address}/{length}");
        }
    }

    #[test]
    fn link_local_addresses_are_of_ipv6() {
        for (address, is) in [
            ("fe80::1", true),
            ("febf::1", true),
            ("fec0::1", false),
            ("2001:db8::1", false),
            ("169.254.0.1", false),
        ] {
            assert_eq!(is_link_local(address.parse().unwrap()), is, "{address}");
        }
    }
}
