use std::net::{Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_route::route::{RouteNextHop, RouteVia};

use super::super::tests::lab::{alone, ip, prefix};
use super::*;

mod sample;

use sample::*;

fn message(kind: RouteType, destination: &str, attributes: &[RouteAttribute]) -> RouteMessage {
    let prefix = prefix(destination);
    let mut message = RouteMessage::default();
    message.header.address_family = Family::of(prefix.address).netlink();
    message.header.kind = kind;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.destination_prefix_length = prefix.length;
    // The kernel says nothing of the address of everything.
    if prefix.length > 0 {
        message.attributes = vec![RouteAttribute::Destination(prefix.address.into())];
    }
    message.attributes.extend_from_slice(attributes);
    message
}

fn unicast(destination: &str, attributes: &[RouteAttribute]) -> RouteMessage {
    message(RouteType::Unicast, destination, attributes)
}

fn oif(index: u32) -> RouteAttribute {
    RouteAttribute::Oif(index)
}

fn gateway(address: &str) -> RouteAttribute {
    RouteAttribute::Gateway(ip(address).into())
}

fn priority(priority: u32) -> RouteAttribute {
    RouteAttribute::Priority(priority)
}

fn table(net: Net, messages: &[RouteMessage]) -> MainTable {
    MainTable {
        family: net.family,
        routes: messages.iter().filter_map(route).collect(),
        decides: true,
    }
}

fn mirrored(net: Net, messages: &[RouteMessage]) -> Mirror {
    mirror(&[table(net, messages)], &links(), &neighbours())
}

#[test]
fn gateways_are_mirrored_and_networks_by_their_neighbours() {
    for net in [V4, V6] {
        let elsewhere = net.far[0];
        let mirror = mirrored(
            net,
            &[
                unicast(net.everything, &[gateway(net.router), oif(2)]),
                unicast(net.network, &[oif(2)]),
                unicast(elsewhere, &[gateway(net.other_router), oif(2)]),
            ],
        );
        let expected = [
            (prefix(net.everything), hop(net, ROUTER_MAC, 1500)),
            (prefix(net.network), RouteHop::AskKernel),
            (alone(net.router), hop(net, ROUTER_MAC, 1500)),
            (alone(net.host), hop(net, HOST_MAC, 1500)),
            // Its router's MAC address is not known yet.
            (prefix(elsewhere), RouteHop::AskKernel),
        ];
        assert_eq!(mirror.entries, expected.into());
        assert_eq!(
            mirror.neighbours,
            [(2, ip(net.router)), (2, ip(net.other_router))].into()
        );
    }
}

#[test]
fn a_router_may_be_known_by_its_link_local_address() {
    let via = RouteAttribute::Via(RouteVia::Inet6(LINK_LOCAL.parse().unwrap()));
    for (net, router) in [(V6, gateway(LINK_LOCAL)), (V4, via)] {
        // Another link's router of that name is another router.
        let mirror = mirrored(
            net,
            &[
                unicast(net.everything, &[router.clone(), oif(2)]),
                unicast(net.far[0], &[router, oif(3)]),
            ],
        );
        let expected = [
            (prefix(net.everything), hop(net, ROUTER_MAC, 1500)),
            (prefix(net.far[0]), RouteHop::AskKernel),
        ];
        assert_eq!(mirror.entries, expected.into());
        assert_eq!(mirror.neighbours, [(2, ip(LINK_LOCAL)), (3, ip(LINK_LOCAL))].into());
    }
}

#[test]
fn what_only_the_kernel_can_decide_is_left_to_it() {
    let multipath = RouteAttribute::MultiPath(vec![RouteNextHop::default(), RouteNextHop::default()]);
    let unnamed = RouteAttribute::Via(RouteVia::Packet(ROUTER_MAC.to_vec()));
    for net in [V4, V6] {
        let mut tos = unicast(net.far[5], &[gateway(net.router), oif(2)]);
        tos.header.tos = 16;
        let mirror = mirrored(
            net,
            &[
                unicast(net.everything, &[gateway(net.router), oif(2)]),
                message(RouteType::BlackHole, net.far[0], &[]),
                message(RouteType::Unreachable, net.far[1], &[]),
                message(RouteType::Prohibit, net.far[2], &[oif(2)]),
                unicast(net.far[3], std::slice::from_ref(&multipath)),
                unicast(net.far[4], &[unnamed.clone(), oif(2)]),
                tos,
                unicast(net.far[6], &[gateway(net.router), oif(9)]),
            ],
        );
        let mut expected: BTreeMap<_, _> = net.far.map(|far| (prefix(far), RouteHop::AskKernel)).into();
        expected.insert(prefix(net.everything), hop(net, ROUTER_MAC, 1500));
        assert_eq!(mirror.entries, expected);
        assert_eq!(mirror.neighbours, [(2, ip(net.router))].into());
    }
}

#[test]
fn the_smallest_priority_decides_and_the_routes_mtu_counts() {
    use rtnetlink::packet_route::route::RouteMetric::Mtu;
    for net in [V4, V6] {
        let mtu = RouteAttribute::Metrics(vec![Mtu(1400)]);
        let low = unicast(net.everything, &[gateway(net.router), oif(2), priority(10), mtu]);
        let high = unicast(net.everything, &[gateway(net.other_router), oif(2), priority(100)]);
        for order in [[low.clone(), high.clone()], [high, low]] {
            let mirror = mirrored(net, &order);
            assert_eq!(
                mirror.entries,
                [(prefix(net.everything), hop(net, ROUTER_MAC, 1400))].into()
            );
        }
    }
}

/// Of IPv6 routes that have the same priority, the kernel takes the one whose router answers.
#[test]
fn of_equal_routes_ipv4_takes_the_first_and_ipv6_lets_the_kernel_decide() {
    for (net, expected) in [(V4, hop(V4, ROUTER_MAC, 1500)), (V6, RouteHop::AskKernel)] {
        let first = unicast(net.everything, &[gateway(net.router), oif(2), priority(1024)]);
        let second = unicast(net.everything, &[gateway(net.router), oif(3), priority(1024)]);
        let better = unicast(net.everything, &[gateway(net.router), oif(2), priority(100)]);
        let all = prefix(net.everything);
        let equal = [first.clone(), second, first];
        assert_eq!(mirrored(net, &equal).entries[&all], expected);
        let with_better = [&equal[..], &[better]].concat();
        assert_eq!(mirrored(net, &with_better).entries[&all], hop(net, ROUTER_MAC, 1500));
    }
}

/// They go before the others, whatever the priorities, and nobody here knows for whom.
#[test]
fn routes_of_some_sources_are_the_kernels_own() {
    let plain = unicast(V6.everything, &[gateway(V6.router), oif(2), priority(10)]);
    let mut of_some = unicast(V6.everything, &[gateway(V6.router), oif(2), priority(100)]);
    of_some.header.source_prefix_length = 48;
    for order in [[plain.clone(), of_some.clone()], [of_some, plain]] {
        let everything = [(prefix(V6.everything), RouteHop::AskKernel)];
        assert_eq!(mirrored(V6, &order).entries, everything.into());
    }
}

#[test]
fn other_tables_and_what_is_no_route_are_left_out() {
    for net in [V4, V6] {
        let mut local = message(RouteType::Local, net.network, &[oif(2)]);
        local.header.table = 255;
        assert_eq!(route(&local), None);
        for flag in [RouteFlags::Dead, RouteFlags::Cloned] {
            let mut flagged = unicast(net.network, &[oif(2)]);
            flagged.header.flags = flag;
            assert_eq!(route(&flagged), None, "{flag:?}");
        }
        // Numbers over 255 are in an attribute.
        let other = [gateway(net.router), oif(2), RouteAttribute::Table(1000)];
        assert_eq!(route(&unicast(net.everything, &other)), None);
    }
}

#[test]
fn what_stays_on_a_link_or_a_host_is_left_out() {
    for (destination, kept) in [
        ("fe80::/10", false),
        ("fe80::/64", false),
        ("ff00::/8", false),
        ("ff02::1/128", false),
        ("::1/128", false),
        ("::/0", true),
        ("fe00::/7", true),
        ("fd00::/8", true),
        ("2001:db8::/32", true),
    ] {
        assert_eq!(route(&unicast(destination, &[oif(2)])).is_some(), kept, "{destination}");
    }
    // All the world is on the link, but of the neighbours only those count that others can name, too.
    let mirror = mirrored(V6, &[unicast(V6.everything, &[oif(2)])]);
    let expected = [
        (prefix(V6.everything), RouteHop::AskKernel),
        (alone(V6.router), hop(V6, ROUTER_MAC, 1500)),
        (alone(V6.host), hop(V6, HOST_MAC, 1500)),
    ];
    assert_eq!(mirror.entries, expected.into());
}

/// A neighbour is on the network of the longest prefix alone, and a host route stays what it is.
#[test]
fn a_neighbour_behind_a_longer_prefix_is_not_mirrored() {
    for net in [V4, V6] {
        let router = format!("{}/{}", net.router, net.family.bits());
        let mirror = mirrored(
            net,
            &[
                unicast(net.network, &[oif(2)]),
                unicast(net.part, &[gateway(net.router), oif(2)]),
                message(RouteType::BlackHole, &router, &[]),
            ],
        );
        let expected = [
            (prefix(net.everything), RouteHop::AskKernel),
            (prefix(net.network), RouteHop::AskKernel),
            (prefix(net.part), hop(net, ROUTER_MAC, 1500)),
            (alone(net.router), RouteHop::AskKernel),
        ];
        assert_eq!(mirror.entries, expected.into());
    }
}

/// So many routes to elsewhere, all through the router.
fn many(net: Net, count: usize) -> Vec<Route> {
    let default = route(&unicast(net.everything, &[gateway(net.router), oif(2)])).unwrap();
    let elsewhere = |i: u32| match net.family {
        Family::V4 => (Ipv4Addr::from_bits(0x0b00_0000 + (i << 4)).into(), 28),
        Family::V6 => (
            Ipv6Addr::from_bits((0x2001_0db9 << 96) + (u128::from(i) << 64)).into(),
            64,
        ),
    };
    let routes = (0..count as u32).map(elsewhere).map(|(address, length)| Route {
        prefix: Prefix { address, length },
        ..default
    });
    routes.collect()
}

/// What is too much, or not plain, in one family leaves the other one's mirror as it is.
#[test]
fn policy_rules_and_huge_tables_are_the_kernels_own() {
    let limit = ENTRIES_MAX - 1;
    for (net, other) in [(V4, V6), (V6, V4)] {
        let plain = table(other, &[unicast(other.everything, &[gateway(other.router), oif(2)])]);
        let full = MainTable {
            family: net.family,
            routes: many(net, limit),
            decides: true,
        };
        let ruled = MainTable {
            decides: false,
            ..full.clone()
        };
        let huge = MainTable {
            routes: many(net, ENTRIES_MAX + 1),
            ..full.clone()
        };
        for (table, entries) in [(full, ENTRIES_MAX), (ruled, 1), (huge, 1)] {
            let mirror = mirror(&[table, plain.clone()], &links(), &neighbours());
            assert_eq!(mirror.entries.len(), entries + 1);
            assert_eq!(mirror.entries[&prefix(net.everything)], RouteHop::AskKernel);
            assert_eq!(mirror.entries[&prefix(other.everything)], hop(other, ROUTER_MAC, 1500));
        }
    }
}

#[test]
fn a_family_without_routes_is_left_to_the_kernel() {
    let tables = [V4, V6].map(|net| table(net, &[]));
    let expected = [V4, V6].map(|net| (prefix(net.everything), RouteHop::AskKernel));
    assert_eq!(mirror(&tables, &links(), &neighbours()).entries, expected.into());
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
fn the_rules_of_every_host_are_told_from_others() {
    let usual = [rule(0, 255, &[]), rule(32766, 254, &[]), rule(32767, 253, &[])];
    assert!(main_table_decides(&usual));
    // IPv6 has no default table.
    assert!(main_table_decides(&usual[..2]));
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
