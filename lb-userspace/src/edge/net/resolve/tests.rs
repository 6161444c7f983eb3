use std::net::Ipv4Addr;

use lb_common::abi::Tags;
use rtnetlink::packet_route::route::RouteCacheInfo;

use super::super::neighbours::Sighting;
use super::super::tests::lab::ip;
use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// The same network in one family.
#[derive(Clone, Copy)]
struct Net {
    /// Of `eth0`.
    own: &'static str,
    /// On `eth0`.
    router: &'static str,
    /// On `eth0`, too.
    near: &'static str,
    /// Behind the router.
    host: &'static str,
    /// On `eth1`, which is down.
    down: &'static str,
    protocol: &'static str,
}

const NETS: [Net; 2] = [
    Net {
        own: "10.0.0.11",
        router: "10.0.0.1",
        near: "10.0.0.7",
        host: "10.0.9.9",
        down: "10.1.2.3",
        protocol: "ARP",
    },
    Net {
        own: "2001:db8::11",
        router: "2001:db8::1",
        near: "2001:db8::7",
        host: "2001:db8:9::9",
        down: "2001:db8:1::3",
        protocol: "neighbour discovery",
    },
];

/// An IPv6 router's own name, good on its link alone.
const LINK_LOCAL: &str = "fe80::1";

fn links() -> Links {
    let eth0 = Link {
        index: 2,
        name: "eth0".into(),
        mac: [2, 0, 0, 0, 0, 2],
        mtu: 1500,
        up: true,
        addresses: vec![(ip("10.0.0.11"), 24), (ip("2001:db8::11"), 64)],
        ..Link::default()
    };
    let eth1 = Link {
        index: 3,
        name: "eth1".into(),
        up: false,
        addresses: vec![(ip("10.1.0.1"), 16), (ip("2001:db8:1::1"), 64)],
        ..eth0.clone()
    };
    let tun0 = Link {
        index: 4,
        name: "tun0".into(),
        mac: [0; 6],
        ..eth0.clone()
    };
    [eth0, eth1, tun0].into_iter().map(|link| (link.index, link)).collect()
}

/// Out of `eth0`, and the kernel names no source.
fn through(gateway: Gateway) -> Way {
    Way {
        kind: RouteType::Unicast,
        egress: 2,
        gateway,
        source: None,
        mtu: None,
    }
}

fn router(address: &str) -> Gateway {
    Gateway::Address(ip(address))
}

fn resolve(address: &str, via: Option<NextHop>, answer: Answer, known: &[&str]) -> Resolution {
    let mut neighbours = Neighbours::default();
    for address in known {
        neighbours.apply((2, ip(address)), Sighting::Known { mac: MAC, fixed: false }, false);
    }
    let target = HopTarget {
        address: ip(address),
        via,
    };
    hop(&target, &answer, &links(), &neighbours)
}

fn next_hop(address: &str) -> Option<NextHop> {
    Some(NextHop::Address(ip(address)))
}

#[test]
fn a_host_behind_a_router_is_reached_by_the_routers_mac() {
    let [v4, v6] = NETS;
    for (net, gateway) in [
        (v4, v4.router),
        (v6, v6.router),
        // What a router says of itself, and RFC 5549.
        (v6, LINK_LOCAL),
        (v4, LINK_LOCAL),
        (v4, v6.router),
    ] {
        let hop = ResolvedHop {
            egress: 2,
            source_mac: [2, 0, 0, 0, 0, 2],
            destination_mac: MAC,
            source: ip(net.own),
            mtu: 1500,
            tags: Tags::NONE,
        };
        let way = through(router(gateway));
        let found = resolve(net.host, None, Ok(way), &[gateway]);
        assert_eq!(found.state, Ok(hop), "{} via {gateway}", net.host);
        assert_eq!(found.neighbour, Some((2, ip(gateway))));
        let of_route = Way {
            source: Some(ip(net.near)),
            mtu: Some(1400),
            ..way
        };
        let (source, mtu) = (ip(net.near), 1400);
        let found = resolve(net.host, None, Ok(of_route), &[gateway]);
        assert_eq!(found.state, Ok(ResolvedHop { source, mtu, ..hop }));
    }
}

#[test]
fn a_host_on_the_link_is_its_own_next_hop() {
    for Net { near, .. } in NETS {
        let found = resolve(near, None, Ok(through(Gateway::OnLink)), &[near]);
        assert_eq!(
            (found.state.unwrap().destination_mac, found.neighbour),
            (MAC, Some((2, ip(near))))
        );
    }
}

#[test]
fn a_fixed_next_hop_goes_before_the_route() {
    for net in NETS {
        let via = next_hop(net.router);
        let found = resolve(net.host, via, Ok(through(Gateway::OnLink)), &[net.router]);
        assert_eq!(
            (found.state.unwrap().destination_mac, found.neighbour),
            (MAC, Some((2, ip(net.router))))
        );
        let mac = [6, 5, 4, 3, 2, 1];
        let found = resolve(net.host, Some(NextHop::Mac(mac)), Ok(through(router(net.router))), &[]);
        assert_eq!((found.state.unwrap().destination_mac, found.neighbour), (mac, None));
        let found = resolve(net.host, via, Ok(through(router(net.near))), &[]);
        let why = format!(
            "next_hop {} is on no network of this host, but behind {}; set next_hop to a router on one",
            net.router, net.near
        );
        assert_eq!(found.state, Err(why));
    }
}

/// The packet's family decides of the source, not the router's.
#[test]
fn a_next_hop_of_the_other_family_does_not_lend_its_source() {
    let [v4, v6] = NETS;
    for (net, other) in [(v4, v6), (v6, v4)] {
        let way = Way {
            source: Some(ip(other.own)),
            ..through(Gateway::OnLink)
        };
        let found = resolve(net.host, next_hop(other.router), Ok(way), &[other.router]);
        assert_eq!(found.state.unwrap().source, ip(net.own));
    }
}

#[test]
fn what_is_missing_is_said_with_the_remedy() {
    let on_link = through(Gateway::OnLink);
    let out_of = |egress| Ok(Way { egress, ..on_link });
    for Net { router, host, down, .. } in NETS {
        let eth1 = "interface eth1 is down; set it up, or see whether it is plugged in";
        let cases = [
            (
                host,
                Err(libc::ENETUNREACH),
                format!("no route to {host}; add a route, or set next_hop"),
            ),
            (
                host,
                Err(libc::EHOSTUNREACH),
                format!("the route to {host} refuses packets; change the route, or set next_hop"),
            ),
            (down, Err(libc::ENETUNREACH), eth1.to_owned()),
            (host, out_of(3), eth1.to_owned()),
            (
                host,
                out_of(4),
                format!(
                    "interface tun0, the way to {host}, has no MAC address; route it through an Ethernet interface"
                ),
            ),
        ];
        for (address, answer, why) in cases {
            assert_missing(address, answer, why);
        }
        let found = resolve(host, next_hop(router), Err(libc::ENETUNREACH), &[]);
        let why = format!("no route to next_hop {router}; add a route, or set next_hop");
        assert_eq!(found.state, Err(why));
    }
}

/// There is no next hop for this answer, for this reason.
#[track_caller]
fn assert_missing(address: &str, answer: Answer, why: String) {
    let found = resolve(address, None, answer, &[]);
    let (state, neighbour) = (Err(why), None);
    assert_eq!(found, Resolution { state, neighbour });
}

#[test]
fn what_is_no_single_host_is_said_with_the_remedy() {
    let of_kind = |kind| {
        Ok(Way {
            kind,
            ..through(Gateway::OnLink)
        })
    };
    for Net { own, host, .. } in NETS {
        let cases = [
            (
                own,
                of_kind(RouteType::Local),
                format!("route to {own} leads to lo: this host itself; set the address of another host"),
            ),
            (
                host,
                of_kind(RouteType::Anycast),
                format!("route to {host} leads to lo: this host itself; set the address of another host"),
            ),
            (
                host,
                of_kind(RouteType::Multicast),
                format!("{host} is a broadcast or multicast address; set the address of a host"),
            ),
            (
                host,
                Ok(through(Gateway::Unnamed)),
                format!(
                    "the route to {host} goes through a router without an IP address; set next_hop to its MAC address"
                ),
            ),
        ];
        for (address, answer, why) in cases {
            assert_missing(address, answer, why);
        }
    }
}

#[test]
fn a_silent_neighbour_is_named_with_what_it_does_not_answer() {
    let [v4, v6] = NETS;
    for (net, gateway, protocol) in [
        (v4, v4.router, v4.protocol),
        (v6, v6.router, v6.protocol),
        (v4, LINK_LOCAL, v6.protocol),
    ] {
        let found = resolve(net.host, None, Ok(through(router(gateway))), &[]);
        let why = format!("neighbour {gateway} on eth0 does not answer {protocol}; is it up?");
        assert_eq!(
            found,
            Resolution {
                state: Err(why),
                neighbour: Some((2, ip(gateway)))
            }
        );
    }
}

/// The kernel answers with some link, but nobody said which.
#[test]
fn a_link_local_address_is_refused_where_a_link_is_not_named() {
    let on_link = || Ok(through(Gateway::OnLink));
    let cases = [
        (
            resolve(LINK_LOCAL, None, on_link(), &[LINK_LOCAL]),
            "fe80::1 is a link-local address, which does not say on which interface; set the global address of the host",
        ),
        (
            resolve("2001:db8:9::9", next_hop(LINK_LOCAL), on_link(), &[LINK_LOCAL]),
            "next_hop fe80::1 is a link-local address, which does not say on which interface; \
             set next_hop to the router's global address, or to its MAC address",
        ),
    ];
    for (found, why) in cases {
        assert_eq!((found.state, found.neighbour), (Err(why.into()), None));
    }
}

#[test]
fn a_kernel_without_ipv6_is_named() {
    for errno in [libc::EAFNOSUPPORT, libc::EOPNOTSUPP] {
        let found = resolve("2001:db8:9::9", None, Err(errno), &[]);
        assert_eq!(
            found.state.unwrap_err(),
            "no route to 2001:db8:9::9: this kernel has no IPv6; load its module, or boot without ipv6.disable=1"
        );
    }
}

#[test]
fn routers_are_read_as_the_kernel_names_them() {
    let router = Ipv4Addr::new(10, 0, 0, 1);
    let router_v6 = "fe80::1".parse().unwrap();
    for (attribute, expected) in [
        (
            RouteAttribute::Gateway(router.into()),
            Some(Gateway::Address(router.into())),
        ),
        (
            RouteAttribute::Gateway(RouteAddress::Inet6(router_v6)),
            Some(Gateway::Address(router_v6.into())),
        ),
        (
            RouteAttribute::Via(RouteVia::Inet6(router_v6)),
            Some(Gateway::Address(router_v6.into())),
        ),
        (
            RouteAttribute::Via(RouteVia::Packet(MAC.to_vec())),
            Some(Gateway::Unnamed),
        ),
        (RouteAttribute::Oif(2), None),
    ] {
        assert_eq!(gateway(&attribute), expected, "{attribute:?}");
    }
}

#[test]
fn a_learned_path_mtu_is_not_taken_for_the_routes() {
    for net in NETS {
        let mut message = RouteMessage::default();
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            RouteAttribute::Oif(2),
            RouteAttribute::Gateway(ip(net.router).into()),
            RouteAttribute::PrefSource(ip(net.own).into()),
            RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]),
        ];
        let expected = Way {
            source: Some(ip(net.own)),
            mtu: Some(1400),
            ..through(router(net.router))
        };
        assert_eq!(way(&message), expected);
        // `struct rta_cacheinfo`: the third word says when it expires.
        let mut learned = [0; 32];
        learned[8..12].copy_from_slice(&500u32.to_ne_bytes());
        let learned = RouteCacheInfo::parse(&learned).unwrap();
        message.attributes.push(RouteAttribute::CacheInfo(learned));
        assert_eq!(way(&message), Way { mtu: None, ..expected });
    }
}
