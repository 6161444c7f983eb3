//! From what the kernel says of a route, a link and a neighbour to a next hop, or to what is missing.

use std::net::Ipv4Addr;

use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType};

use super::links::{Link, Links};
use super::neighbours::{NeighbourKey, Neighbours};
use crate::core::model::NextHop;
use crate::core::observed::{HopState, HopTarget, ResolvedHop};

/// The kernel's answer to "how does a packet to this address leave?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub kind: RouteType,
    /// Index of the link.
    pub egress: u32,
    pub gateway: Gateway,
    pub source: Option<Ipv4Addr>,
    /// What the route says of it, in bytes.
    pub mtu: Option<u32>,
}

/// Who a packet is handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// Its destination, on the link itself.
    OnLink,
    Address(Ipv4Addr),
    /// A router with an address of another family (RFC 5549).
    OtherFamily,
}

/// A way, or the error number that stands for a route that refuses, or for none.
pub type Answer = Result<Way, i32>;

/// The next hop of a target, and the neighbour that it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    pub state: HopState,
    pub neighbour: Option<NeighbourKey>,
}

/// The address that the kernel has to be asked about.
pub fn asked(target: &HopTarget) -> Ipv4Addr {
    match target.via {
        Some(NextHop::Address(router)) => router,
        Some(NextHop::Mac(_)) | None => target.address,
    }
}

/// Reads the answer to RTM_GETROUTE.
pub fn way(message: &RouteMessage) -> Way {
    let mut way = Way {
        kind: message.header.kind,
        egress: 0,
        gateway: Gateway::OnLink,
        source: None,
        mtu: None,
    };
    let mut learned = false;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => way.egress = *index,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => way.gateway = Gateway::Address(*address),
            RouteAttribute::Via(_) => way.gateway = Gateway::OtherFamily,
            RouteAttribute::PrefSource(RouteAddress::Inet(address)) => way.source = Some(*address),
            RouteAttribute::Metrics(metrics) => way.mtu = mtu(metrics),
            RouteAttribute::CacheInfo(cache) => learned = cache.expires != 0,
            _ => {}
        }
    }
    if learned {
        // From a path MTU discovery of this host; it expires, and nobody would say so.
        way.mtu = None;
    }
    way
}

/// The MTU among a route's metrics.
pub fn mtu(metrics: &[RouteMetric]) -> Option<u32> {
    metrics.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

/// Puts a next hop together.
pub fn hop(target: &HopTarget, answer: &Answer, links: &Links, neighbours: &Neighbours) -> Resolution {
    let missing = |why: String| Resolution {
        state: Err(why),
        neighbour: None,
    };
    let asked = asked(target);
    let (way, link) = match usable(target, answer, links) {
        Ok(usable) => usable,
        Err(why) => return missing(why),
    };
    let resolved = |destination_mac| ResolvedHop {
        egress: way.egress,
        source_mac: link.mac,
        destination_mac,
        source: way
            .source
            .or(link.addresses.first().map(|own| own.0))
            .unwrap_or(Ipv4Addr::UNSPECIFIED),
        mtu: mtu_of(link, way.mtu),
    };
    if let Some(NextHop::Mac(mac)) = target.via {
        return Resolution {
            state: Ok(resolved(mac)),
            neighbour: None,
        };
    }
    let neighbour = match way.gateway {
        Gateway::OnLink => asked,
        Gateway::Address(router) if target.via.is_none() => router,
        Gateway::Address(router) => {
            return missing(format!(
                "next_hop {asked} is on no network of this host, but behind {router}; set next_hop to a router on one"
            ));
        }
        Gateway::OtherFamily => {
            return missing(format!(
                "the route to {asked} goes through an IPv6 router; set next_hop to a MAC address"
            ));
        }
    };
    let key = (way.egress, neighbour);
    let state = match neighbours.mac(key) {
        Some(mac) => Ok(resolved(mac)),
        None => Err(format!(
            "neighbour {neighbour} on {} does not answer ARP; is it up?",
            link.name
        )),
    };
    Resolution {
        state,
        neighbour: Some(key),
    }
}

/// The way and its link, if packets can go there at all.
fn usable<'a>(target: &HopTarget, answer: &'a Answer, links: &'a Links) -> Result<(&'a Way, &'a Link), String> {
    let asked = asked(target);
    let named = if asked == target.address {
        asked.to_string()
    } else {
        format!("next_hop {asked}")
    };
    let way = answer.as_ref().map_err(|errno| no_way(&named, asked, *errno, links))?;
    match way.kind {
        RouteType::Unicast => {}
        RouteType::Local => {
            return Err(format!(
                "route to {named} leads to lo: this host itself; set the address of another host"
            ));
        }
        _ => {
            return Err(format!(
                "{named} is a broadcast or multicast address; set the address of a host"
            ));
        }
    }
    let link = links
        .get(&way.egress)
        .ok_or(format!("the interface to {named} is gone; add it again"))?;
    if !link.up {
        return Err(format!(
            "interface {} is down; set it up, or see whether it is plugged in",
            link.name
        ));
    }
    if !link.has_mac() {
        return Err(format!(
            "interface {}, the way to {named}, has no MAC address; route it through an Ethernet interface",
            link.name
        ));
    }
    Ok((way, link))
}

/// Why there is no way. Routes vanish together with the link that they need, so that is what is looked for first.
fn no_way(named: &str, asked: Ipv4Addr, errno: i32, links: &Links) -> String {
    if let Some(link) = links.values().find(|link| !link.up && link.covers(asked)) {
        return format!(
            "interface {} is down; set it up, or see whether it is plugged in",
            link.name
        );
    }
    match errno {
        libc::ENETUNREACH | libc::ESRCH => format!("no route to {named}; add a route, or set next_hop"),
        libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL => {
            format!("the route to {named} refuses packets; change the route, or set next_hop")
        }
        _ => format!(
            "no route to {named}: {}; add a route, or set next_hop",
            std::io::Error::from_raw_os_error(errno)
        ),
    }
}

/// The smaller one of what the link takes and what the route says.
pub fn mtu_of(link: &Link, route: Option<u32>) -> u16 {
    let mtu = route.filter(|mtu| *mtu > 0).map_or(link.mtu, |mtu| mtu.min(link.mtu));
    mtu.try_into().unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
