//! The outer header of `ipip` and `gue`, IPv4 (RFC 2003) or IPv6 (RFC 2473): what is the same in every one, and its share of the
//! checksum.
//!
//! `gue` has a UDP header behind it and the packet behind that, with nothing between: variant 1 of generic UDP encapsulation
//! (draft-ietf-intarea-gue, section 4), told from variant 0 by the version in the packet's first bits. The same bytes are what
//! Linux calls foo-over-UDP.

use crate::checksum::{fold, halves, sum_of_address};

/// Version 4, five words.
pub const VERSION_IHL: u8 = 0x45;
/// Time to live, or hop limit, of outer headers.
pub const OUTER_TTL: u8 = 64;
/// IP protocol number of IPv4 in another header.
pub const PROTOCOL_IPV4: u8 = 4;
/// IP protocol number of IPv6 in another header.
pub const PROTOCOL_IPV6: u8 = 41;
/// The flag *don't fragment*, as in the packet.
pub const DONT_FRAGMENT: u16 = 0x4000u16.to_be();
/// Bytes of an outer IPv4 header.
pub const OUTER_IPV4_BYTES: u16 = 20;
/// Bytes of an outer IPv6 header.
pub const OUTER_IPV6_BYTES: u16 = 40;
/// Bytes of the UDP header of `gue`.
pub const OUTER_UDP_BYTES: u16 = 8;
/// IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// The port that IANA has for GUE.
pub const GUE_PORT: u16 = 6080;

/// The source port of the UDP header, as in the packet: 14 bits of the flow's hash in the range of ephemeral ports (RFC 8085,
/// section 5.1.1), so that the backend's network card spreads flows over its queues.
#[inline(always)]
pub const fn source_port(hash: u32) -> u16 {
    (0xc000 | (hash & 0x3fff) as u16).to_be()
}

/// One's complement sum, folded, not inverted, of what the checksum of a UDP header behind an IPv6 one covers (RFC 8200, section 8.1)
/// and is the same for every packet to a backend: addresses, protocol and destination port.
pub fn outer_udp_sum(source: [u64; 2], destination: [u64; 2], port: u16) -> u16 {
    let addresses = sum_of_address(source) + sum_of_address(destination);
    let protocol = u16::from_ne_bytes([0, PROTOCOL_UDP]);
    fold(addresses + protocol as u32 + port as u32)
}

/// One's complement sum of all of an outer IPv4 header but its type of service and its length, folded, not inverted. `protocol` is
/// what is in it; addresses as in the packet.
pub const fn outer_sum(source: u32, destination: u32, protocol: u8) -> u16 {
    let version = u16::from_ne_bytes([VERSION_IHL, 0]);
    let ttl = u16::from_ne_bytes([OUTER_TTL, protocol]);
    fold(version as u32 + DONT_FRAGMENT as u32 + ttl as u32 + halves(source) + halves(destination))
}

/// An IPv4 address as an IPv6 one, both as in the packet: `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2).
#[inline(always)]
pub const fn mapped(address: u32) -> [u64; 2] {
    [0, 0xffff_0000 | (address as u64) << 32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::sum;

    #[test]
    fn an_ipv4_address_is_mapped_as_the_standard_library_does() {
        let address = std::net::Ipv4Addr::new(192, 0, 2, 1);
        let bytes: Vec<u8> = mapped(u32::from_ne_bytes(address.octets()))
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        assert_eq!(bytes, address.to_ipv6_mapped().octets());
    }

    #[test]
    fn the_template_and_the_variable_words_make_a_valid_header() {
        let source = u32::from_ne_bytes([10, 0, 0, 11]);
        let destination = u32::from_ne_bytes([10, 0, 1, 1]);
        let mut header = [
            VERSION_IHL,
            0xb8,
            0x05,
            0xdc,
            0,
            0,
            0x40,
            0,
            OUTER_TTL,
            PROTOCOL_IPV6,
            0,
            0,
            10,
            0,
            0,
            11,
            10,
            0,
            1,
            1,
        ];
        let words = u16::from_ne_bytes([0, header[1]]) as u32 + u16::from_ne_bytes([header[2], header[3]]) as u32;
        let checksum = !fold(outer_sum(source, destination, PROTOCOL_IPV6) as u32 + words);
        header[10..12].copy_from_slice(&checksum.to_ne_bytes());
        assert_eq!(sum(&header), 0xffff);
    }
}
