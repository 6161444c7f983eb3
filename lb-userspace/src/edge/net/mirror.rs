//! The mirror of the routes to clients: the way back of the modes that rewrite addresses.
//!
//! It answers for every address: `0.0.0.0/0` and `::/0` are always in it. What the kernel decides by more than the
//! destination (several next hops, policy rules, types of service, source prefixes), or refuses, is
//! [`RouteHop::AskKernel`].
//!
//! What is for one link or for this host alone is left out: no router hands on a packet from there.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use rtnetlink::packet_route::route::{RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

use super::family::{Family, prefix_of};
use super::links::Links;
use super::neighbours::{NeighbourKey, Neighbours};
use super::resolve::{self, Gateway, mtu, mtu_of};
use super::vlan;
use crate::core::observed::{ResolvedHop, RouteHop};
use crate::core::prefix::Prefix;

/// As many entries of a family at most: what a balancer's map of client routes is made for.
pub const ENTRIES_MAX: usize = 60_000;

/// Where the rest of a family goes.
fn everything(family: Family) -> Prefix {
    Prefix {
        address: family.unspecified(),
        length: 0,
    }
}

/// The main table of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainTable {
    pub family: Family,
    pub routes: Vec<Route>,
    /// Alone, see [`main_table_decides`].
    pub decides: bool,
}

/// A route of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub prefix: Prefix,
    /// The kernel takes the smallest.
    pub priority: u32,
    pub way: RouteWay,
    pub source: Option<IpAddr>,
    /// In bytes.
    pub mtu: Option<u32>,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteWay {
    Gateway {
        egress: u32,
        address: IpAddr,
    },
    OnLink {
        egress: u32,
    },
    /// The kernel alone knows: several next hops, a tunnel, a type of service, a source prefix, or a refusal.
    Kernel,
}

/// The mirror, and the neighbours that it depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    pub entries: BTreeMap<Prefix, RouteHop>,
    pub neighbours: HashSet<NeighbourKey>,
}

/// Reads a route; `None` if it is not one of the main table, or dead, or not for the mirror.
pub fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let family = Family::BOTH
        .into_iter()
        .find(|family| family.netlink() == header.address_family)?;
    let mut table = u32::from(header.table);
    let (mut egress, mut gateway) = (None, Gateway::OnLink);
    let mut simple = header.kind == RouteType::Unicast && header.tos == 0 && header.source_prefix_length == 0;
    let mut route = Route {
        prefix: everything(family),
        priority: 0,
        way: RouteWay::Kernel,
        source: None,
        mtu: None,
    };
    route.prefix.length = header.destination_prefix_length;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(destination) => route.prefix.address = resolve::address(destination)?,
            RouteAttribute::Oif(index) => egress = Some(*index),
            RouteAttribute::Priority(priority) => route.priority = *priority,
            RouteAttribute::PrefSource(source) => route.source = resolve::address(source),
            RouteAttribute::Metrics(metrics) => route.mtu = mtu(metrics),
            RouteAttribute::MultiPath(_) | RouteAttribute::Encap(_) => simple = false,
            other => gateway = resolve::gateway(other).unwrap_or(gateway),
        }
    }
    // Clones are what this host has learned of a path: its MTU, for a while. They come along with the routes.
    let gone = header.flags.intersects(RouteFlags::Dead | RouteFlags::Cloned);
    if table != u32::from(RouteHeader::RT_TABLE_MAIN) || gone || !leaves_the_link(route.prefix) {
        return None;
    }
    if header.source_prefix_length > 0 {
        // Of one destination, the kernel looks first at the routes of some sources, whatever the priorities.
        route.priority = 0;
    }
    route.way = match (egress, gateway) {
        (Some(egress), Gateway::Address(address)) if simple => RouteWay::Gateway { egress, address },
        (Some(egress), Gateway::OnLink) if simple => RouteWay::OnLink { egress },
        _ => RouteWay::Kernel,
    };
    Some(route)
}

/// Whether a client may have an address of this prefix: `fe80::/10` and `ff00::/8` stay on a link, `::1` on its host
/// (RFC 4291). What IPv4 has of the kind is not in its main table.
fn leaves_the_link(prefix: Prefix) -> bool {
    let IpAddr::V6(address) = prefix.address else {
        return true;
    };
    let link_local = address.is_unicast_link_local() && prefix.length >= 10;
    let multicast = address.is_multicast() && prefix.length >= 8;
    !(link_local || multicast || address.is_loopback())
}

/// Whether these are the three rules that every host has (two for IPv6), or fewer: then the main table decides alone. No
/// rule at all means a kernel without policy routing.
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

/// Computes the mirror of both families.
pub fn mirror(tables: &[MainTable], links: &Links, neighbours: &Neighbours) -> Mirror {
    let mut mirror = Mirror {
        entries: BTreeMap::new(),
        neighbours: HashSet::new(),
    };
    for table in tables {
        let of_family = mirror_of(table, links, neighbours);
        mirror.entries.extend(of_family.entries);
        mirror.neighbours.extend(of_family.neighbours);
    }
    mirror
}

/// The mirror of one family. The other one's entries do not touch it.
fn mirror_of(table: &MainTable, links: &Links, neighbours: &Neighbours) -> Mirror {
    let nothing = || Mirror {
        entries: BTreeMap::from([(everything(table.family), RouteHop::AskKernel)]),
        neighbours: HashSet::new(),
    };
    if !table.decides || table.routes.len() > ENTRIES_MAX {
        return nothing();
    }
    let chosen = chosen(&table.routes);
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
    let of_family = neighbours.iter().filter(|(key, _)| Family::of(key.1) == table.family);
    for (key, mac) in of_family {
        let host = Prefix {
            address: key.1,
            length: table.family.bits(),
        };
        let route = lengths.iter().rev().find_map(|&length| {
            chosen.get(&Prefix {
                address: prefix_of(key.1, length),
                length,
            })
        });
        // Multicast and broadcast have MAC addresses too, and are nobody's.
        if let Some(route) = route
            && route.way == (RouteWay::OnLink { egress: key.0 })
            && leaves_the_link(host)
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
fn chosen(routes: &[Route]) -> BTreeMap<Prefix, Route> {
    let mut chosen: BTreeMap<Prefix, Route> = BTreeMap::new();
    for route in routes {
        let best = chosen.entry(route.prefix).or_insert(*route);
        if route.priority < best.priority {
            *best = *route;
        } else if route.prefix.address.is_ipv6() && route.priority == best.priority && route != best {
            // Of IPv4 it is the first. Of IPv6 it is the one whose router answers, or is preferred (RFC 4191), and not
            // always the same.
            best.way = RouteWay::Kernel;
        }
    }
    chosen
}

fn via(key: NeighbourKey, route: &Route, links: &Links, neighbours: &Neighbours) -> RouteHop {
    match (links.get(&key.0), neighbours.mac(key), vlan::really(links, key.0)) {
        (Some(link), Some(mac), Ok((egress, tags))) if link.up && link.has_mac() => RouteHop::Via(ResolvedHop {
            egress,
            source_mac: link.mac,
            destination_mac: mac,
            source: link.source(route.prefix.address, route.source),
            mtu: mtu_of(link, route.mtu),
            tags,
        }),
        _ => RouteHop::AskKernel,
    }
}

#[cfg(test)]
mod tests;
