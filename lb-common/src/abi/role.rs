//! Which addresses are worth looking up: one byte for all IPv4 addresses that end in the same two octets, and for all IPv6 addresses
//! whose eight pairs of octets make the same one by exclusive or.
//!
//! Every packet is asked whether it is for a service, for a source address of `fullnat`, or from a backend of `nat`. Each would be
//! a look into a hash, 12 ns and more, and for most packets of a host that does other things too, in vain. A byte says what an
//! address cannot be; what it can be is then looked up.

/// Some service has an address that ends so.
pub const VIP: u8 = 1 << 7;
/// Some backend of `nat` has an address that ends so.
pub const NAT: u8 = 1 << 6;
/// The number of the source address of `fullnat` that ends so, plus 1; 0: none does.
pub const SOURCE: u8 = (1 << 6) - 1;
/// In [`SOURCE`]: several do, or one whose number does not fit here; look it up.
pub const SOME_SOURCE: u8 = SOURCE;

/// Bytes of a [`RoleLine`].
pub const LINE_BYTES: usize = 64;
/// Lines for all endings.
pub const LINES: u32 = 65_536 / LINE_BYTES as u32;

/// The bytes of 64 endings: one cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct RoleLine(pub [u8; LINE_BYTES]);

/// Where the byte of an IPv4 address is: its line, and its place there. The address as in the packet.
#[inline(always)]
pub const fn place(address: u32) -> (u32, usize) {
    at(address >> 16)
}

/// Where the byte of an IPv6 address is.
#[inline(always)]
pub const fn place6(address: [u64; 2]) -> (u32, usize) {
    let folded = address[0] ^ address[1];
    let folded = folded ^ folded >> 32;
    at((folded ^ folded >> 16) as u32 & 0xffff)
}

#[inline(always)]
const fn at(ending: u32) -> (u32, usize) {
    (ending / LINE_BYTES as u32, ending as usize % LINE_BYTES)
}

super::assert_layout! {
    RoleLine: 64, 64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_octets_say_where() {
        let address = |octets| u32::from_ne_bytes(octets);
        assert_eq!(place(address([10, 0, 0, 0])), (0, 0));
        assert_eq!(place(address([10, 0, 3, 2])), place(address([192, 168, 3, 2])));
        assert_ne!(place(address([10, 0, 3, 2])), place(address([10, 0, 2, 3])));
        let (line, byte) = place(address([1, 2, 255, 255]));
        assert!(line < LINES && byte < LINE_BYTES);
        let (line, byte) = place6([u64::MAX; 2]);
        assert!(line < LINES && byte < LINE_BYTES);
        assert_ne!(place6([0x120, 1 << 56]), place6([0x120, 2 << 56]));
    }

    #[test]
    fn every_number_of_a_source_has_a_byte() {
        const { assert!(super::super::MAX_SOURCES <= SOME_SOURCE as u32) };
    }
}
