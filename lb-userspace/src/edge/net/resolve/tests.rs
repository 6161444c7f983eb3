use rtnetlink::packet_route::route::RouteCacheInfo;

use super::super::neighbours::Sighting;
use super::*;

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 9);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn links() -> Links {
    let eth0 = Link {
        index: 2,
        name: "eth0".into(),
        mac: [2, 0, 0, 0, 0, 2],
        mtu: 1500,
        up: true,
        addresses: vec![(OWN, 24)],
        ..Link::default()
    };
    let eth1 = Link {
        index: 3,
        name: "eth1".into(),
        up: false,
        addresses: vec![(Ipv4Addr::new(10, 1, 0, 1), 16)],
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

fn through(gateway: Gateway) -> Way {
    Way {
        kind: RouteType::Unicast,
        egress: 2,
        gateway,
        source: Some(OWN),
        mtu: None,
    }
}

fn resolve(address: Ipv4Addr, via: Option<NextHop>, answer: Answer, known: &[Ipv4Addr]) -> Resolution {
    let mut neighbours = Neighbours::default();
    for address in known {
        neighbours.apply((2, *address), Sighting::Known { mac: MAC, fixed: false }, false);
    }
    hop(&HopTarget { address, via }, &answer, &links(), &neighbours)
}

#[test]
fn a_host_behind_a_router_is_reached_by_the_routers_mac() {
    let found = resolve(HOST, None, Ok(through(Gateway::Address(ROUTER))), &[ROUTER]);
    let hop = ResolvedHop {
        egress: 2,
        source_mac: [2, 0, 0, 0, 0, 2],
        destination_mac: MAC,
        source: OWN,
        mtu: 1500,
    };
    assert_eq!(
        found,
        Resolution {
            state: Ok(hop),
            neighbour: Some((2, ROUTER))
        }
    );
    let found = resolve(
        HOST,
        None,
        Ok(Way {
            mtu: Some(1400),
            ..through(Gateway::Address(ROUTER))
        }),
        &[ROUTER],
    );
    assert_eq!(found.state, Ok(ResolvedHop { mtu: 1400, ..hop }));
}

#[test]
fn a_host_on_the_link_is_its_own_next_hop() {
    let host = Ipv4Addr::new(10, 0, 0, 7);
    let found = resolve(host, None, Ok(through(Gateway::OnLink)), &[host]);
    assert_eq!(
        (found.state.unwrap().destination_mac, found.neighbour),
        (MAC, Some((2, host)))
    );
}

#[test]
fn a_fixed_next_hop_goes_before_the_route() {
    let router = Some(NextHop::Address(ROUTER));
    let found = resolve(HOST, router, Ok(through(Gateway::OnLink)), &[ROUTER]);
    assert_eq!(
        (found.state.unwrap().destination_mac, found.neighbour),
        (MAC, Some((2, ROUTER)))
    );
    let mac = [6, 5, 4, 3, 2, 1];
    let found = resolve(
        HOST,
        Some(NextHop::Mac(mac)),
        Ok(through(Gateway::Address(ROUTER))),
        &[],
    );
    assert_eq!((found.state.unwrap().destination_mac, found.neighbour), (mac, None));
    let found = resolve(HOST, router, Ok(through(Gateway::Address(OWN))), &[]);
    assert_eq!(
        found.state.unwrap_err(),
        "next_hop 10.0.0.1 is on no network of this host, but behind 10.0.0.11; set next_hop to a router on one"
    );
}

#[test]
fn what_is_missing_is_said_with_the_remedy() {
    let eth1 = Ipv4Addr::new(10, 1, 2, 3);
    let cases = [
        (
            HOST,
            Err(libc::ENETUNREACH),
            "no route to 10.0.9.9; add a route, or set next_hop",
        ),
        (
            HOST,
            Err(libc::EHOSTUNREACH),
            "the route to 10.0.9.9 refuses packets; change the route, or set next_hop",
        ),
        (
            eth1,
            Err(libc::ENETUNREACH),
            "interface eth1 is down; set it up, or see whether it is plugged in",
        ),
        (
            HOST,
            Ok(Way {
                egress: 3,
                ..through(Gateway::OnLink)
            }),
            "interface eth1 is down; set it up, or see whether it is plugged in",
        ),
        (
            HOST,
            Ok(Way {
                egress: 4,
                ..through(Gateway::OnLink)
            }),
            "interface tun0, the way to 10.0.9.9, has no MAC address; route it through an Ethernet interface",
        ),
        (
            OWN,
            Ok(Way {
                kind: RouteType::Local,
                egress: 1,
                ..through(Gateway::OnLink)
            }),
            "route to 10.0.0.11 leads to lo: this host itself; set the address of another host",
        ),
        (
            HOST,
            Ok(Way {
                kind: RouteType::Broadcast,
                ..through(Gateway::OnLink)
            }),
            "10.0.9.9 is a broadcast or multicast address; set the address of a host",
        ),
        (
            HOST,
            Ok(through(Gateway::OtherFamily)),
            "the route to 10.0.9.9 goes through an IPv6 router; set next_hop to a MAC address",
        ),
    ];
    for (address, answer, why) in cases {
        let found = resolve(address, None, answer, &[]);
        assert_eq!(
            found,
            Resolution {
                state: Err(why.into()),
                neighbour: None
            }
        );
    }
    let silent = resolve(HOST, None, Ok(through(Gateway::Address(ROUTER))), &[]);
    assert_eq!(
        silent.state.unwrap_err(),
        "neighbour 10.0.0.1 on eth0 does not answer ARP; is it up?"
    );
    assert_eq!(silent.neighbour, Some((2, ROUTER)));
    let router = resolve(HOST, Some(NextHop::Address(ROUTER)), Err(libc::ENETUNREACH), &[]);
    assert_eq!(
        router.state.unwrap_err(),
        "no route to next_hop 10.0.0.1; add a route, or set next_hop"
    );
}

#[test]
fn a_learned_path_mtu_is_not_taken_for_the_routes() {
    let mut message = RouteMessage::default();
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        RouteAttribute::Oif(2),
        RouteAttribute::Gateway(RouteAddress::Inet(ROUTER)),
        RouteAttribute::PrefSource(RouteAddress::Inet(OWN)),
        RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]),
    ];
    let expected = Way {
        mtu: Some(1400),
        ..through(Gateway::Address(ROUTER))
    };
    assert_eq!(way(&message), expected);
    // `struct rta_cacheinfo`: the third word says when it expires.
    let mut learned = [0; 32];
    learned[8..12].copy_from_slice(&500u32.to_ne_bytes());
    let learned = RouteCacheInfo::parse(&learned).unwrap();
    message.attributes.push(RouteAttribute::CacheInfo(learned));
    assert_eq!(way(&message), Way { mtu: None, ..expected });
}
