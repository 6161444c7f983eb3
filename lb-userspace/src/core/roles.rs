//! What addresses can be, by their last two octets or their hash: the account behind the map of the same name (`lb_common::abi::role`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::abi::Address;
use lb_common::abi::role::{self, LINE_BYTES, LINES, RoleLine};

use super::image::BackOf;

/// Addresses that are something, grouped by where their byte is.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    endings: BTreeMap<u32, Ending>,
}

/// What shares a byte.
#[derive(Clone, Debug, Default)]
struct Ending {
    vips: BTreeSet<IpAddr>,
    backs: BTreeSet<BackOf>,
    /// Number of each source.
    sources: BTreeMap<IpAddr, u32>,
}

impl Ending {
    fn byte(&self) -> u8 {
        let vip = if self.vips.is_empty() { 0 } else { role::VIP };
        let nat = if self.backs.is_empty() { 0 } else { role::NAT };
        let source = match self.sources.values().next() {
            None => 0,
            Some(number) if self.sources.len() == 1 && *number + 1 < role::SOME_SOURCE as u32 => *number as u8 + 1,
            Some(_) => role::SOME_SOURCE,
        };
        vip | nat | source
    }
}

impl Roles {
    /// A service has this address, or no service has it any more. Gives what to write.
    pub fn vip(&mut self, address: IpAddr, there: bool) -> (usize, RoleLine) {
        self.change(address, |ending| match there {
            true => ending.vips.insert(address),
            false => ending.vips.remove(&address),
        })
    }

    /// A way back of `nat`, there or not any more.
    pub fn back(&mut self, of: BackOf, there: bool) -> (usize, RoleLine) {
        self.change(of.backend.address, |ending| match there {
            true => ending.backs.insert(of),
            false => ending.backs.remove(&of),
        })
    }

    /// A source address of `fullnat`.
    pub fn source(&mut self, address: IpAddr, number: u32) -> (usize, RoleLine) {
        self.change(address, |ending| ending.sources.insert(address, number).is_none())
    }

    /// All lines.
    pub fn lines(&self) -> impl Iterator<Item = (usize, RoleLine)> {
        (0..LINES).map(|line| (line as usize, self.line(line)))
    }

    fn change(&mut self, address: IpAddr, change: impl FnOnce(&mut Ending) -> bool) -> (usize, RoleLine) {
        let (line, byte) = place(address);
        let place = line * LINE_BYTES as u32 + byte as u32;
        let ending = self.endings.entry(place).or_default();
        change(ending);
        if ending.byte() == 0 {
            self.endings.remove(&place);
        }
        (line as usize, self.line(line))
    }

    fn line(&self, line: u32) -> RoleLine {
        let first = line * LINE_BYTES as u32;
        let mut bytes = [0; LINE_BYTES];
        for (place, ending) in self.endings.range(first..first + LINE_BYTES as u32) {
            bytes[(place - first) as usize] = ending.byte();
        }
        RoleLine(bytes)
    }
}

/// Where the byte of an address is: its line, and its place there.
fn place(address: IpAddr) -> (u32, usize) {
    let there = Address::from(address);
    match address {
        IpAddr::V4(_) => role::place(there.as_v4()),
        IpAddr::V6(_) => role::place6(there.as_v6()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::image::BackendKey;
    use crate::core::model::Protocol;

    fn address(octets: [u8; 4]) -> IpAddr {
        octets.into()
    }

    fn byte(of: [u8; 4], (line, bytes): (usize, RoleLine)) -> u8 {
        let (there, place) = place(address(of));
        assert_eq!(there as usize, line);
        bytes.0[place]
    }

    fn back(of: [u8; 4], port: u16) -> BackOf {
        let address = address(of);
        BackOf {
            backend: BackendKey { address, port },
            protocol: Protocol::Tcp,
        }
    }

    #[test]
    fn an_ending_is_forgotten_with_the_last_address_that_has_it() {
        let (one, other) = ([10, 0, 1, 1], [10, 9, 1, 1]);
        let mut roles = Roles::default();
        roles.vip(address(one), true);
        roles.vip(address(other), true);
        assert_eq!(byte(one, roles.vip(address(one), false)), role::VIP);
        assert_eq!(byte(one, roles.vip(address(other), false)), 0);
        assert!(roles.endings.is_empty());
    }

    #[test]
    fn a_backend_with_two_ports_is_one_until_both_are_gone() {
        let of = [10, 0, 1, 1];
        let mut roles = Roles::default();
        roles.back(back(of, 80), true);
        roles.back(back(of, 443), true);
        roles.back(back(of, 80), true);
        assert_eq!(byte(of, roles.back(back(of, 80), false)), role::NAT);
        assert_eq!(byte(of, roles.back(back(of, 443), false)), 0);
    }

    #[test]
    fn a_source_is_named_by_its_number_unless_two_end_alike() {
        let (one, other) = ([10, 0, 1, 1], [10, 9, 1, 1]);
        let mut roles = Roles::default();
        assert_eq!(byte(one, roles.source(address(one), 4)), 5);
        assert_eq!(byte(other, roles.source(address(other), 5)), role::SOME_SOURCE);
        let last = [10, 0, 2, 2];
        assert_eq!(byte(last, roles.source(address(last), 62)), role::SOME_SOURCE);
        assert_eq!(
            byte(last, roles.vip(address(last), true)),
            role::SOME_SOURCE | role::VIP
        );
    }

    #[test]
    fn the_lines_hold_every_ending() {
        let mut roles = Roles::default();
        roles.vip(address([10, 0, 0, 0]), true);
        roles.source(address([10, 0, 255, 255]), 0);
        let lines: Vec<_> = roles.lines().filter(|(_, line)| line.0 != [0; LINE_BYTES]).collect();
        assert_eq!(lines.len(), 2);
    }
}
