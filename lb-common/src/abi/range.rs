//! Ranges of ports, and prefixes of addresses.
//!
//! A range of ports is found by the longest prefix of its [`RangeKey`]. Where the address is not a service's own, the longest prefix of
//! it by its [`PrefixKey`] names a *group*, which stands in a [`RangeKey`] where an address does. What shorter prefixes have besides, the
//! daemon has put into that group too, so two looks are enough.

use super::Address;

/// Key of what clients connect to by a range of ports: a prefix of it, as longest prefix match has it, is such a range. 20 bytes: the address
/// as in the packet, IP protocol number, a zero, port as in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct RangeKey(pub [u32; 5]);

impl RangeKey {
    /// Bits of a whole key, and of one without its port.
    pub const BITS: u32 = 160;
    pub const BITS_WITHOUT_PORT: u32 = Self::BITS - 16;

    /// `port` as in the packet.
    #[inline(always)]
    pub const fn new(address: Address, protocol: u8, port: u16) -> Self {
        let [first, second] = address.0;
        let [high, low] = port.to_ne_bytes();
        Self([
            first as u32,
            (first >> 32) as u32,
            second as u32,
            (second >> 32) as u32,
            u32::from_ne_bytes([protocol, 0, high, low]),
        ])
    }
}

impl Address {
    /// What stands for a group of services: no packet's address, as its second word is 0 and its first is no IPv4 address.
    #[inline(always)]
    pub const fn group(number: u32) -> Self {
        Self([1 << 32 | number as u64, 0])
    }
}

/// Key of a prefix of addresses. 20 bytes: version of IP in network byte order, address as in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PrefixKey(pub [u32; 5]);

impl PrefixKey {
    /// Bits in front of the address, and of a whole key.
    pub const BITS_OF_VERSION: u32 = 32;
    pub const BITS: u32 = 160;

    /// `version`: 4 or 6.
    #[inline(always)]
    pub const fn new(version: u8, address: Address) -> Self {
        let [first, second] = address.0;
        Self([
            (version as u32).to_be(),
            first as u32,
            (first >> 32) as u32,
            second as u32,
            (second >> 32) as u32,
        ])
    }
}

super::assert_layout! {
    RangeKey: 20, 4;
    PrefixKey: 20, 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bytes_in_the_order_of_their_bits() {
        let address = Address::from(core::net::IpAddr::from([192, 0, 2, 10]));
        let key = RangeKey::new(address, 17, 0x1f90u16.to_be());
        let bytes: [[u8; 4]; 5] = key.0.map(u32::to_ne_bytes);
        assert_eq!(bytes[0], [192, 0, 2, 10]);
        assert_eq!(bytes[1..4], [[0; 4]; 3]);
        assert_eq!(bytes[4], [17, 0, 0x1f, 0x90]);
    }
}
