//! Fields as they lie in a packet, and sums over them (RFC 1071).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A big-endian field of two bytes, if it is there.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// An address of either family.
pub fn address_at(bytes: &[u8], at: usize, is_ipv6: bool) -> Option<IpAddr> {
    if is_ipv6 {
        let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
        return Some(Ipv6Addr::from(octets).into());
    }
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets).into())
}

/// Whether so many of the first bits of two addresses are the same.
pub fn begin_alike(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let alike = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        _ => return false,
    };
    alike >= u32::from(bits)
}

pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An IPv6 address as the flow hash takes it.
pub fn words(address: Ipv6Addr) -> [u64; 2] {
    let octets = address.octets();
    let half = |at: usize| u64::from_ne_bytes(octets[at..at + 8].try_into().expect("eight bytes"));
    [half(0), half(8)]
}

/// One's complement sum, folded. An odd last byte is the high one of its word.
pub fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// What TCP, UDP and ICMPv6 take of the IP header into their sums (RFC 9293, section 3.1; RFC 8200, section 8.1). `length` is of what is
/// behind the IP header.
pub fn pseudo(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut bytes = [octets(from), octets(to)].concat();
    bytes.extend((length as u32).to_be_bytes());
    bytes.extend(u32::from(protocol).to_be_bytes());
    bytes
}

/// Places of checksums in a frame that is to come out, which are not known to the bit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Those that came wrong: they have to be as wrong as they came, but 0 and ffff are one.
    pub wrong: Vec<usize>,
    /// One over others that came wrong: what it would be if they were right, it must not be.
    pub not_this: Option<usize>,
    /// One over several that came wrong, which may make up for each other.
    pub unknown: Option<usize>,
}

impl Sums {
    /// The same in a frame with so many bytes more in front.
    pub fn behind(mut self, bytes: usize) -> Self {
        let places = self.wrong.iter_mut().chain(&mut self.not_this).chain(&mut self.unknown);
        places.for_each(|place| *place += bytes);
        self
    }
}

/// What a sum over all that a checksum covers, itself included, is where that is right.
pub const RIGHT: u16 = 0xffff;

/// The checksum with which the sum of these parts, in which its own place is zero, becomes `sum_of_all` again.
pub fn sealed(parts: &[&[u8]], sum_of_all: u16) -> u16 {
    let own = sum(parts);
    if sum_of_all == RIGHT {
        return !own;
    }
    // In one's complement, its sum with these is to be that one.
    let checksum = u32::from(sum_of_all) + u32::from(!own);
    (checksum & 0xffff) as u16 + (checksum >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_rfc_1071() {
        // Section 3: 0001 f203 f4f5 f6f7.
        assert_eq!(sum(&[&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]]), 0xddf2);
        assert_eq!(sum(&[&[1], &[2]]), 0x0300);
    }

    #[test]
    fn a_wrong_sum_stays() {
        let data = [0x12, 0x34, 0x56, 0x78];
        for all in [RIGHT, 0x0001, 0x8000, 0xfffe] {
            let checksum = sealed(&[&data], all).to_be_bytes();
            assert_eq!(sum(&[&data, &checksum]), all);
        }
    }
}
