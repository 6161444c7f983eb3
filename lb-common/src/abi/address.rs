//! Addresses of either family.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address as in the packet: IPv6 as it is, IPv4 in the first four bytes, with zeros behind. 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Address(pub [u64; 2]);

// The first four bytes are the low half of the first word.
const _: () = assert!(cfg!(target_endian = "little"));

impl Address {
    #[inline(always)]
    pub const fn v4(address: u32) -> Self {
        Self([address as u64, 0])
    }
    #[inline(always)]
    pub const fn v6(address: [u64; 2]) -> Self {
        Self(address)
    }
    /// The IPv4 address that it is, as in the packet.
    #[inline(always)]
    pub const fn as_v4(&self) -> u32 {
        self.0[0] as u32
    }
    /// The IPv6 address that it is, as in the packet.
    #[inline(always)]
    pub const fn as_v6(&self) -> [u64; 2] {
        self.0
    }

    /// As the standard library has it.
    pub const fn ip(self, is_ipv6: bool) -> IpAddr {
        let [high, low] = self.0;
        if is_ipv6 {
            IpAddr::V6(Ipv6Addr::from_bits((high.to_be() as u128) << 64 | low.to_be() as u128))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits((high as u32).to_be()))
        }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address.to_bits().to_be()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                Self([((bits >> 64) as u64).to_be(), (bits as u64).to_be()])
            }
        }
    }
}

super::assert_layout! {
    Address: 16, 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_as_in_the_packet() {
        for text in ["192.0.2.1", "2001:db8::102:304", "::ffff:192.0.2.1"] {
            let ip: IpAddr = text.parse().unwrap();
            let address = Address::from(ip);
            assert_eq!(address.ip(ip.is_ipv6()), ip);
            let bytes = address.0.map(u64::to_ne_bytes).concat();
            match ip {
                IpAddr::V4(ip) => assert_eq!(bytes[..4], ip.octets()),
                IpAddr::V6(ip) => assert_eq!(bytes, ip.octets()),
            }
        }
    }
}
