//! The outer IPv4 header of `ipip` (RFC 2003): what is the same in every one, and its share of the checksum.

use crate::checksum::{fold, halves};

/// Version 4, five words.
pub const VERSION_IHL: u8 = 0x45;
/// Time to live of outer headers.
pub const OUTER_TTL: u8 = 64;
/// IP protocol number of IPv4 in IPv4.
pub const PROTOCOL_IPIP: u8 = 4;
/// The flag *don't fragment*, as in the packet.
pub const DONT_FRAGMENT: u16 = 0x4000u16.to_be();
/// Bytes of the outer header.
pub const OUTER_BYTES: u16 = 20;

/// One's complement sum of all of an outer header but its type of service and its length, folded, not inverted. Addresses as in
/// the packet.
pub const fn outer_sum(source: u32, destination: u32) -> u16 {
    let version = u16::from_ne_bytes([VERSION_IHL, 0]);
    let ttl = u16::from_ne_bytes([OUTER_TTL, PROTOCOL_IPIP]);
    fold(version as u32 + DONT_FRAGMENT as u32 + ttl as u32 + halves(source) + halves(destination))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::sum;

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
            PROTOCOL_IPIP,
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
        let checksum = !fold(outer_sum(source, destination) as u32 + words);
        header[10..12].copy_from_slice(&checksum.to_ne_bytes());
        assert_eq!(sum(&header), 0xffff);
    }
}
