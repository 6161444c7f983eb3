//! Services of prefixes, as the groups that the program finds them in (`lb_common::abi::PrefixKey`): each prefix that a service has makes
//! one, with the ports of its services and, where those leave any over, what the next shorter prefix around it has there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::model::{Protocol, Vip};
use super::ports;
use super::prefix::Prefix;

/// Ports that begin alike, of a protocol in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub group: u32,
    pub protocol: Protocol,
    /// The first of them.
    pub port: u16,
    /// How many bits they have in common.
    pub bits: u8,
}

/// One write to the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// A place leads to the service with this number.
    Put(Place, u16),
    Gone(Place),
    /// Addresses of the prefix are looked up in this group.
    Group(Prefix, u32),
    GroupGone(Prefix),
}

/// What is in the maps.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// Services of prefixes by number.
    services: BTreeMap<Vip, u16>,
    groups: BTreeMap<Prefix, u32>,
    /// Number of the next group: none is used again while a program may still read it.
    next: u32,
    places: BTreeMap<Place, u16>,
}

impl Groups {
    /// A service is found from now on, or none is any more. What has to be written, in an order in which each address always finds a
    /// service that it had before or will have.
    pub fn change(&mut self, vip: Vip, service: Option<u16>) -> Vec<Write> {
        match service {
            Some(number) => self.services.insert(vip, number),
            None => self.services.remove(&vip),
        };
        self.writes()
    }

    /// What is in maps that are there already, and the writes that bring them up to these services.
    pub fn adopt(
        groups: BTreeMap<Prefix, u32>,
        places: BTreeMap<Place, u16>,
        services: BTreeMap<Vip, u16>,
    ) -> (Self, Vec<Write>) {
        let next = groups.values().max().map_or(0, |last| last.wrapping_add(1));
        let mut adopted = Self {
            services,
            groups,
            next,
            places,
        };
        let writes = adopted.writes();
        (adopted, writes)
    }

    fn writes(&mut self) -> Vec<Write> {
        let prefixes: BTreeSet<Prefix> = self.services.keys().map(|vip| vip.prefix()).collect();
        let mut writes = Vec::new();
        let mut groups = BTreeMap::new();
        for prefix in &prefixes {
            let number = self.groups.get(prefix).copied().unwrap_or(self.next);
            self.next = self.next.max(number.wrapping_add(1));
            groups.insert(*prefix, number);
        }
        let mut places = BTreeMap::new();
        for (prefix, group) in &groups {
            places.extend(self.of_prefix(*prefix, *group));
        }
        let put = places
            .iter()
            .filter(|(place, service)| self.places.get(place) != Some(service));
        writes.extend(put.map(|(place, service)| Write::Put(*place, *service)));
        let new = groups.iter().filter(|(prefix, _)| !self.groups.contains_key(prefix));
        writes.extend(new.map(|(prefix, group)| Write::Group(*prefix, *group)));
        let gone = self.groups.keys().filter(|prefix| !groups.contains_key(prefix));
        writes.extend(gone.map(|prefix| Write::GroupGone(*prefix)));
        let gone = self.places.keys().filter(|place| !places.contains_key(place));
        writes.extend(gone.map(|place| Write::Gone(*place)));
        (self.groups, self.places) = (groups, places);
        writes
    }

    /// What a prefix's group has.
    fn of_prefix(&self, prefix: Prefix, group: u32) -> BTreeMap<Place, u16> {
        let mut around: BTreeMap<u8, Vec<(Vip, u16)>> = BTreeMap::new();
        for (vip, service) in self.services.iter().filter(|(vip, _)| vip.prefix().covers(prefix)) {
            around.entry(vip.length).or_default().push((*vip, *service));
        }
        let mut places = BTreeMap::new();
        let mut taken: BTreeMap<Protocol, Vec<RangeInclusive<u16>>> = BTreeMap::new();
        // The longest first.
        for (_, mut level) in around.into_iter().rev() {
            // The smallest range last: where two have a place, it is the smaller one's.
            level.sort_by_key(|(vip, _)| std::cmp::Reverse(vip.last_port - vip.port));
            for (vip, service) in &level {
                let left = without(
                    vip.port..=vip.last_port,
                    taken.get(&vip.protocol).map_or(&[], Vec::as_slice),
                );
                for (port, bits) in left.into_iter().flat_map(ports::prefixes) {
                    let protocol = vip.protocol;
                    let place = Place {
                        group,
                        protocol,
                        port,
                        bits,
                    };
                    places.insert(place, *service);
                }
            }
            if level.iter().any(|(vip, _)| vip.protocol == Protocol::Any) {
                // Nothing is left over.
                break;
            }
            for (vip, _) in level {
                taken.entry(vip.protocol).or_default().push(vip.port..=vip.last_port);
            }
        }
        places
    }
}

/// What is left of a range without the taken ones, in order.
fn without(range: RangeInclusive<u16>, taken: &[RangeInclusive<u16>]) -> Vec<RangeInclusive<u16>> {
    let mut left = vec![(u32::from(*range.start()), u32::from(*range.end()))];
    for gone in taken {
        let (first, last) = (u32::from(*gone.start()), u32::from(*gone.end()));
        left = left
            .into_iter()
            .flat_map(|(from, to)| {
                let below = (from < first).then(|| (from, to.min(first.saturating_sub(1))));
                let above = (to > last).then(|| (from.max(last + 1), to));
                below.into_iter().chain(above)
            })
            .collect();
    }
    left.into_iter().map(|(from, to)| from as u16..=to as u16).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    fn vip(length: u8, ports: (u16, u16), protocol: Protocol) -> Vip {
        let address = Prefix {
            address: Ipv4Addr::new(10, 1, 2, 3).into(),
            length,
        };
        Vip {
            address: address.network(),
            length,
            port: ports.0,
            last_port: ports.1,
            protocol,
        }
    }

    /// What the program finds: the longest prefix, then the longest place.
    fn found(groups: &Groups, address: IpAddr, protocol: Protocol, port: u16) -> Option<u16> {
        let prefixes = groups.groups.iter().filter(|(prefix, _)| prefix.contains(address));
        let (_, group) = prefixes.max_by_key(|(prefix, _)| prefix.length)?;
        let of = |protocol| {
            let fits = |place: &Place| {
                let mask = u16::MAX.checked_shl(16 - u32::from(place.bits)).unwrap_or(0);
                place.group == *group && place.protocol == protocol && port & mask == place.port
            };
            let places = groups.places.iter().filter(|(place, _)| fits(place));
            places.max_by_key(|(place, _)| place.bits).map(|(_, service)| *service)
        };
        of(protocol).or_else(|| of(Protocol::Any))
    }

    /// What is meant: of the longest prefix with a service for it, the one with the fewest ports.
    fn meant(services: &BTreeMap<Vip, u16>, address: IpAddr, protocol: Protocol, port: u16) -> Option<u16> {
        let fitting = services.iter().filter(|(vip, _)| {
            vip.prefix().contains(address)
                && (vip.protocol == protocol || vip.protocol == Protocol::Any)
                && (vip.port..=vip.last_port).contains(&port)
        });
        let best = fitting.max_by_key(|(vip, _)| {
            let own = vip.protocol == protocol;
            (vip.length, own, std::cmp::Reverse(vip.last_port - vip.port))
        });
        best.map(|(_, service)| *service)
    }

    #[test]
    fn a_longer_prefix_goes_first_and_leaves_what_it_has_not() {
        let mut groups = Groups::default();
        groups.change(vip(8, (0, u16::MAX), Protocol::Tcp), Some(1));
        groups.change(vip(8, (81, 81), Protocol::Tcp), Some(2));
        groups.change(vip(24, (80, 80), Protocol::Tcp), Some(3));
        let at = |address: [u8; 4], port| found(&groups, address.into(), Protocol::Tcp, port);
        assert_eq!(at([10, 1, 2, 9], 80), Some(3));
        assert_eq!(at([10, 1, 2, 9], 81), Some(2));
        assert_eq!(at([10, 1, 2, 9], 82), Some(1));
        assert_eq!(at([10, 1, 3, 9], 80), Some(1));
        assert_eq!(at([11, 1, 2, 9], 80), None);
    }

    #[test]
    fn what_is_there_is_not_written_again() {
        let mut groups = Groups::default();
        let one = vip(24, (80, 80), Protocol::Tcp);
        let writes = groups.change(one, Some(1));
        let [Write::Put(place, 1), Write::Group(_, 0)] = writes[..] else {
            panic!("{writes:?}");
        };
        assert_eq!(groups.change(one, Some(1)), []);
        assert_eq!(groups.change(one, Some(2)), [Write::Put(place, 2)]);
        let gone = groups.change(one, None);
        assert_eq!(gone, [Write::GroupGone(one.prefix()), Write::Gone(place)]);
    }

    fn services() -> impl Strategy<Value = Vec<Vip>> {
        let length = prop_oneof![Just(8), Just(16), Just(24), Just(30)];
        let ports = prop_oneof![
            Just((0, u16::MAX)),
            (80u16..90).prop_map(|port| (port, port)),
            Just((82, 86))
        ];
        let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Any)];
        let one = (length, ports, protocol).prop_map(|(length, ports, protocol)| match protocol {
            Protocol::Any => vip(length, (0, u16::MAX), protocol),
            _ => vip(length, ports, protocol),
        });
        proptest::collection::vec(one, 1..12)
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_is_meant(vips in services(), gone in any::<prop::sample::Index>(), last in 0u8..8) {
            let mut groups = Groups::default();
            let mut services = BTreeMap::new();
            for (number, vip) in (1..).zip(&vips) {
                services.insert(*vip, number);
                groups.change(*vip, Some(number));
            }
            let gone = vips[gone.index(vips.len())];
            services.remove(&gone);
            groups.change(gone, None);
            for address in [[10, 1, 2, last], [10, 1, 9, 9], [10, 7, 7, 7]] {
                for port in 78..92 {
                    for protocol in [Protocol::Tcp, Protocol::Udp] {
                        prop_assert_eq!(
                            found(&groups, address.into(), protocol, port),
                            meant(&services, address.into(), protocol, port)
                        );
                    }
                }
            }
        }
    }
}
