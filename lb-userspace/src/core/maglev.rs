//! The table of a service: which backend each slot belongs to.
//!
//! Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI '16, section 3.4)
//! with weights. Members take turns; at its turn a member takes the first slot of its own permutation that nobody has
//! taken yet. What the paper leaves open is settled here so that the table is a function of the *set* of identities and
//! weights and of nothing else: every balancer computes the same one, whatever the order of its configuration and
//! whatever its history.
//!
//! # Recipe
//!
//! With `mix` of [`lb_common::flow`], all arithmetic modulo 2^64, γ = `0x9e3779b97f4a7c15` (SplitMix64's increment), and
//! `scale(x, n) = ((x >> 32) * n) >> 32`:
//!
//! 1. `identity = mix((address << 16 | port) + γ)`, the address as a number in host order; of an IPv6 address, whose halves are
//!    `high` and `low`, `mix(mix(mix(high + γ) + low) + port)`.
//! 2. Members of weight 0 are left out, the others sorted by identity.
//! 3. The permutation of a member: `offset, offset + skip, offset + 2·skip, …` modulo the size, where
//!    `offset = scale(mix(identity + γ), size)` and `skip = 1 + scale(mix(identity + 2γ), size - 1)`. The size is a prime,
//!    so each slot comes up once.
//! 4. Quotas by largest remainder: see [`quotas`].
//! 5. The turns of a member of weight `w` are due at `(k + ½) · step`, k = 0, 1, 2, … up to its quota, where
//!    `step = ⌊max << 32 / w⌋`, half of it rounded down, `max` is the greatest weight, and 1 << 32 is one round. Rounds
//!    come in order, and none is later than the greatest quota: what would be is in that round. In a round first come
//!    those that have not had a turn, by identity, then the others in the order in which they had their last one.
//!
//! `tests/fixtures/maglev.py` is the same in Python, and made the golden tables.
//!
//! # Evenness
//!
//! The ideal share of a member is `size · weight / total` slots. With equal weights everybody's share is within one slot of
//! it. With other weights too, as long as the lightest is due a whole slot: for weights of 1 to 100 that is so in every table
//! of 100 slots a member, which the paper wants anyway. One slot is less than half a percent of a share of more than 200
//! slots; of a smaller share it may be more, and since slots are whole no table can promise better.
//!
//! In a table that is more crowded, the lightest members get a whole slot where they are due a part of one, and the others
//! give it up in proportion to their weights. With as many members of each weight from 1 to 100 shares are still within one
//! slot where 65,537 slots are for 10,000 members.

use std::cmp::Reverse;
use std::net::IpAddr;

use lb_common::flow::mix;

/// What a slot holds that belongs to nobody.
pub const NONE: u32 = u32::MAX;

/// Increment of SplitMix64: 2^64 divided by the golden ratio, odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A backend as the table sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// See [`identity`]. Unique in a table.
    pub identity: u64,
    /// Its share of the table in proportion to the others' weights; 0: none.
    pub weight: u32,
}

/// The identity of a backend: a hash of its address and port, so that it does not depend on names, order or history.
/// Different pairs of IPv4 have different identities, since `mix` is one to one; those of IPv6 as good as always.
pub fn identity(address: IpAddr, port: u16) -> u64 {
    let port = u64::from(port);
    match address {
        IpAddr::V4(address) => mix((u64::from(address.to_bits()) << 16 | port).wrapping_add(GAMMA)),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let (high, low) = ((bits >> 64) as u64, bits as u64);
            let half = mix(high.wrapping_add(GAMMA));
            mix(mix(half.wrapping_add(low)).wrapping_add(port))
        }
    }
}

/// Whether a table can have this size: permutations need a prime.
pub fn is_prime(size: u32) -> bool {
    size >= 2
        && (2u32..)
            .take_while(|divisor| divisor.saturating_mul(*divisor) <= size)
            .all(|divisor| !size.is_multiple_of(divisor))
}

/// For each of `size` slots the index of its owner in `members`, or [`NONE`] everywhere if no member has a weight.
///
/// Each member gets exactly its quota: see [`quotas`].
///
/// # Panics
///
/// If `size` is not a prime.
pub fn build(size: u32, members: &[Member]) -> Vec<u32> {
    assert!(is_prime(size), "a table's size is a prime, and {size} is not");
    let mut order: Vec<u32> = (0..members.len() as u32)
        .filter(|&i| members[i as usize].weight > 0)
        .collect();
    order.sort_unstable_by_key(|&i| (members[i as usize].identity, members[i as usize].weight, i));
    let weights: Vec<u32> = order.iter().map(|&i| members[i as usize].weight).collect();
    let Some(max) = weights.iter().copied().max() else {
        return vec![NONE; size as usize];
    };
    let quotas = quotas(size, &weights);
    let turns: Vec<Turn> = order
        .iter()
        .zip(&quotas)
        .filter(|(_, quota)| **quota > 0)
        .map(|(&i, &quota)| Turn::first(i, &members[i as usize], quota, size, max))
        .collect();
    let rounds = quotas.iter().copied().max().unwrap_or(0);
    fill(size, turns, rounds)
}

/// How many slots each of these weights gets, in sum `size`. All weights are positive.
///
/// Largest remainder: everybody gets its share `size · weight / total` rounded down; what is left goes, one slot each, to
/// the greatest remainders, ties to the earlier one. So each share is within one slot of the ideal. If there are enough
/// slots for all, then first those whose share is less than one slot get one, the lightest first, and the others share
/// the rest: a backend with a weight is never without a slot because others are heavy.
pub fn quotas(size: u32, weights: &[u32]) -> Vec<u32> {
    let mut quotas = vec![0u32; weights.len()];
    if weights.is_empty() {
        return quotas;
    }
    let mut slots = u64::from(size);
    let mut total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    if weights.len() as u64 <= slots {
        let mut lightest_first: Vec<u32> = (0..weights.len() as u32).collect();
        lightest_first.sort_unstable_by_key(|&i| weights[i as usize]);
        for i in lightest_first {
            let weight = u64::from(weights[i as usize]);
            if slots * weight >= total {
                break;
            }
            quotas[i as usize] = 1;
            slots -= 1;
            total -= weight;
        }
    }
    let mut left = slots;
    let mut remainders: Vec<(u64, u32)> = Vec::with_capacity(weights.len());
    for (i, (quota, &weight)) in (0u32..).zip(quotas.iter_mut().zip(weights)) {
        if *quota == 0 {
            let share = slots * u64::from(weight);
            *quota = (share / total) as u32;
            left -= share / total;
            remainders.push((share % total, i));
        }
    }
    remainders.sort_unstable_by_key(|&(remainder, i)| (Reverse(remainder), i));
    for &(_, i) in &remainders[..left as usize] {
        quotas[i as usize] += 1;
    }
    quotas
}

/// A member's next turn, and a link of the queue of its round.
struct Turn {
    /// When it is due, in rounds, as a fixed-point number with 32 bits after the point.
    due: u64,
    /// From one turn to the next, likewise.
    step: u64,
    /// The slot of its permutation to try first.
    position: u32,
    /// Size less skip: from there on the permutation wraps around.
    wrap: u32,
    /// Turns left.
    left: u32,
    /// Its index in the caller's list.
    member: u32,
    /// Who is behind it in the queue.
    next: u32,
}

impl Turn {
    fn first(index: u32, member: &Member, quota: u32, size: u32, max: u32) -> Self {
        let step = (u64::from(max) << 32) / u64::from(member.weight);
        let skip = 1 + scale(mix(member.identity.wrapping_add(GAMMA.wrapping_mul(2))), size - 1);
        Self {
            due: step / 2,
            step,
            position: scale(mix(member.identity.wrapping_add(GAMMA)), size),
            wrap: size - skip,
            left: quota,
            member: index,
            next: NONE,
        }
    }
}

/// The high half of `x`, scaled to `0..n`.
fn scale(x: u64, n: u32) -> u32 {
    (((x >> 32) * u64::from(n)) >> 32) as u32
}

/// Lets the members take their turns, round by round.
fn fill(size: u32, mut turns: Vec<Turn>, rounds: u32) -> Vec<u32> {
    let mut table = vec![NONE; size as usize];
    let mut taken = vec![0u64; size as usize / 64 + 1];
    let mut queues = Queues::new(rounds + 1);
    for i in 0..turns.len() {
        queues.push(&mut turns, i as u32);
    }
    for round in 0..=rounds {
        while let Some(i) = queues.pop(&turns, round) {
            let turn = &mut turns[i as usize];
            let slot = take(&mut taken, turn.position, turn.wrap, size);
            table[slot as usize] = turn.member;
            turn.position = slot;
            turn.left -= 1;
            if turn.left > 0 {
                turn.due += turn.step;
                queues.push(&mut turns, i);
            }
        }
    }
    table
}

/// The first free slot of a permutation from `position` on, now taken.
///
/// The loop that the time goes into: `size · ln(size)` steps in all, whatever the number of members. It touches one bit
/// per step (8 KiB for the usual table), and wraps by comparing instead of dividing.
fn take(taken: &mut [u64], mut position: u32, wrap: u32, size: u32) -> u32 {
    let skip = size - wrap;
    loop {
        let word = &mut taken[position as usize / 64];
        let bit = 1u64 << (position % 64);
        if *word & bit == 0 {
            *word |= bit;
            return position;
        }
        position = if position >= wrap {
            position - wrap
        } else {
            position + skip
        };
    }
}

/// First-in-first-out queues of members, one for each round, linked through [`Turn::next`].
struct Queues {
    /// First and last member of each round's queue.
    ends: Vec<(u32, u32)>,
}

impl Queues {
    fn new(rounds: u32) -> Self {
        Self {
            ends: vec![(NONE, NONE); rounds as usize],
        }
    }

    /// Queues a member for the round in which its turn is due.
    fn push(&mut self, turns: &mut [Turn], i: u32) {
        let last = self.ends.len() - 1;
        let round = ((turns[i as usize].due >> 32) as usize).min(last);
        turns[i as usize].next = NONE;
        let (head, tail) = &mut self.ends[round];
        if *head == NONE {
            *head = i;
        } else {
            turns[*tail as usize].next = i;
        }
        *tail = i;
    }

    fn pop(&mut self, turns: &[Turn], round: u32) -> Option<u32> {
        let (head, _) = &mut self.ends[round as usize];
        if *head == NONE {
            return None;
        }
        let i = *head;
        *head = turns[i as usize].next;
        Some(i)
    }
}

#[cfg(test)]
mod tests;
