//! The hash of a flow, and what is taken from it.
//!
//! One 64-bit hash is computed per packet, keyed, good in its high bits; the slot is its high half scaled to the table's size
//! by a multiplication (Lemire, "Fast random integer generation in an interval", 2019), not by `%`.
//!
//! Its key is the same on every balancer of a cluster, so that all of them send a flow to the same backend. The flow table's
//! own hash ([`bucket_pair`]) has a secret seed besides, so that nobody outside can choose flows that share a bucket.

/// Key of the flow hash where the operator sets none: the first 32 hexadecimal digits of pi's fraction.
pub const DEFAULT_HASH_KEY: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];

/// Two multipliers of David Stafford's "Mix13", also the finaliser of SplitMix64: each flips every output bit with
/// probability close to one half for each input bit.
const MIX_A: u64 = 0xbf58_476d_1ce4_e5b9;
const MIX_B: u64 = 0x94d0_49bb_1331_11eb;
/// Two more, odd and as random: 2^64 divided by the golden ratio, and that of Stafford's "Mix01".
const MIX_C: u64 = 0x9e37_79b9_7f4a_7c15;
const MIX_D: u64 = 0x7fb5_d329_728e_a185;

/// Mixes 64 bits, one to one (Stafford's Mix13).
#[inline(always)]
pub const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(MIX_A);
    x = (x ^ (x >> 27)).wrapping_mul(MIX_B);
    x ^ (x >> 31)
}

/// Hash of an IPv4 flow. Addresses and ports as in the packet: balancers of one cluster share their byte order.
#[inline(always)]
pub const fn hash_v4(
    key: [u64; 2],
    source: u32,
    destination: u32,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
) -> u64 {
    let from = (source as u64) << 32 | (source_port as u64) << 16 | destination_port as u64;
    let to = (destination as u64) << 32 | protocol as u64;
    let x = (from ^ key[0]).wrapping_mul(MIX_A);
    let x = (x ^ (x >> 32)) ^ (to ^ key[1]).wrapping_mul(MIX_B);
    mix(x)
}

/// Hash of an IPv6 flow. Addresses, in two words, and ports as in the packet.
#[inline(always)]
pub const fn hash_v6(
    key: [u64; 2],
    source: [u64; 2],
    destination: [u64; 2],
    source_port: u16,
    destination_port: u16,
    protocol: u8,
) -> u64 {
    // None of the products waits for another.
    let from = (source[0] ^ key[0])
        .wrapping_mul(MIX_A)
        .wrapping_add((source[1] ^ key[1]).wrapping_mul(MIX_B));
    let to = (destination[0] ^ key[1])
        .wrapping_mul(MIX_C)
        .wrapping_add((destination[1] ^ key[0]).wrapping_mul(MIX_D));
    let ends = (source_port as u64) << 32 | (destination_port as u64) << 16 | protocol as u64;
    mix(from.wrapping_add(to) ^ ends)
}

/// The slot of a flow in a table of `size` slots: `0 <= slot < size`, from the high half of the hash.
#[inline(always)]
pub const fn slot(hash: u64, size: u32) -> u32 {
    (((hash >> 32) * size as u64) >> 32) as u32
}

/// Which of `count` source addresses a new flow takes first, from the low half of the hash.
#[inline(always)]
pub const fn source(hash: u64, count: u32) -> u32 {
    (((hash & 0xffff_ffff) * count as u64) >> 32) as u32
}

/// The two buckets of a flow's key, of `buckets` in all; they may be the same one.
#[inline(always)]
pub const fn bucket_pair(key: u64, seed: u64, buckets: u32) -> (u32, u32) {
    let hash = mix(key ^ seed);
    let first = (((hash >> 32) * buckets as u64) >> 32) as u32;
    let second = (((hash & 0xffff_ffff) * buckets as u64) >> 32) as u32;
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_that_differ_in_one_field_differ_in_their_hash() {
        let base = hash_v4(DEFAULT_HASH_KEY, 1, 2, 3, 4, 6);
        for other in [
            hash_v4(DEFAULT_HASH_KEY, 9, 2, 3, 4, 6),
            hash_v4(DEFAULT_HASH_KEY, 1, 9, 3, 4, 6),
            hash_v4(DEFAULT_HASH_KEY, 1, 2, 9, 4, 6),
            hash_v4(DEFAULT_HASH_KEY, 1, 2, 3, 9, 6),
            hash_v4(DEFAULT_HASH_KEY, 1, 2, 3, 4, 17),
            hash_v4([0, 0], 1, 2, 3, 4, 6),
        ] {
            assert_ne!(base, other);
        }
    }

    /// Consecutive ports of one client, the commonest input, spread over 1,009 slots as evenly as chance would: chi squared
    /// over its 1,008 degrees of freedom stays within six standard deviations.
    #[test]
    fn consecutive_ports_spread_evenly() {
        let size = 1009u32;
        let mut hits = [0u32; 1009];
        let flows = 200_000u32;
        for flow in 0..flows {
            let port = (flow % 50_000) as u16;
            let hash = hash_v4(
                DEFAULT_HASH_KEY,
                0x0a00_0001 + flow / 50_000,
                0xc000_020a,
                port.to_be(),
                0x5000,
                6,
            );
            hits[slot(hash, size) as usize] += 1;
        }
        let expected = flows as f64 / size as f64;
        let chi: f64 = hits.iter().map(|h| (*h as f64 - expected).powi(2) / expected).sum();
        let sigma = (2.0 * 1008.0f64).sqrt();
        assert!((chi - 1008.0).abs() < 6.0 * sigma, "chi squared {chi}");
    }

    #[test]
    fn range_reduction_reaches_both_ends() {
        assert_eq!(slot(0, 65537), 0);
        assert_eq!(slot(u64::MAX, 65537), 65536);
        assert_eq!(source(u64::MAX, 3), 2);
    }

    /// Golden vectors: a changed hash would move every flow of every running balancer. Computed by a
    /// second implementation, in Python, with unbounded integers reduced modulo 2^64.
    #[test]
    fn golden_vectors() {
        let vectors: [(u64, u64); 3] = [
            (hash_v4(DEFAULT_HASH_KEY, 0, 0, 0, 0, 0), GOLDEN[0]),
            (
                hash_v4(DEFAULT_HASH_KEY, 0x0100_000a, 0x0a02_00c0, 0x409c, 0x5000, 6),
                GOLDEN[1],
            ),
            (
                hash_v4(DEFAULT_HASH_KEY, u32::MAX, u32::MAX, u16::MAX, u16::MAX, 17),
                GOLDEN[2],
            ),
        ];
        for (is, want) in vectors {
            assert_eq!(is, want, "{is:#x}");
        }
    }

    /// As above.
    #[test]
    fn golden_vectors_of_ipv6() {
        let address = [0xb80d_0120, 0x0100_0000_0000_0000];
        let service = [0x0100_0000_b80d_0120, 0x1000_0000_0000_0000];
        let vectors = [
            (
                hash_v6(DEFAULT_HASH_KEY, [0; 2], [0; 2], 0, 0, 0),
                0xde0b_67f0_eae1_9ce4,
            ),
            (
                hash_v6(DEFAULT_HASH_KEY, address, service, 0x409c, 0x5000, 6),
                0xb3a4_c3e9_ba27_5acd,
            ),
            (
                hash_v6(DEFAULT_HASH_KEY, [u64::MAX; 2], [u64::MAX; 2], u16::MAX, u16::MAX, 17),
                0x2624_23b7_4b90_fe3b_u64,
            ),
        ];
        for (is, want) in vectors {
            assert_eq!(is, want, "{is:#x}");
        }
    }

    /// Hosts of one network, the commonest clients, spread evenly; see [`consecutive_ports_spread_evenly`].
    #[test]
    fn consecutive_addresses_of_ipv6_spread_evenly() {
        let mut hits = [0u32; 1009];
        let flows = 200_000u32;
        for flow in 0..flows {
            let client = [0x0100_feed_b80d_0120, u64::from(flow).to_be()];
            let hash = hash_v6(DEFAULT_HASH_KEY, client, [0xb80d_0120, 1 << 56], 0x409c, 0x5000, 6);
            hits[slot(hash, 1009) as usize] += 1;
        }
        let expected = flows as f64 / 1009.0;
        let chi: f64 = hits.iter().map(|h| (*h as f64 - expected).powi(2) / expected).sum();
        let sigma = (2.0 * 1008.0f64).sqrt();
        assert!((chi - 1008.0).abs() < 6.0 * sigma, "chi squared {chi}");
    }

    const GOLDEN: [u64; 3] = [0xf4fe_f03f_b880_c1bc, 0x9d6f_5c41_cd90_81bd, 0x2679_d6f0_e642_ee83];
}
