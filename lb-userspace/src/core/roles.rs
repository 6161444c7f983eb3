//! What addresses can be, by their last two octets or their hash: the account behind the map of the same name (`lb_common::abi::role`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::abi::Address;
use lb_common::abi::role::{self, LINE_BYTES, LINES, RoleLine};

use super::image::BackOf;
use super::prefix::Prefix;

/// Addresses that are something, grouped by where their byte is.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    endings: BTreeMap<u32, Ending>,
}

/// What shares a byte.
#[derive(Clone, Debug, Default)]
struct Ending {
    vips: BTreeSet<Prefix>,
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
    /// A service has these addresses, or no service has them any more. Gives what to write.
    pub fn vip(&mut self, prefix: Prefix, there: bool) -> Vec<(usize, RoleLine)> {
        // All its endings have it, or none.
        let is_there = endings(prefix).next().is_some_and(|place| self.has_vip(place, prefix));
        if is_there == there {
            return Vec::new();
        }
        let lines: BTreeSet<u32> = endings(prefix)
            .map(|(line, byte)| {
                self.change_ending(line, byte, |ending| match there {
                    true => ending.vips.insert(prefix),
                    false => ending.vips.remove(&prefix),
                });
                line
            })
            .collect();
        lines.into_iter().map(|line| (line as usize, self.line(line))).collect()
    }

    fn has_vip(&self, (line, byte): (u32, usize), prefix: Prefix) -> bool {
        let ending = self.endings.get(&number(line, byte));
        ending.is_some_and(|ending| ending.vips.contains(&prefix))
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
        self.change_ending(line, byte, change);
        (line as usize, self.line(line))
    }

    fn change_ending(&mut self, line: u32, byte: usize, change: impl FnOnce(&mut Ending) -> bool) {
        let place = number(line, byte);
        let ending = self.endings.entry(place).or_default();
        change(ending);
        if ending.byte() == 0 {
            self.endings.remove(&place);
        }
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

/// The number of an ending, by where its byte is.
fn number(line: u32, byte: usize) -> u32 {
    line * LINE_BYTES as u32 + byte as u32
}

/// The bytes of all addresses of a prefix. In the last two of an address lies every ending, whatever stands before them.
fn endings(prefix: Prefix) -> impl Iterator<Item = (u32, usize)> {
    let network = prefix.network();
    (0..=prefix.mask()).map(move |host| {
        place(match network {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() | u32::from(host)).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() | u128::from(host)).into(),
        })
    })
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

    fn host(octets: [u8; 4]) -> Prefix {
        Prefix::host(address(octets))
    }

    #[test]
    fn a_prefix_has_the_endings_of_all_its_addresses() {
        let all = |text: &str, length| {
            let address = text.parse().unwrap();
            let mut roles = Roles::default();
            roles.vip(Prefix { address, length }, true);
            roles.vip(host([9, 9, 1, 1]), true);
            let marked = |(_, line): (usize, RoleLine)| line.0.iter().filter(|byte| **byte == role::VIP).count();
            let count: usize = roles.lines().map(marked).sum();
            roles.vip(Prefix { address, length }, false);
            assert_eq!(roles.lines().map(marked).sum::<usize>(), 1);
            count
        };
        assert_eq!(all("10.0.4.0", 22), 1024 + 1);
        assert_eq!(all("10.0.0.0", 9), 65_536);
        assert_eq!(all("2001:db8::4400", 120), 256 + 1);
        assert_eq!(all("2001:db8::", 32), 65_536);
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
        roles.vip(host(one), true);
        roles.vip(host(other), true);
        assert_eq!(byte(one, roles.vip(host(one), false)[0]), role::VIP);
        assert_eq!(byte(one, roles.vip(host(other), false)[0]), 0);
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
            byte(last, roles.vip(host(last), true)[0]),
            role::SOME_SOURCE | role::VIP
        );
    }

    #[test]
    fn the_lines_hold_every_ending() {
        let mut roles = Roles::default();
        roles.vip(host([10, 0, 0, 0]), true);
        roles.source(address([10, 0, 255, 255]), 0);
        let lines: Vec<_> = roles.lines().filter(|(_, line)| line.0 != [0; LINE_BYTES]).collect();
        assert_eq!(lines.len(), 2);
    }
}
