use std::net::{Ipv4Addr, Ipv6Addr};

use lb_common::flow::mix;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const SIZE: u32 = 65537;

/// Members `10.0.0.0:80`, `10.0.0.1:80`, … with these weights.
fn members(weights: impl IntoIterator<Item = u32>) -> Vec<Member> {
    (0u32..)
        .zip(weights)
        .map(|(i, weight)| Member {
            identity: identity(Ipv4Addr::from_bits(0x0a00_0000 + i).into(), 80),
            weight,
        })
        .collect()
}

/// Slots of each member.
fn shares(table: &[u32], members: usize) -> Vec<u32> {
    let mut shares = vec![0; members];
    for &owner in table.iter().filter(|owner| **owner != NONE) {
        shares[owner as usize] += 1;
    }
    shares
}

/// Each slot's owner by identity, so that tables of different lists can be compared.
fn owners(size: u32, members: &[Member]) -> Vec<u64> {
    build(size, members)
        .iter()
        .map(|&i| members[i as usize].identity)
        .collect()
}

fn moved(before: &[u64], after: &[u64]) -> usize {
    before.iter().zip(after).filter(|(a, b)| a != b).count()
}

/// Sets of members of many sizes and weights, the same in every run.
fn cases() -> impl Iterator<Item = (u32, Vec<Member>)> {
    (0u64..60).map(|case| {
        let random = |n: u64| mix(case.wrapping_mul(GAMMA).wrapping_add(n));
        let size = [13, 101, 1009, 4099][random(1) as usize % 4];
        let count = random(2) as usize % 200;
        let spread = [1, 3, 100, 1_000_000][random(3) as usize % 4];
        (
            size,
            members((0..count).map(|i| (random(10 + i as u64) % (spread + 1)) as u32)),
        )
    })
}

/// The paper's first property: what a member prefers is a permutation of all slots.
#[test]
fn preferences_are_permutations() {
    for member in members([1; 50]) {
        let turn = Turn::first(0, &member, 1, 251, 1);
        let mut taken = vec![0u64; 4];
        let mut position = turn.position;
        let mut seen: Vec<u32> = (0..251)
            .map(|_| {
                position = take(&mut taken, position, turn.wrap, 251);
                position
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..251).collect::<Vec<_>>());
    }
}

/// How far the worst share is from its ideal: 1 is one slot, or half a percent of the ideal where that is more.
fn unevenness(size: u32, weights: &[u32]) -> f64 {
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let table = build(size, &members(weights.iter().copied()));
    let shares = shares(&table, weights.len());
    let off = |(share, weight): (&u32, &u32)| {
        let ideal = f64::from(size) * f64::from(*weight) / total;
        (f64::from(*share) - ideal).abs() / (ideal * 0.005).max(1.0)
    };
    shares.iter().zip(weights).map(off).fold(0.0, f64::max)
}

/// Pools as they are in the benchmark's tables: equal weights, and weights from 1 to 100, as many of each.
#[test]
fn large_tables_are_even() {
    for size in [SIZE, 655_373] {
        for count in [10u32, 100, 1000, 10_000] {
            let equal = unevenness(size, &vec![7; count as usize]);
            assert!(equal < 1.0, "{count} equal weights in {size} slots: {equal}");
            let weights: Vec<u32> = (0..count).map(|i| 1 + i * 99 / (count - 1)).collect();
            let weighted = unevenness(size, &weights);
            assert!(
                weighted < 1.0,
                "{count} weights of 1 to 100 in {size} slots: {weighted}"
            );
        }
    }
}

proptest! {
    #[test]
    fn equal_weights_are_within_one_slot_of_the_ideal(
        size in select(&[13u32, 251, 4099][..]),
        count in 1..5000usize,
        weight in 1..=u32::MAX,
    ) {
        prop_assert!(unevenness(size, &vec![weight; count]) < 1.0);
    }

    /// Any pool of weights from 1 to 100 with 100 slots a member.
    #[test]
    fn weights_1_to_100_are_within_one_slot_or_half_a_percent(
        (size, weights) in select(&[251u32, 4099, 16_381][..])
            .prop_flat_map(|size| (Just(size), vec(1..=100u32, 1..=size as usize / 100))),
    ) {
        prop_assert!(unevenness(size, &weights) < 1.0);
    }
}

#[test]
fn shares_are_the_quotas_and_every_slot_has_an_owner() {
    for (size, members) in cases() {
        let table = build(size, &members);
        let shares = shares(&table, members.len());
        let total: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
        if total == 0 {
            assert!(table.iter().all(|owner| *owner == NONE));
            continue;
        }
        assert!(table.iter().all(|owner| *owner != NONE));
        let ideal = |member: &Member| f64::from(size) * f64::from(member.weight) / total as f64;
        let weighted = members.iter().filter(|member| member.weight > 0);
        let everybody_has_one = weighted.clone().count() <= size as usize;
        let all_are_due_one = weighted.clone().all(|member| ideal(member) >= 1.0);
        for (member, share) in members.iter().zip(&shares) {
            assert!(*share == 0 || member.weight > 0, "{member:?} has {share} slots");
            assert!(
                !everybody_has_one || member.weight == 0 || *share > 0,
                "{member:?} has no slot"
            );
            if all_are_due_one {
                assert!(
                    (f64::from(*share) - ideal(member)).abs() < 1.0,
                    "{share} instead of {}",
                    ideal(member)
                );
            }
        }
    }
}

#[test]
fn the_order_of_members_does_not_matter() {
    for (size, mut list) in cases().filter(|(_, list)| list.iter().any(|member| member.weight > 0)) {
        let before = owners(size, &list);
        list.reverse();
        let middle = list.len() / 3;
        list.rotate_left(middle);
        assert_eq!(before, owners(size, &list));
    }
}

/// Equal factors on all weights change no share, so they change no slot.
#[test]
fn only_the_proportion_of_weights_matters_for_equal_ones() {
    assert_eq!(owners(4099, &members([1; 40])), owners(4099, &members([100; 40])));
}

/// The paper's second property. Nobody can do with fewer moves than the slots of the member that left; the paper's
/// figure 12 has a few percent on top, and fewer the larger the table is in proportion.
#[test]
fn a_member_that_leaves_moves_little_else() {
    for (count, extra) in [(3usize, 0.06), (10, 0.05), (100, 0.03), (1000, 0.03)] {
        let all = members(vec![1; count]);
        let before = owners(SIZE, &all);
        for gone in [0, count / 2, count - 1] {
            let mut rest = all.clone();
            rest.remove(gone);
            let moves = moved(&before, &owners(SIZE, &rest)) as f64 / f64::from(SIZE);
            let least = 1.0 / count as f64;
            assert!(
                moves <= least + extra,
                "one of {count} moved {moves:.4} of the slots, at least {least:.4}"
            );
        }
    }
}

/// The same when the weights differ, for the heaviest member, the lightest, and a weight that is changed.
#[test]
fn weights_keep_disruption_small() {
    let all = members((0..50).map(|i| 10 + i * 2));
    let before = owners(SIZE, &all);
    let total: f64 = all.iter().map(|member| f64::from(member.weight)).sum();
    for gone in [0usize, 49] {
        let mut rest = all.clone();
        let least = f64::from(rest.remove(gone).weight) / total;
        let moves = moved(&before, &owners(SIZE, &rest)) as f64 / f64::from(SIZE);
        assert!(
            moves <= least + 0.06,
            "without {gone}: {moves:.4} of the slots moved, at least {least:.4}"
        );
    }
    let mut halved = all.clone();
    halved[20].weight /= 2;
    let least = f64::from(halved[20].weight) / total;
    let moves = moved(&before, &owners(SIZE, &halved)) as f64 / f64::from(SIZE);
    assert!(
        moves <= least + 0.06,
        "half the weight: {moves:.4} of the slots moved, at least {least:.4}"
    );
}

#[test]
fn nobody_one_and_too_many() {
    assert_eq!(build(13, &[]), vec![NONE; 13]);
    assert_eq!(build(13, &members([0, 0])), vec![NONE; 13]);
    assert_eq!(build(13, &members([0, 5, 0])), vec![1; 13]);
    let crowded = shares(&build(13, &members([1; 40])), 40);
    assert_eq!(crowded.iter().sum::<u32>(), 13);
    assert!(crowded.iter().all(|share| *share <= 1));
    let skewed = shares(&build(13, &members([u32::MAX, 1, u32::MAX, 1])), 4);
    assert_eq!((skewed[1], skewed[3], skewed[0] + skewed[2]), (1, 1, 11));
}

#[test]
fn light_members_get_a_slot_before_the_rest_is_shared() {
    assert_eq!(quotas(101, &[10_000, 1, 1, 1]), [98, 1, 1, 1]);
    assert_eq!(quotas(10, &[1, 1, 1]), [4, 3, 3]);
    assert_eq!(quotas(2, &[1, 1, 1]), [1, 1, 0]);
    assert!(quotas(5, &[]).is_empty());
}

#[test]
fn primes() {
    let primes: Vec<u32> = (0..30).filter(|&n| is_prime(n)).collect();
    assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
    assert!(is_prime(65537) && is_prime(655_373) && is_prime(4_294_967_291));
    assert!(!is_prime(65536) && !is_prime(4_294_836_225) && !is_prime(u32::MAX));
    assert_eq!(build(2, &members([1, 1])).len(), 2);
}

/// Made by `python3 tests/fixtures/maglev.py`. Another table here means that balancers of this version and of the last
/// one, side by side, would send the same flow to different backends.
#[test]
fn golden_vectors() {
    let identities: [(IpAddr, u16, u64); 8] = [
        (Ipv4Addr::UNSPECIFIED.into(), 0, 0xe220_a839_7b1d_cdaf),
        (Ipv4Addr::new(10, 0, 1, 1).into(), 80, 0x30a6_376e_484d_0169),
        (Ipv4Addr::new(10, 0, 1, 2).into(), 80, 0x7b46_6642_3c20_3722),
        (Ipv4Addr::BROADCAST.into(), 65535, 0xc5c3_58ac_47bd_80ec),
        (Ipv6Addr::UNSPECIFIED.into(), 0, 0x33fe_8bd4_f9c5_7863),
        (
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
            80,
            0xcc94_79d2_e9f6_e067,
        ),
        (
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2).into(),
            80,
            0x3453_b25d_6e3b_a5bf,
        ),
        (Ipv6Addr::from_bits(u128::MAX).into(), 65535, 0x2e47_33de_76c8_264f),
    ];
    for (address, port, wanted) in identities {
        assert_eq!(identity(address, port), wanted, "{address} {port}");
    }
    let member = |a, b, port, weight| Member {
        identity: identity(Ipv4Addr::new(10, 0, a, b).into(), port),
        weight,
    };
    let small = [member(1, 1, 80, 1), member(1, 2, 80, 1), member(1, 3, 80, 2)];
    assert_eq!(build(13, &small), [2, 0, 1, 1, 2, 2, 2, 2, 2, 0, 0, 1, 2]);
    let large: Vec<Member> = (0..300u32)
        .map(|i| member((i / 250) as u8, (i % 250 + 1) as u8, 8080, i % 7 * 10))
        .collect();
    let fnv = build(4099, &large)
        .iter()
        .flat_map(|owner| owner.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    assert_eq!(fnv, 0xa681_d382_c710_4368);
}
