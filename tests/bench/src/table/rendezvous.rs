//! Rendezvous hashing: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM Transactions on
//! Networking 6(1), 1998. Each backend has a random number for each key, and the key belongs to the one with the highest.
//!
//! With weights by the logarithmic method of Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", SPAA '05: the
//! number is `-weight / ln(u)`, where `u` is even between 0 and 1. Where all weights are equal the highest hash has the highest
//! of these, so that it is not worked out.

use std::cmp::Reverse;

use lb_common::flow::mix;
use lb_userspace::core::maglev::Member;

use super::method::slot_key;

/// For each of `size` slots the index of the member with the highest number.
///
/// # Panics
///
/// If there are no members.
pub fn table(size: u32, members: &[Member]) -> Vec<u32> {
    let equal = members.iter().all(|member| member.weight == members[0].weight);
    (0..size)
        .map(|slot| {
            let key = slot_key(slot);
            let highest = if equal {
                highest(members, |member| hash(key, member))
            } else {
                // Positive floating-point numbers are in the order of their bits.
                highest(members, |member| number(hash(key, member), member.weight).to_bits())
            };
            highest.expect("a table has members")
        })
        .collect()
}

/// The index of the member with the highest number; of two, the one with the lesser identity.
fn highest(members: &[Member], number: impl Fn(&Member) -> u64) -> Option<u32> {
    (0u32..)
        .zip(members)
        .max_by_key(|(_, member)| (number(member), Reverse(member.identity)))
        .map(|(index, _)| index)
}

fn hash(key: u64, member: &Member) -> u64 {
    mix(key ^ member.identity)
}

/// What a weight makes of a hash; 0 without a weight.
fn number(hash: u64, weight: u32) -> f64 {
    // The middle of one of 2^52 equal parts, which a double holds exactly: neither 0 nor 1.
    let even = ((hash >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
    -f64::from(weight) / even.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::pool::{Pool, Weights};

    /// Logarithms change nothing where weights are equal.
    #[test]
    fn the_highest_hash_has_the_highest_number() {
        let members = Pool::new(50, Weights::Equal).members();
        let with_logarithms = |slot: u32| {
            let key = slot_key(slot);
            highest(&members, |member| number(hash(key, member), member.weight).to_bits())
        };
        for (slot, owner) in (0u32..).zip(table(4099, &members)) {
            assert_eq!(with_logarithms(slot), Some(owner));
        }
    }

    #[test]
    fn numbers_are_finite_and_grow_with_hash_and_weight() {
        let numbers = [0, 1 << 20, 1 << 63, u64::MAX].map(|hash| number(hash, 7));
        assert!(numbers.is_sorted() && numbers.iter().all(|number| number.is_finite() && *number > 0.0));
        assert!(number(1 << 40, 8) > number(1 << 40, 7));
        assert_eq!(number(u64::MAX, 0).abs(), 0.0);
    }
}
