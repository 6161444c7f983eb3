//! How even tables are, and how little of them a change moves, by each method. Nothing here is a time.

use lb_userspace::core::maglev::Member;

use super::method::Method;
use super::pool::{Change, Pool, Shape, Weights};
use crate::measure::Samples;

/// How the slots of a table are shared.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The largest share as a multiple of its ideal, which with equal weights is the mean.
    pub most: f64,
    /// How far the worst share is from its ideal, in slots.
    pub off_slots: f64,
    /// The same as a part of the ideal; not of the same backend if the weights differ.
    pub off_part: f64,
    /// Whether each share is within one slot or half a percent of its ideal, whichever is more.
    pub is_even: bool,
}

impl Share {
    pub fn of(members: &[Member], table: &[u32]) -> Self {
        let mut slots = vec![0u32; members.len()];
        table.iter().for_each(|owner| slots[*owner as usize] += 1);
        let mut share = Self {
            most: 0.0,
            off_slots: 0.0,
            off_part: 0.0,
            is_even: true,
        };
        for (slots, (_, ideal)) in slots.into_iter().zip(ideals(table.len() as u32, members)) {
            let off = (f64::from(slots) - ideal).abs();
            share.most = share.most.max(f64::from(slots) / ideal);
            share.off_slots = share.off_slots.max(off);
            share.off_part = share.off_part.max(off / ideal);
            share.is_even &= off <= (ideal * 0.005).max(1.0);
        }
        share
    }
}

/// Identities and ideal shares: `size · weight / total`.
fn ideals(size: u32, members: &[Member]) -> Vec<(u64, f64)> {
    let total: f64 = members.iter().map(|member| f64::from(member.weight)).sum();
    let ideal = |member: &Member| f64::from(size) * f64::from(member.weight) / total;
    members.iter().map(|member| (member.identity, ideal(member))).collect()
}

/// Slots that have another owner afterwards.
pub fn moves(before: &(Vec<Member>, Vec<u32>), after: &(Vec<Member>, Vec<u32>)) -> usize {
    let owner = |(members, _): &(Vec<Member>, _), index: u32| members[index as usize].identity;
    let pairs = before.1.iter().zip(&after.1);
    pairs
        .filter(|(was, is)| owner(before, **was) != owner(after, **is))
        .count()
}

/// Slots that must have another owner, if everybody has its ideal share before and after: what those lose who lose.
pub fn least_moves(size: u32, before: &[Member], after: &[Member]) -> f64 {
    let afterwards: std::collections::HashMap<u64, f64> = ideals(size, after).into_iter().collect();
    let lost = |(identity, was): (u64, f64)| (was - afterwards.get(&identity).copied().unwrap_or(0.0)).max(0.0);
    ideals(size, before).into_iter().map(lost).sum()
}

/// What was found of a pool with one method.
pub struct Shared {
    pub shape: Shape,
    pub weights: Weights,
    pub method: Method,
    pub share: Share,
}

/// What was found of a change with one method.
pub struct Moved {
    pub shape: Shape,
    pub weights: Weights,
    pub change: Change,
    pub method: Method,
    /// One for each backend that the change was tried on.
    pub slots: Samples,
    /// The minimum, likewise.
    pub least: Samples,
}

/// Shares of this shape, by each of these methods.
pub fn shares(shape: Shape, methods: &[Method]) -> Vec<Shared> {
    let mut found = Vec::new();
    for weights in Weights::ALL {
        let members = Pool::new(shape.backends, weights).members();
        found.extend(methods.iter().map(|method| Shared {
            shape,
            weights,
            method: *method,
            share: Share::of(&members, &method.table(shape.size, &members)),
        }));
    }
    found
}

/// Slots moved by every change by every method, each tried on so many backends.
pub fn disruption(shape: Shape, subjects: usize) -> Vec<Moved> {
    let mut found = Vec::new();
    for weights in Weights::ALL {
        let pool = Pool::new(shape.backends, weights);
        for method in Method::ALL {
            let table = |pool: &Pool| {
                let members = pool.members();
                let table = method.table(shape.size, &members);
                (members, table)
            };
            let before = table(&pool);
            for change in Change::ALL {
                let (mut slots, mut least) = (Samples::default(), Samples::default());
                for subject in pool.subjects(subjects) {
                    let after = table(&pool.after(change, subject));
                    slots.push(moves(&before, &after) as f64);
                    least.push(least_moves(shape.size, &before.0, &after.0));
                }
                found.push(Moved {
                    shape,
                    weights,
                    change,
                    method,
                    slots,
                    least,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(weights: &[u32]) -> Vec<Member> {
        (1u64..)
            .zip(weights)
            .map(|(identity, weight)| Member {
                identity,
                weight: *weight,
            })
            .collect()
    }

    #[test]
    fn shares_are_set_against_their_ideals() {
        // Ideals are 2 and 6.
        let share = Share::of(&members(&[1, 3]), &[0, 1, 1, 1, 0, 1, 0, 1]);
        assert_eq!((share.most, share.off_slots, share.off_part), (1.5, 1.0, 0.5));
        assert!(share.is_even);
        assert!(!Share::of(&members(&[1, 3]), &[0, 1, 1, 0, 0, 1, 0, 1]).is_even);
    }

    #[test]
    fn a_slot_has_moved_when_it_has_another_owner() {
        let before = (members(&[1, 1, 1]), vec![0, 1, 2, 0]);
        let after = (before.0[1..].to_vec(), vec![0, 0, 1, 1]);
        assert_eq!(moves(&before, &after), 2);
    }

    #[test]
    fn the_minimum_is_what_is_lost() {
        let all = members(&[1, 1, 2]);
        assert_eq!(least_moves(100, &all, &all[..2]), 50.0);
        assert_eq!(least_moves(100, &all[..2], &all), 50.0);
        assert_eq!(least_moves(100, &all, &members(&[1, 1, 6])), 25.0);
    }
}
