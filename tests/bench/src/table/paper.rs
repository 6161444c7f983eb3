//! The table as the paper's pseudocode makes it: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer",
//! NSDI '16, section 3.4. It has no weights. What times are a multiple of: it does not change when `lb` does.

use lb_common::flow::mix;
use lb_userspace::core::maglev::Member;

use super::method::GAMMA;

/// For each of `size` slots, a prime, the index of its owner in `members`, whose weights do not count.
///
/// # Panics
///
/// If there are no members.
pub fn table(size: u32, members: &[Member]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|index| members[*index].identity);
    let (offsets, skips): (Vec<u32>, Vec<u32>) =
        order.iter().map(|index| hashes(size, members[*index].identity)).unzip();
    let permutation =
        |i: usize, j: u32| ((u64::from(offsets[i]) + u64::from(j) * u64::from(skips[i])) % u64::from(size)) as usize;
    let mut next = vec![0u32; order.len()];
    let mut entry: Vec<Option<u32>> = vec![None; size as usize];
    for i in (0..order.len()).cycle().take(size as usize) {
        let mut slot = permutation(i, next[i]);
        while entry[slot].is_some() {
            next[i] += 1;
            slot = permutation(i, next[i]);
        }
        entry[slot] = Some(order[i] as u32);
        next[i] += 1;
    }
    entry.into_iter().flatten().collect()
}

/// Offset and skip, which the paper takes from any two hashes: here from those that `lb` takes.
fn hashes(size: u32, identity: u64) -> (u32, u32) {
    let scaled = |hash: u64, to: u32| (((hash >> 32) * u64::from(to)) >> 32) as u32;
    let offset = mix(identity.wrapping_add(GAMMA));
    let skip = mix(identity.wrapping_add(GAMMA.wrapping_mul(2)));
    (scaled(offset, size), 1 + scaled(skip, size - 1))
}

#[cfg(test)]
mod tests {
    use lb_userspace::core::maglev;

    use super::*;
    use crate::table::pool::{Pool, Weights};

    /// Where nobody's weight differs, `lb` makes the paper's table.
    #[test]
    fn equal_weights_have_the_papers_table() {
        for (size, backends) in [(13, 2), (251, 7), (4099, 100), (4099, 4099)] {
            let members = Pool::new(backends, Weights::Equal).members();
            assert_eq!(
                table(size, &members),
                maglev::build(size, &members),
                "{size}x{backends}"
            );
        }
    }
}
