//! What clients connect to, and the hash table that finds its service.
//!
//! An array of [`super::Bucket`]s. A key may be in either of two buckets; the daemon puts it where there
//! is more room and never moves it. It makes an entry's value before its key, and takes the key before the value is used again, so
//! that a program that finds the key reads a number that is that key's.

/// What a client connects to, as it lies in an entry: never 0 for an address that is not 0. 8 bytes.
///
/// One more key of an address is its *marker*: it says that some service uses the address, for packets whose ports cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct VipKey(pub u64);

/// The highest byte of a key made of an IPv6 address, and of an IPv4 address's marker.
const IPV6: u64 = 6 << 56;
const MARKER: u64 = 1 << 56;

impl VipKey {
    /// `0:8 | protocol:8 | port:16 | address:32`, address and port as in the packet.
    #[inline(always)]
    pub const fn v4(address: u32, port: u16, protocol: u8) -> Self {
        Self(address as u64 | (port as u64) << 32 | (protocol as u64) << 48)
    }

    /// The marker of an IPv4 address: no packet's own key.
    #[inline(always)]
    pub const fn marker_v4(address: u32) -> Self {
        Self(MARKER | address as u64)
    }

    /// The marker of an IPv6 address, that of port and protocol 0: the latter is a header that is followed.
    #[inline(always)]
    pub const fn marker_v6(address: [u64; 2]) -> Self {
        Self::v6(address, 0, 0)
    }

    /// `6:8 | hash:56`. What is found by it has to be compared with the packet; only an address marker is not, so one packet in
    /// 2^56 that cannot be read counts as ours.
    #[inline(always)]
    pub const fn v6(address: [u64; 2], port: u16, protocol: u8) -> Self {
        let ends = (port as u64) << 8 | protocol as u64;
        let low = (address[1] ^ ends).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        // The high bits of a product are the good ones: they are crossed, and the lowest go.
        let hash = address[0].wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ low ^ low >> 32;
        Self(IPV6 | hash >> 8)
    }
}

/// Number of a service in an address marker's entry: none.
pub const NO_SERVICE: u16 = 0;

/// Buckets for so many services, each with a marker of its address: one entry in eight is taken at most, so that both of a key's
/// buckets are never full. A power of two.
pub const fn vip_buckets(services: u32) -> u32 {
    let entries = services as u64 * 2;
    let buckets = (entries * 2).next_power_of_two();
    if buckets > 1 << 31 { 1 << 31 } else { buckets as u32 }
}

/// Where a key is looked for first: number of a bucket. `mask`: how many there are, less 1.
#[inline(always)]
pub const fn vip_first(key: u64, mask: u32) -> u32 {
    // 2^64 divided by the golden ratio (Knuth, "The Art of Computer Programming", volume 3, section 6.4): keys in a row, which
    // addresses and ports of services mostly are, come out evenly spread in the high bits.
    place(key, 0x9e37_79b9_7f4a_7c15, mask)
}

/// Where a key is looked for next; may be the same bucket.
#[inline(always)]
pub const fn vip_second(key: u64, mask: u32) -> u32 {
    place(key ^ key >> 29, 0xbf58_476d_1ce4_e5b9, mask)
}

#[inline(always)]
const fn place(key: u64, multiplier: u64, mask: u32) -> u32 {
    (key.wrapping_mul(multiplier) >> 32) as u32 & mask
}

assert_layout! {
    VipKey: 8, 8;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::BUCKET_ENTRIES;
    use super::*;

    fn key(address: [u8; 4], port: u16, protocol: u8) -> VipKey {
        VipKey::v4(u32::from_ne_bytes(address), port.to_be(), protocol)
    }

    fn key6(last: u64, port: u16, protocol: u8) -> VipKey {
        VipKey::v6([0x0000_0000_b80d_0120, last.to_be()], port.to_be(), protocol)
    }

    #[test]
    fn a_key_says_all_that_it_is_made_of() {
        let keys = [
            key([192, 0, 2, 1], 443, 6),
            key([192, 0, 2, 2], 443, 6),
            key([192, 0, 2, 1], 444, 6),
            key([192, 0, 2, 1], 443, 17),
            key([192, 0, 2, 1], 0, 0),
            VipKey::marker_v4(u32::from_ne_bytes([192, 0, 2, 1])),
            key6(1, 443, 6),
            key6(2, 443, 6),
            key6(1, 444, 6),
            key6(1, 443, 17),
            key6(1, 0, 0),
        ];
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
    }

    /// The load of the fullest of the buckets where each key goes to the emptier of its two, for keys as operators choose them.
    #[test]
    fn no_bucket_overflows() {
        const SERVICES: u32 = 4096;
        type Set = fn(u32) -> VipKey;
        let sets: [(&str, Set); 7] = [
            ("addresses in a row", |n| key((0x0a00_0000 + n).to_be_bytes(), 80, 6)),
            ("ports in a row", |n| key([192, 0, 2, 1], n as u16 + 1, 6)),
            ("every 256th address", |n| {
                key((0x0a00_0001 + (n << 8)).to_be_bytes(), 443, 17)
            }),
            ("64 ports of 64 addresses", |n| {
                key([198, 51, 100, (n >> 6) as u8], 8000 + (n as u16 & 63), 6)
            }),
            ("both protocols", |n| {
                key([10, 1, (n >> 8) as u8, n as u8], 53, if n & 1 == 0 { 6 } else { 17 })
            }),
            ("IPv6 addresses in a row", |n| key6(n as u64, 80, 6)),
            ("ports of an IPv6 address", |n| key6(1, n as u16 + 1, 6)),
        ];
        for (name, set) in sets {
            let mask = vip_buckets(SERVICES) - 1;
            let mut load = [0u8; vip_buckets(SERVICES) as usize];
            let mut put = |word| {
                let (first, second) = (vip_first(word, mask) as usize, vip_second(word, mask) as usize);
                let at = if load[second] < load[first] { second } else { first };
                load[at] += 1;
                assert!(load[at] as usize <= BUCKET_ENTRIES, "{name}");
            };
            // Each address has one marker; an IPv6 one's is some other word.
            let marker = |key: VipKey| {
                if key.0 >> 56 == 0 {
                    VipKey::marker_v4(key.0 as u32).0
                } else {
                    IPV6 | crate::flow::mix(key.0) >> 8
                }
            };
            let words = (0..SERVICES).flat_map(|n| [set(n).0, marker(set(n))]);
            words.collect::<BTreeSet<u64>>().into_iter().for_each(&mut put);
        }
    }
}
