//! A host with two links, and its network in either family.

use lb_common::abi::Tags;

use super::super::super::links::Link;
use super::super::super::neighbours::Sighting;
use super::*;

pub const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 77];
pub const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 11];

/// The same network in one family.
#[derive(Clone, Copy)]
pub struct Net {
    pub family: Family,
    pub own: &'static str,
    /// On the network, and its MAC address is known.
    pub router: &'static str,
    /// On the network, and its MAC address is not known.
    pub other_router: &'static str,
    /// On the network, and its MAC address is known.
    pub host: &'static str,
    pub everything: &'static str,
    pub network: &'static str,
    /// Part of the network, `host` included.
    pub part: &'static str,
    /// Networks elsewhere.
    pub far: [&'static str; 7],
}

pub const V4: Net = Net {
    family: Family::V4,
    own: "10.0.0.11",
    router: "10.0.0.1",
    other_router: "10.0.0.2",
    host: "10.0.0.77",
    everything: "0.0.0.0/0",
    network: "10.0.0.0/24",
    part: "10.0.0.64/26",
    far: [
        "10.1.0.0/16",
        "10.2.0.0/16",
        "10.3.0.0/16",
        "10.4.0.0/16",
        "10.5.0.0/16",
        "10.6.0.0/16",
        "10.7.0.0/16",
    ],
};

pub const V6: Net = Net {
    family: Family::V6,
    own: "2001:db8::11",
    router: "2001:db8::1",
    other_router: "2001:db8::2",
    host: "2001:db8::77",
    everything: "::/0",
    network: "2001:db8::/64",
    part: "2001:db8::/120",
    far: [
        "2001:db8:1::/48",
        "2001:db8:2::/48",
        "2001:db8:3::/48",
        "2001:db8:4::/48",
        "2001:db8:5::/48",
        "2001:db8:6::/48",
        "2001:db8:7::/48",
    ],
};

/// An IPv6 router's own name, and its MAC address is known.
pub const LINK_LOCAL: &str = "fe80::1";

/// `eth0` and `eth1` of the same make.
pub fn links() -> Links {
    let eth0 = Link {
        index: 2,
        name: "eth0".into(),
        mac: SOURCE_MAC,
        mtu: 1500,
        up: true,
        addresses: vec![(ip(V4.own), 24), (ip(V6.own), 64)],
        ..Link::default()
    };
    let eth1 = Link {
        index: 3,
        name: "eth1".into(),
        ..eth0.clone()
    };
    [(2, eth0), (3, eth1)].into()
}

/// On `eth0`.
pub fn neighbours() -> Neighbours {
    let mut neighbours = Neighbours::default();
    for (address, mac) in [
        (V4.router, ROUTER_MAC),
        (V4.host, HOST_MAC),
        (V6.router, ROUTER_MAC),
        (V6.host, HOST_MAC),
        (LINK_LOCAL, ROUTER_MAC),
        ("10.0.0.255", [0xff; 6]),
        ("ff02::1", [0x33, 0x33, 0, 0, 0, 1]),
    ] {
        neighbours.apply((2, ip(address)), Sighting::Known { mac, fixed: false }, false);
    }
    neighbours
}

pub fn hop(net: Net, mac: [u8; 6], mtu: u16) -> RouteHop {
    RouteHop::Via(ResolvedHop {
        egress: 2,
        source_mac: SOURCE_MAC,
        destination_mac: mac,
        source: ip(net.own),
        mtu,
        tags: Tags::NONE,
    })
}
