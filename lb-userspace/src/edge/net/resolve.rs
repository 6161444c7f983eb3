//! From what the kernel says of a route, a link and a neighbour to a next hop, or to what is missing.

use std::net::IpAddr;

use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia};

use super::family::{Family, is_link_local};
use super::links::{Link, Links};
use super::neighbours::{NeighbourKey, Neighbours};
use super::vlan;
use crate::core::model::NextHop;
use crate::core::observed::{HopState, HopTarget, ResolvedHop};

/// The kernel's answer to "how does a packet to this address leave?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub kind: RouteType,
    /// Index of the link.
    pub egress: u32,
    pub gateway: Gateway,
    pub source: Option<IpAddr>,
    /// What the route says of it, in bytes.
    pub mtu: Option<u32>,
}

/// Who a packet is handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// Its destination, on the link itself.
    OnLink,
    /// A router; of an IPv4 route it may be an IPv6 one (RFC 5549).
    Address(IpAddr),
    /// A router that is not named by an IP address.
    Unnamed,
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
pub fn asked(target: &HopTarget) -> IpAddr {
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
            RouteAttribute::PrefSource(source) => way.source = address(source),
            RouteAttribute::Metrics(metrics) => way.mtu = mtu(metrics),
            RouteAttribute::CacheInfo(cache) => learned = cache.expires != 0,
            other => way.gateway = gateway(other).unwrap_or(way.gateway),
        }
    }
    if learned {
        // From a path MTU discovery of this host; it expires, and nobody would say so.
        way.mtu = None;
    }
    way
}

/// The router that an attribute names, if it is about one.
pub fn gateway(attribute: &RouteAttribute) -> Option<Gateway> {
    let named = match attribute {
        RouteAttribute::Gateway(router) => address(router),
        RouteAttribute::Via(RouteVia::Inet(router)) => Some(IpAddr::from(*router)),
        RouteAttribute::Via(RouteVia::Inet6(router)) => Some(IpAddr::from(*router)),
        RouteAttribute::Via(_) => None,
        _ => return None,
    };
    Some(named.map_or(Gateway::Unnamed, Gateway::Address))
}

/// The IP address in a route's attribute.
pub fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::from(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::from(*address)),
        _ => None,
    }
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
    let (egress, tags) = match vlan::really(links, way.egress) {
        Ok(found) => found,
        Err(why) => return missing(why),
    };
    let resolved = |destination_mac| ResolvedHop {
        egress,
        source_mac: link.mac,
        destination_mac,
        source: link.source(target.address, way.source),
        mtu: mtu_of(link, way.mtu),
        tags,
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
        Gateway::Unnamed => {
            return missing(format!(
                "the route to {asked} goes through a router without an IP address; set next_hop to its MAC address"
            ));
        }
    };
    let key = (way.egress, neighbour);
    let state = match neighbours.mac(key) {
        Some(mac) => Ok(resolved(mac)),
        None => Err(format!(
            "neighbour {neighbour} on {} does not answer {}; is it up?",
            link.name,
            Family::of(neighbour).neighbour_protocol()
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
    if is_link_local(asked) {
        let remedy = if asked == target.address {
            "the global address of the host"
        } else {
            "next_hop to the router's global address, or to its MAC address"
        };
        return Err(format!(
            "{named} is a link-local address, which does not say on which interface; set {remedy}"
        ));
    }
    let way = answer.as_ref().map_err(|errno| no_way(&named, asked, *errno, links))?;
    match way.kind {
        RouteType::Unicast => {}
        RouteType::Local | RouteType::Anycast => {
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
fn no_way(named: &str, asked: IpAddr, errno: i32, links: &Links) -> String {
    if let Some(link) = links.values().find(|link| !link.up && link.covers(asked)) {
        return format!(
            "interface {} is down; set it up, or see whether it is plugged in",
            link.name
        );
    }
    match errno {
        errno if Family::is_missing(errno) => {
            format!("no route to {named}: this kernel has no IPv6; load its module, or boot without ipv6.disable=1")
        }
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
