use rtnetlink::packet_route::route::{RouteNextHop, RouteVia};

use super::super::links::Link;
use super::super::neighbours::Sighting;
use super::*;

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OTHER_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 77];
const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 11];

fn prefix(text: &str) -> RoutePrefix {
    let (address, length) = text.split_once('/').unwrap();
    RoutePrefix {
        address: address.parse().unwrap(),
        length: length.parse().unwrap(),
    }
}

fn message(kind: RouteType, destination: &str, attributes: &[RouteAttribute]) -> RouteMessage {
    let prefix = prefix(destination);
    let mut message = RouteMessage::default();
    message.header.kind = kind;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.destination_prefix_length = prefix.length;
    message.attributes = vec![RouteAttribute::Destination(RouteAddress::Inet(prefix.address))];
    message.attributes.extend_from_slice(attributes);
    message
}

fn oif(index: u32) -> RouteAttribute {
    RouteAttribute::Oif(index)
}

fn gateway(address: Ipv4Addr) -> RouteAttribute {
    RouteAttribute::Gateway(RouteAddress::Inet(address))
}

fn links() -> Links {
    let eth0 = Link {
        index: 2,
        name: "eth0".into(),
        mac: SOURCE_MAC,
        mtu: 1500,
        up: true,
        addresses: vec![(Ipv4Addr::new(10, 0, 0, 11), 24)],
        ..Link::default()
    };
    [(2, eth0)].into()
}

fn neighbours() -> Neighbours {
    let mut neighbours = Neighbours::default();
    for (address, mac) in [(ROUTER, ROUTER_MAC), (HOST, HOST_MAC)] {
        neighbours.apply((2, address), Sighting::Known { mac, fixed: false }, false);
    }
    neighbours
}

fn hop(mac: [u8; 6], mtu: u16) -> RouteHop {
    RouteHop::Via(ResolvedHop {
        egress: 2,
        source_mac: SOURCE_MAC,
        destination_mac: mac,
        source: Ipv4Addr::new(10, 0, 0, 11),
        mtu,
    })
}

fn mirrored(messages: &[RouteMessage]) -> Mirror {
    let routes: Vec<Route> = messages.iter().filter_map(route).collect();
    mirror(&routes, true, &links(), &neighbours())
}

#[test]
fn gateways_are_mirrored_and_networks_by_their_neighbours() {
    let mirror = mirrored(&[
        message(RouteType::Unicast, "0.0.0.0/0", &[gateway(ROUTER), oif(2)]),
        message(RouteType::Unicast, "10.0.0.0/24", &[oif(2)]),
        message(RouteType::Unicast, "10.7.0.0/16", &[gateway(OTHER_ROUTER), oif(2)]),
    ]);
    let expected = [
        (prefix("0.0.0.0/0"), hop(ROUTER_MAC, 1500)),
        (prefix("10.0.0.0/24"), RouteHop::AskKernel),
        (prefix("10.0.0.1/32"), hop(ROUTER_MAC, 1500)),
        (prefix("10.0.0.77/32"), hop(HOST_MAC, 1500)),
        // Its router's MAC address is not known yet.
        (prefix("10.7.0.0/16"), RouteHop::AskKernel),
    ];
    assert_eq!(mirror.entries, expected.into());
    assert_eq!(mirror.neighbours, [(2, ROUTER), (2, OTHER_ROUTER)].into());
}

#[test]
fn what_only_the_kernel_can_decide_is_left_to_it() {
    let multipath = RouteAttribute::MultiPath(vec![RouteNextHop::default(), RouteNextHop::default()]);
    let ipv6 = RouteAttribute::Via(RouteVia::Inet6("fe80::1".parse().unwrap()));
    let mut tos = message(RouteType::Unicast, "10.6.0.0/16", &[gateway(ROUTER), oif(2)]);
    tos.header.tos = 16;
    let mirror = mirrored(&[
        message(RouteType::Unicast, "0.0.0.0/0", &[gateway(ROUTER), oif(2)]),
        message(RouteType::BlackHole, "10.1.0.0/16", &[]),
        message(RouteType::Unreachable, "10.2.0.0/16", &[]),
        message(RouteType::Prohibit, "10.3.0.0/16", &[]),
        message(RouteType::Unicast, "10.4.0.0/16", &[multipath]),
        message(RouteType::Unicast, "10.5.0.0/16", &[ipv6, oif(2)]),
        tos,
        message(RouteType::Unicast, "10.8.0.0/16", &[gateway(ROUTER), oif(9)]),
    ]);
    assert_eq!(mirror.entries.len(), 8);
    assert_eq!(
        mirror
            .entries
            .values()
            .filter(|hop| **hop == RouteHop::AskKernel)
            .count(),
        7
    );
    assert_eq!(mirror.entries[&prefix("0.0.0.0/0")], hop(ROUTER_MAC, 1500));
    assert_eq!(mirror.neighbours, [(2, ROUTER)].into());
}

#[test]
fn the_smallest_priority_decides_and_the_routes_mtu_counts() {
    use rtnetlink::packet_route::route::RouteMetric::Mtu;
    let low = [
        gateway(ROUTER),
        oif(2),
        RouteAttribute::Priority(10),
        RouteAttribute::Metrics(vec![Mtu(1400)]),
    ];
    let high = [gateway(OTHER_ROUTER), oif(2), RouteAttribute::Priority(100)];
    let (low, high) = (
        message(RouteType::Unicast, "0.0.0.0/0", &low),
        message(RouteType::Unicast, "0.0.0.0/0", &high),
    );
    for order in [[low.clone(), high.clone()], [high, low]] {
        let mirror = mirrored(&order);
        assert_eq!(mirror.entries, [(prefix("0.0.0.0/0"), hop(ROUTER_MAC, 1400))].into());
    }
}

#[test]
fn other_tables_and_dead_routes_are_not_the_main_tables() {
    let mut local = message(RouteType::Local, "10.0.0.11/32", &[oif(2)]);
    local.header.table = 255;
    assert_eq!(route(&local), None);
    let mut dead = message(RouteType::Unicast, "10.0.0.0/24", &[oif(2)]);
    dead.header.flags = RouteFlags::Dead;
    assert_eq!(route(&dead), None);
    // Numbers over 255 are in an attribute.
    let other = [gateway(ROUTER), oif(2), RouteAttribute::Table(1000)];
    assert_eq!(route(&message(RouteType::Unicast, "0.0.0.0/0", &other)), None);
}

/// A neighbour is on the network of the longest prefix alone, and a host route stays what it is.
#[test]
fn a_neighbour_behind_a_longer_prefix_is_not_mirrored() {
    let mirror = mirrored(&[
        message(RouteType::Unicast, "10.0.0.0/24", &[oif(2)]),
        message(RouteType::Unicast, "10.0.0.64/26", &[gateway(ROUTER), oif(2)]),
        message(RouteType::BlackHole, "10.0.0.1/32", &[]),
    ]);
    assert_eq!(mirror.entries.get(&prefix("10.0.0.77/32")), None);
    assert_eq!(mirror.entries[&prefix("10.0.0.1/32")], RouteHop::AskKernel);
    assert_eq!(mirror.entries[&prefix("0.0.0.0/0")], RouteHop::AskKernel);
}

#[test]
fn policy_rules_and_huge_tables_are_the_kernels_own() {
    let everything: BTreeMap<_, _> = [(prefix("0.0.0.0/0"), RouteHop::AskKernel)].into();
    let default = route(&message(RouteType::Unicast, "0.0.0.0/0", &[gateway(ROUTER), oif(2)])).unwrap();
    assert_eq!(
        mirror(std::slice::from_ref(&default), false, &links(), &neighbours()).entries,
        everything
    );
    let many: Vec<Route> = (0..=ENTRIES_MAX as u32)
        .map(|i| Route {
            prefix: RoutePrefix {
                address: Ipv4Addr::from_bits(0x0b00_0000 + (i << 4)),
                length: 28,
            },
            ..default.clone()
        })
        .collect();
    assert_eq!(mirror(&many, true, &links(), &neighbours()).entries, everything);
    assert_eq!(
        mirror(&many[..ENTRIES_MAX - 1], true, &links(), &neighbours())
            .entries
            .len(),
        ENTRIES_MAX
    );
}

fn rule(priority: u32, table: u32, more: &[RuleAttribute]) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![RuleAttribute::Table(table), RuleAttribute::SuppressPrefixLen(u32::MAX)];
    if priority > 0 {
        rule.attributes.push(RuleAttribute::Priority(priority));
    }
    rule.attributes.extend_from_slice(more);
    rule
}

#[test]
fn the_three_rules_of_every_host_are_told_from_others() {
    let usual = [rule(0, 255, &[]), rule(32766, 254, &[]), rule(32767, 253, &[])];
    assert!(main_table_decides(&usual));
    assert!(main_table_decides(&[]));
    assert!(!main_table_decides(&usual[..1]));
    for extra in [
        rule(1000, 254, &[]),
        rule(32766, 100, &[]),
        rule(32766, 254, &[RuleAttribute::FwMark(1)]),
        rule(0, 255, &[RuleAttribute::Iifname("eth1".into())]),
    ] {
        assert!(!main_table_decides(&[&usual[..], &[extra]].concat()));
    }
}
