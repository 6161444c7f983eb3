//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! A one's complement sum is the same in either byte order as long as all its words are taken in the same one (RFC 1071,
//! section 2 B). So everything here works on words *as in the packet*, without swapping bytes, and gives words as in the packet.
//!
//! `HC' = ~(~HC + ~m + m')` (RFC 1624, equation 3), where `m` is the old value of a 16-bit field and `m'` the new one. It
//! never gives `-0` where the plain sum would not, unlike equation 4. Several fields are summed first: 32 bits hold the
//! carries of 65,536 words.

/// Folds the carries of a sum into 16 bits.
#[inline(always)]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// What replacing `old` by `new` adds to the inverted checksum: one 16-bit field.
#[inline(always)]
pub const fn change16(old: u16, new: u16) -> u32 {
    (!old) as u32 + new as u32
}

/// What replacing `old` by `new` adds to the inverted checksum: two adjoining fields.
#[inline(always)]
pub const fn change32(old: u32, new: u32) -> u32 {
    narrowed((!old) as u64 + new as u64)
}

/// What replacing `old` by `new` adds to the inverted checksum: an address, as [`crate::abi::Address`] has it.
#[inline(always)]
pub const fn change_of_address(old: [u64; 2], new: [u64; 2]) -> u32 {
    // What the four halves of an address are taken from when they are inverted.
    const INVERTED: u64 = 4 * u32::MAX as u64;
    let high = (new[0] >> 32) + (new[1] >> 32);
    let high = high.wrapping_sub(old[0] >> 32).wrapping_sub(old[1] >> 32);
    let words = new[0].wrapping_add(new[1]);
    let words = words.wrapping_sub(old[0]).wrapping_sub(old[1]);
    // The words less their high halves are the low ones: these take no instructions of their own.
    let low = words.wrapping_sub(high << 32);
    let sum = INVERTED.wrapping_add(high).wrapping_add(low);
    narrowed((sum & u32::MAX as u64) + (sum >> 32))
}

/// The other way round, where `change` is folded: what has become `new` becomes `old` again. Never 0.
#[inline(always)]
pub const fn reversed(change: u16) -> u32 {
    2 * u16::MAX as u32 - change as u32
}

/// A sum of words of 32 bits, of which the carries are few, as one of words of 16 bits: less than three of these (RFC 1071, section 2: words may be
/// of any width).
#[inline(always)]
const fn narrowed(sum: u64) -> u32 {
    ((sum & 0xffff) + (sum >> 16)) as u32
}

/// A checksum after its packet changed by `change`, the sum of [`change16`], [`change32`] and the like of all fields that changed.
#[inline(always)]
pub const fn update(checksum: u16, change: u32) -> u16 {
    !fold((!checksum) as u32 + change)
}

/// What a TTL one less adds to the inverted checksum: the TTL is the first byte of its word.
pub const TTL_ONE_LESS: u32 = change16(u16::from_ne_bytes([1, 0]), 0);

/// The word of TTL, protocol and header checksum, as in the packet, with a TTL one less. The TTL is at least 1.
#[inline(always)]
pub const fn decremented_ttl(word: u32) -> u32 {
    // In this order the TTL is the word's lowest byte and the checksum its upper half: take one from the TTL, give one to the
    // checksum, with the carry of one's complement.
    let word = u32::from_le(word);
    let carry = if word >= 0xfffe_0000 { 0x1_0000 } else { 0 };
    word.wrapping_add(0xffff).wrapping_add(carry).to_le()
}

/// One's complement sum of the two halves of a word, to be added up and folded.
#[inline(always)]
pub const fn halves(word: u32) -> u32 {
    (word & 0xffff) + (word >> 16)
}

/// The same of an address, as [`crate::abi::Address`] has it.
#[inline(always)]
pub const fn sum_of_address(address: [u64; 2]) -> u32 {
    let [first, second] = address;
    halves(first as u32) + halves((first >> 32) as u32) + halves(second as u32) + halves((second >> 32) as u32)
}

/// One's complement sum of bytes, folded, not inverted; a last odd byte is padded with zero (RFC 1071). For the daemon and
/// the tests: the programs never walk a packet.
pub fn sum(bytes: &[u8]) -> u16 {
    let mut total = 0u64;
    for pair in bytes.chunks(2) {
        total += u16::from_ne_bytes([pair[0], *pair.get(1).unwrap_or(&0)]) as u64;
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071, section 3: words 0001 f203 f4f5 f6f7 sum to ddf2 (carries folded).
    #[test]
    fn sum_of_the_example_in_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&bytes).to_ne_bytes(), [0xdd, 0xf2]);
    }

    /// The example of RFC 1624, section 4: checksum dd2f, a field that goes from 5555 to 3285 gives 0000.
    #[test]
    fn update_of_the_example_in_rfc_1624() {
        let be = |v: u16| u16::from_ne_bytes(v.to_be_bytes());
        assert_eq!(update(be(0xdd2f), change16(be(0x5555), be(0x3285))), be(0x0000));
    }

    #[test]
    fn a_ttl_one_less_is_as_any_other_change() {
        for ttl in 1..=u8::MAX {
            for checksum in 0..=u16::MAX {
                let word = |ttl: u8, checksum: u16| {
                    let [a, b] = checksum.to_ne_bytes();
                    u32::from_ne_bytes([ttl, 17, a, b])
                };
                let of_ttl = |ttl| u16::from_ne_bytes([ttl, 17]);
                let changed = update(checksum, change16(of_ttl(ttl), of_ttl(ttl - 1)));
                assert_eq!(decremented_ttl(word(ttl, checksum)), word(ttl - 1, changed));
                assert_eq!(update(checksum, TTL_ONE_LESS), changed);
            }
        }
    }

    /// An address as eight words of 16 bits, each changed by itself; and back.
    #[test]
    fn addresses_change_as_their_words_do() {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        let mut next = || {
            state = state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            match state >> 61 {
                0 => 0,
                1 => u64::MAX,
                2 => state >> 33,
                3 => state << 32,
                _ => state.rotate_left(23),
            }
        };
        for _ in 0..50_000 {
            let (old, new) = ([next(), next()], [next(), next()]);
            let words = |address: [u64; 2]| address.map(u64::to_ne_bytes).concat();
            let pairs = words(old).into_iter().zip(words(new)).collect::<Vec<_>>();
            let each: u32 = pairs
                .chunks(2)
                .map(|pair| {
                    change16(
                        u16::from_ne_bytes([pair[0].0, pair[1].0]),
                        u16::from_ne_bytes([pair[0].1, pair[1].1]),
                    )
                })
                .sum();
            let checksum = next() as u16;
            let change = change_of_address(old, new);
            let changed = update(checksum, change);
            // Both stand for zero.
            let same = |one: u16, other: u16| one == other || matches!((one, other), (0, 0xffff) | (0xffff, 0));
            assert!(same(changed, update(checksum, each)), "{old:x?} {new:x?}");
            assert!(
                same(update(changed, reversed(fold(change))), checksum),
                "{old:x?} {new:x?}"
            );
        }
    }

    #[test]
    fn incremental_equals_whole() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let mut packet = [0u8; 24];
            for chunk in packet.chunks_mut(8) {
                chunk.copy_from_slice(&next().to_ne_bytes());
            }
            let before = !sum(&packet);
            let word = next() as u32;
            let half = next() as u16;
            let old_word = u32::from_ne_bytes(packet[4..8].try_into().unwrap());
            let old_half = u16::from_ne_bytes(packet[8..10].try_into().unwrap());
            packet[4..8].copy_from_slice(&word.to_ne_bytes());
            packet[8..10].copy_from_slice(&half.to_ne_bytes());
            let after = update(before, change32(old_word, word) + change16(old_half, half));
            assert_eq!(fold(sum(&packet) as u32 + after as u32), 0xffff);
        }
    }
}
