//! Ways to give slots to backends: Maglev as `lb` has it, and two others to compare it with.

use std::fmt;

use lb_common::flow::mix;
use lb_userspace::core::maglev::{self, Member};

use super::{rendezvous, ring};

/// Increment of SplitMix64, whose numbers serve as hashes here.
pub const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// How slots are given to backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Maglev,
    /// Consistent hashing with so many points on the ring for a backend of [`EQUAL`](super::pool::EQUAL) weight.
    Ring(u32),
    /// Highest random weight.
    Rendezvous,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maglev => write!(f, "maglev"),
            Self::Ring(points) => write!(f, "ring-{points}"),
            Self::Rendezvous => write!(f, "rendezvous"),
        }
    }
}

impl Method {
    pub const ALL: [Self; 4] = [Self::Maglev, Self::Ring(100), Self::Ring(160), Self::Rendezvous];

    /// For each of `size` slots the index of its owner in `members`, of which one at least has a weight.
    pub fn table(self, size: u32, members: &[Member]) -> Vec<u32> {
        match self {
            Self::Maglev => maglev::build(size, members),
            Self::Ring(points) => ring::table(size, members, points),
            Self::Rendezvous => rendezvous::table(size, members),
        }
    }
}

/// The key that a slot is for methods that hash keys.
pub fn slot_key(slot: u32) -> u64 {
    mix(GAMMA.wrapping_mul(u64::from(slot) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::compare::{Share, least_moves, moves};
    use crate::table::pool::{Change, Pool, Weights};

    const SIZE: u32 = 4099;

    fn table(method: Method, pool: &Pool) -> (Vec<Member>, Vec<u32>) {
        let members = pool.members();
        let table = method.table(SIZE, &members);
        (members, table)
    }

    /// Every backend has slots, none has far more than its share.
    #[test]
    fn every_method_shares_by_weight() {
        for method in Method::ALL {
            for weights in Weights::ALL {
                let (members, table) = table(method, &Pool::new(20, weights));
                assert_eq!(table.len(), SIZE as usize);
                assert!((0..20).all(|member| table.contains(&member)), "{method} {weights:?}");
                let share = Share::of(&members, &table);
                assert!(share.most < 1.5, "{method} {weights:?}: {share:?}");
            }
        }
    }

    /// All but Maglev move only what comes from or goes to the backend that changes.
    #[test]
    fn every_method_moves_little() {
        let subject = 7;
        let pool = Pool::new(20, Weights::Equal);
        let its = [
            pool.members()[subject].identity,
            pool.after(Change::Added, 0).members()[20].identity,
        ];
        for method in Method::ALL {
            for change in Change::ALL {
                let (before, after) = (table(method, &pool), table(method, &pool.after(change, subject)));
                let (moved, least) = (moves(&before, &after), least_moves(SIZE, &before.0, &after.0));
                let most = if method == Method::Maglev { 4.0 } else { 1.5 };
                assert!(
                    moved as f64 <= least * most,
                    "{method} {change:?}: {moved}, at least {least}"
                );
                let owners = |(members, table): &(Vec<Member>, Vec<u32>)| -> Vec<u64> {
                    table.iter().map(|owner| members[*owner as usize].identity).collect()
                };
                let between_others = owners(&before).into_iter().zip(owners(&after));
                let between_others =
                    between_others.filter(|(was, is)| was != is && !its.contains(was) && !its.contains(is));
                assert!(
                    method == Method::Maglev || between_others.count() == 0,
                    "{method} {change:?}"
                );
            }
        }
    }

    #[test]
    fn no_method_minds_the_order() {
        for method in Method::ALL {
            let before = table(method, &Pool::new(20, Weights::Spread));
            let mut members = before.0.clone();
            members.reverse();
            let turned = method.table(SIZE, &members);
            assert_eq!(moves(&before, &(members, turned)), 0, "{method}");
        }
    }
}
