//! The mirror of the routes to clients: the way back of the modes that rewrite addresses.
//!
//! It answers for every address: `0.0.0.0/0` is always in it. What the kernel decides by more than the destination
//! (several next hops, policy rules, types of service), or refuses, is [`RouteHop::AskKernel`].

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::Ipv4Addr;

use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

use super::links::{Links, prefix_of};
use super::neighbours::{NeighbourKey, Neighbours};
use super::resolve::{mtu, mtu_of};
use crate::core::observed::{ResolvedHop, RouteHop, RoutePrefix};

/// As many entries at most: what a balancer's map of client routes is made for.
pub const ENTRIES_MAX: usize = 60_000;

/// Where the rest goes.
const EVERYTHING: RoutePrefix = RoutePrefix {
    address: Ipv4Addr::UNSPECIFIED,
    length: 0,
};

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub prefix: RoutePrefix,
    /// The kernel takes the smallest.
    pub priority: u32,
    pub way: RouteWay,
    pub source: Option<Ipv4Addr>,
    /// In bytes.
    pub mtu: Option<u32>,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteWay {
    Gateway {
        egress: u32,
        address: Ipv4Addr,
    },
    OnLink {
        egress: u32,
    },
    /// The kernel alone knows: several next hops, a tunnel, an IPv6 router, a type of service, or a refusal.
    Kernel,
}

/// The mirror, and the neighbours that it depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    pub entries: BTreeMap<RoutePrefix, RouteHop>,
    pub neighbours: HashSet<NeighbourKey>,
}

/// Reads a route; `None` if it is not one of the main table, or dead.
pub fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let mut table = u32::from(header.table);
    let (mut address, mut egress, mut gateway) = (Ipv4Addr::UNSPECIFIED, None, None);
    let mut simple = header.kind == RouteType::Unicast && header.tos == 0;
    let mut route = Route {
        prefix: EVERYTHING,
        priority: 0,
        way: RouteWay::Kernel,
        source: None,
        mtu: None,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(RouteAddress::Inet(destination)) => address = *destination,
            RouteAttribute::Oif(index) => egress = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(router)) => gateway = Some(*router),
            RouteAttribute::Priority(priority) => route.priority = *priority,
            RouteAttribute::PrefSource(RouteAddress::Inet(source)) => route.source = Some(*source),
            RouteAttribute::Metrics(metrics) => route.mtu = mtu(metrics),
            RouteAttribute::MultiPath(_) | RouteAttribute::Via(_) | RouteAttribute::Encap(_) => simple = false,
            _ => {}
        }
    }
    if table != u32::from(RouteHeader::RT_TABLE_MAIN) || header.flags.contains(RouteFlags::Dead) {
        return None;
    }
    route.prefix = RoutePrefix {
        address,
        length: header.destination_prefix_length,
    };
    route.way = match (egress, gateway) {
        (Some(egress), Some(address)) if simple => RouteWay::Gateway { egress, address },
        (Some(egress), None) if simple => RouteWay::OnLink { egress },
        _ => RouteWay::Kernel,
    };
    Some(route)
}

/// Whether these are the three rules that every host has, or fewer: then the main table decides alone. No rule at all
/// means a kernel without policy routing.
pub fn main_table_decides(rules: &[RuleMessage]) -> bool {
    rules.is_empty() || rules.iter().all(is_default) && rules.iter().any(|rule| priority(rule) == 32766)
}

fn priority(rule: &RuleMessage) -> u32 {
    let priority = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Priority(priority) => Some(*priority),
        _ => None,
    });
    priority.unwrap_or(0)
}

fn is_default(rule: &RuleMessage) -> bool {
    let RuleMessage { header, attributes, .. } = rule;
    let table = match priority(rule) {
        0 => 255,
        32766 => 254,
        32767 => 253,
        _ => return false,
    };
    let selects_nothing = header.dst_len == 0 && header.src_len == 0 && header.tos == 0;
    let plain = attributes.iter().all(|attribute| match attribute {
        RuleAttribute::Table(number) => *number == table,
        RuleAttribute::SuppressPrefixLen(length) => *length == u32::MAX,
        RuleAttribute::Priority(_) | RuleAttribute::Protocol(_) => true,
        _ => false,
    });
    header.action == RuleAction::ToTable && !header.flags.contains(RuleFlags::Invert) && selects_nothing && plain
}

/// Computes the mirror. `main_alone`: see [`main_table_decides`].
pub fn mirror(routes: &[Route], main_alone: bool, links: &Links, neighbours: &Neighbours) -> Mirror {
    let nothing = || Mirror {
        entries: BTreeMap::from([(EVERYTHING, RouteHop::AskKernel)]),
        neighbours: HashSet::new(),
    };
    if !main_alone || routes.len() > ENTRIES_MAX {
        return nothing();
    }
    let chosen = chosen(routes);
    let mut mirror = nothing();
    for route in chosen.values() {
        let hop = match route.way {
            RouteWay::Gateway { egress, address }
                if links.get(&egress).is_some_and(|link| link.up && link.has_mac()) =>
            {
                mirror.neighbours.insert((egress, address));
                via((egress, address), route, links, neighbours)
            }
            _ => RouteHop::AskKernel,
        };
        mirror.entries.insert(route.prefix, hop);
    }
    let lengths: BTreeSet<u8> = chosen.keys().map(|prefix| prefix.length).collect();
    for (key, mac) in neighbours.iter() {
        let host = RoutePrefix {
            address: key.1,
            length: 32,
        };
        let route = lengths.iter().rev().find_map(|&length| {
            chosen.get(&RoutePrefix {
                address: prefix_of(key.1, length),
                length,
            })
        });
        // Multicast and broadcast have MAC addresses too, and are nobody's.
        if let Some(route) = route
            && route.way == (RouteWay::OnLink { egress: key.0 })
            && mac[0] & 1 == 0
        {
            mirror.entries.insert(host, via(key, route, links, neighbours));
        }
    }
    if mirror.entries.len() > ENTRIES_MAX {
        return nothing();
    }
    mirror
}

/// For each prefix the route that the kernel takes.
fn chosen(routes: &[Route]) -> BTreeMap<RoutePrefix, &Route> {
    let mut chosen: BTreeMap<RoutePrefix, &Route> = BTreeMap::new();
    for route in routes {
        let best = chosen.entry(route.prefix).or_insert(route);
        if route.priority < best.priority {
            *best = route;
        }
    }
    chosen
}

fn via(key: NeighbourKey, route: &Route, links: &Links, neighbours: &Neighbours) -> RouteHop {
    match (links.get(&key.0), neighbours.mac(key)) {
        (Some(link), Some(mac)) if link.up && link.has_mac() => RouteHop::Via(ResolvedHop {
            egress: key.0,
            source_mac: link.mac,
            destination_mac: mac,
            source: route
                .source
                .or(link.addresses.first().map(|own| own.0))
                .unwrap_or(Ipv4Addr::UNSPECIFIED),
            mtu: mtu_of(link, route.mtu),
        }),
        _ => RouteHop::AskKernel,
    }
}

#[cfg(test)]
mod tests;
