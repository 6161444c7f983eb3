//! What clients connect to, and the hash table that finds its service.
//!
//! An array of [`super::Bucket`]s. A key may be in either of two buckets; the daemon puts it where there
//! is more room and never moves it. It makes an entry's value before its key, and takes the key before the value is used again, so
//! that a program that finds the key reads a number that is that key's.

/// What a client connects to. 8 bytes.
///
/// Port 0 with protocol 0 is the *address marker*: it says that some service uses this address, for packets whose ports
/// cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct VipKey {
    /// Address as in the packet.
    pub address: u32,
    /// Port as in the packet.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    pub reserved: u8,
}

impl VipKey {
    /// Whether this is an address marker.
    #[inline(always)]
    pub const fn is_marker(&self) -> bool {
        self.port == 0 && self.protocol == 0
    }

    /// As it lies in an entry: `reserved:8 | protocol:8 | port:16 | address:32`; never 0 for an address that is not 0.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.address as u64 | (self.port as u64) << 32 | (self.protocol as u64) << 48 | (self.reserved as u64) << 56
    }

    /// The key that lies there as `word`.
    pub const fn from_word(word: u64) -> Self {
        Self {
            address: word as u32,
            port: (word >> 32) as u16,
            protocol: (word >> 48) as u8,
            reserved: (word >> 56) as u8,
        }
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
    VipKey: 8, 4;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::BUCKET_ENTRIES;
    use super::*;

    fn key(address: [u8; 4], port: u16, protocol: u8) -> VipKey {
        VipKey {
            address: u32::from_ne_bytes(address),
            port: port.to_be(),
            protocol,
            reserved: 0,
        }
    }

    #[test]
    fn a_key_is_one_word() {
        let one = key([192, 0, 2, 1], 443, 6);
        assert_eq!(VipKey::from_word(one.word()), one);
        assert_ne!(one.word(), key([192, 0, 2, 1], 443, 17).word());
        assert!(VipKey::from_word(one.word() & 0xffff_ffff).is_marker());
    }

    /// The load of the fullest of the buckets where each key goes to the emptier of its two, for keys as operators choose them.
    #[test]
    fn no_bucket_overflows() {
        const SERVICES: u32 = 4096;
        type Set = fn(u32) -> VipKey;
        let sets: [(&str, Set); 5] = [
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
            // Each address has one marker.
            let words = (0..SERVICES).flat_map(|n| [set(n).word(), set(n).word() & 0xffff_ffff]);
            words.collect::<BTreeSet<u64>>().into_iter().for_each(&mut put);
        }
    }
}
