//! Consistent hashing: Karger et al., "Consistent Hashing and Random Trees: Distributed Caching Protocols for Relieving Hot
//! Spots on the World Wide Web", STOC '97.
//!
//! Points for weights as in libketama (Jones, Last.fm, 2007), where a backend of mean weight has 160 of them and the others in
//! proportion, but with a fixed weight instead of the mean, as nginx has it: when a weight changes, nobody else's points do. The
//! hash is not ketama's MD5, and the ring has 2^64 places instead of 2^32.

use lb_common::flow::mix;
use lb_userspace::core::maglev::Member;

use super::method::{GAMMA, slot_key};
use super::pool;

/// For each of `size` slots the index of its owner: the member whose point is the first one from the slot's key on. `points` is
/// how many a member of [`UNIT`] has.
pub fn table(size: u32, members: &[Member], points: u32) -> Vec<u32> {
    let ring = ring(members, points);
    (0..size)
        .map(|slot| {
            let next = ring.partition_point(|point| point.place < slot_key(slot));
            // Behind the last point the ring begins anew.
            ring[next % ring.len()].member
        })
        .collect()
}

/// The weight that points are counted for.
const UNIT: u32 = pool::EQUAL;

struct Point {
    place: u64,
    member: u32,
}

/// Every member's points, in the order of their places.
fn ring(members: &[Member], points: u32) -> Vec<Point> {
    let mut ring = Vec::new();
    for (index, member) in (0u32..).zip(members).filter(|(_, member)| member.weight > 0) {
        let count = (u64::from(points) * u64::from(member.weight) / u64::from(UNIT)).max(1);
        ring.extend((1..=count).map(|point| Point {
            place: mix(member.identity.wrapping_add(GAMMA.wrapping_mul(point))),
            member: index,
        }));
    }
    // Where two points share a place, identities decide, so that the order of the members does not matter.
    ring.sort_unstable_by_key(|point| (point.place, members[point.member as usize].identity));
    ring
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::pool::{Pool, Weights};

    #[test]
    fn points_follow_weights() {
        let members: Vec<Member> = (1..=3)
            .map(|weight| Member {
                identity: mix(weight),
                weight: weight as u32 * UNIT / 2,
            })
            .collect();
        let ring = ring(&members, 160);
        let of = |member| ring.iter().filter(|point| point.member == member).count();
        assert_eq!([of(0), of(1), of(2)], [80, 160, 240]);
        assert!(ring.is_sorted_by_key(|point| point.place));
    }

    /// The owner by the definition: the least distance forward from the key to any point.
    #[test]
    fn a_slot_belongs_to_the_next_point() {
        let members = Pool::new(7, Weights::Spread).members();
        let ring = ring(&members, 10);
        for (slot, owner) in (0u32..).zip(table(251, &members, 10)) {
            let key = slot_key(slot);
            let next = ring.iter().min_by_key(|point| point.place.wrapping_sub(key));
            assert_eq!(next.map(|point| point.member), Some(owner), "slot {slot}");
        }
    }
}
