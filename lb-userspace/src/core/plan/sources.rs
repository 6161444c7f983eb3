//! Numbers of the source addresses of `fullnat`.
//!
//! A backend's sources are numbers in a row. An address has one number for good: flows hold ports of it, and on the way back they
//! are found by it.

use std::net::IpAddr;

use super::{Op, Wanted};
use crate::core::image::Image;

/// Sources that have numbers in a row.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Number of the first.
    pub first: usize,
    pub count: usize,
    /// Those that are to get a number first, in the order of their numbers.
    pub new: Vec<IpAddr>,
}

/// The source addresses of a `fullnat` backend whose next hop goes with `of_hop`: the node's of that family, or this one;
/// none where the hop has none either.
pub fn of(wanted: &Wanted, of_hop: IpAddr) -> Vec<IpAddr> {
    let is_alike = |source: &&IpAddr| source.is_ipv6() == of_hop.is_ipv6();
    let own: Vec<IpAddr> = wanted.sources.iter().filter(is_alike).copied().collect();
    match own.is_empty() {
        true if of_hop.is_unspecified() => Vec::new(),
        true => vec![of_hop],
        false => own,
    }
}

/// The row for the addresses of `list`, in whatever order, where `numbered` have numbers already.
///
/// New ones get the next numbers. So an address that was given up between, and now parts the wanted ones, keeps some of them from
/// being used for new flows; the new ones always are.
pub fn row(numbered: &[IpAddr], list: &[IpAddr]) -> Row {
    let new: Vec<IpAddr> = list.iter().filter(|a| !numbered.contains(a)).copied().collect();
    let at_end = numbered.iter().rev().take_while(|a| list.contains(a)).count();
    let (first, count) = longest_run(numbered, list);
    if new.is_empty() && count > at_end {
        return Row { first, count, new };
    }
    Row {
        first: numbered.len() - at_end,
        count: at_end + new.len(),
        new,
    }
}

/// First number and length of the longest row of addresses that are all in `list`, the last one of several.
fn longest_run(numbered: &[IpAddr], list: &[IpAddr]) -> (usize, usize) {
    let mut longest = (0, 0);
    let mut first = 0;
    for (number, address) in numbered.iter().enumerate() {
        if !list.contains(address) {
            first = number + 1;
        } else if number + 1 - first >= longest.1 {
            longest = (first, number + 1 - first);
        }
    }
    longest
}

/// Gives numbers to those of `list` that have none. The number of the first, and how many there are in a row.
pub fn number(image: &mut Image, list: &[IpAddr], ops: &mut Vec<Op>) -> (u16, u16) {
    let row = row(&image.sources, list);
    for address in row.new {
        ops.push(Op::Source {
            number: image.sources.len() as u32,
            address,
        });
        image.sources.push(address);
    }
    (row.first as u16, row.count as u16)
}
