//! Prefixes of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    pub address: IpAddr,
    /// In bits.
    pub length: u8,
}

impl Prefix {
    /// One address alone.
    pub const fn host(address: IpAddr) -> Self {
        let length = address_bits(address);
        Self { address, length }
    }

    /// Bits of an address of its family.
    pub const fn address_bits(self) -> u8 {
        address_bits(self.address)
    }

    /// Bits beyond the prefix; `None`: it is longer than an address.
    pub fn host_bits(self) -> Option<u8> {
        self.address_bits().checked_sub(self.length)
    }

    /// Its first address.
    pub fn network(self) -> IpAddr {
        let host = u32::from(self.host_bits().unwrap_or(0));
        match self.address {
            IpAddr::V4(address) => (address & !Ipv4Addr::from_bits(low_bits(host) as u32)).into(),
            IpAddr::V6(address) => (address & !Ipv6Addr::from_bits(low_bits(host))).into(),
        }
    }

    /// Bits of the last two bytes that are beyond the prefix: of a larger one the rest stays as it is.
    pub fn mask(self) -> u16 {
        low_bits(u32::from(self.host_bits().unwrap_or(0))) as u16
    }

    /// Whether the address is one of its.
    pub fn contains(self, address: IpAddr) -> bool {
        let length = self.length;
        self.address.is_ipv6() == address.is_ipv6() && Self { address, length }.network() == self.network()
    }

    /// Whether all addresses of the other one are its, too.
    pub fn covers(self, other: Self) -> bool {
        self.length <= other.length && self.contains(other.address)
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

const fn address_bits(address: IpAddr) -> u8 {
    if address.is_ipv6() { 128 } else { 32 }
}

/// So many of the lowest bits.
fn low_bits(count: u32) -> u128 {
    u128::MAX.checked_shr(128 - count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (address, length) = text.split_once('/').unwrap();
        Prefix {
            address: address.parse().unwrap(),
            length: length.parse().unwrap(),
        }
    }

    #[test]
    fn a_prefix_has_the_addresses_that_begin_like_it() {
        for (text, within, beyond) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "255.1.2.3", "2001:db8::1"),
            ("2001:db8::/64", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ] {
            assert!(prefix(text).contains(within.parse().unwrap()), "{text}");
            assert!(!prefix(text).contains(beyond.parse().unwrap()), "{text}");
        }
        assert!(prefix("10.0.0.0/8").covers(prefix("10.1.0.0/16")));
        assert!(!prefix("10.1.0.0/16").covers(prefix("10.0.0.0/8")));
        assert_eq!(prefix("10.1.2.3/8").network(), prefix("10.0.0.0/8").address);
    }
}
