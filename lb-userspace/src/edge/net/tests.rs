//! Against a real kernel.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::family::Family;
use super::*;
use crate::core::model::NextHop;

pub mod lab;

use lab::*;

#[test]
fn a_neighbour_is_asked_for_and_followed() {
    in_lab("a_neighbour_is_asked_for_and_followed", async |lab, seen, net| {
        let (far, silent) = (by_route(net.far), by_route(net.silent));
        seen.watcher.set_targets([far, by_route(net.near), silent].into());
        let hop = seen.until_hop(far, FAR_MAC).await;
        assert_eq!((hop.source_mac, hop.source, hop.mtu), (NEAR_MAC, ip(net.near), 1500));
        let no_answer = format!(
            "neighbour {} on near does not answer {}; is it up?",
            net.silent,
            net.family.neighbour_protocol()
        );
        seen.until_missing(silent, &no_answer).await;
        let local = format!(
            "route to {} leads to lo: this host itself; set the address of another host",
            net.near
        );
        seen.until_missing(by_route(net.near), &local).await;
        // It has another network card now, and the kernel was made to forget the old one.
        lab.far("ip link set far address 02:00:00:00:00:99");
        lab.near("ip neighbour flush dev near");
        seen.until_hop(far, [2, 0, 0, 0, 0, 0x99]).await;
        // The silent one comes up.
        let address = net.with_length(net.silent);
        lab.far(&format!("ip address add {address} dev far"));
        seen.until_hop(silent, [2, 0, 0, 0, 0, 0x99]).await;
        // It goes down, and does not answer any more when it is asked again.
        lab.far(&format!("ip address del {address} dev far"));
        lab.near(&format!("ip neighbour change {} dev near nud probe", net.silent));
        seen.until_missing(silent, &no_answer).await;
    });
}

#[test]
fn routes_are_followed() {
    in_lab("routes_are_followed", async |lab, seen, net| {
        let remote = by_route(net.remote);
        let fixed = HopTarget {
            via: Some(NextHop::Address(ip(net.far))),
            ..remote
        };
        let ip_route = |words: &str| lab.near(&format!("{} route {words}", net.ip));
        seen.watcher.set_targets([remote, fixed].into());
        seen.until_missing(
            remote,
            &format!("no route to {}; add a route, or set next_hop", net.remote),
        )
        .await;
        seen.until_hop(fixed, FAR_MAC).await;
        ip_route(&format!("add {} via {}", net.remote_network, net.far));
        seen.until_hop(remote, FAR_MAC).await;
        ip_route(&format!("replace {} via {}", net.remote_network, net.fixed));
        assert_eq!(seen.until_hop(remote, FIXED_MAC).await.mtu, 1500);
        ip_route(&format!("replace {} via {} mtu 1400", net.remote_network, net.fixed));
        seen.until_mtu(remote, 1400).await;
        // The operator's own entry is still the operator's.
        assert!(
            lab.near(&format!("ip neighbour show {}", net.fixed))
                .contains("PERMANENT")
        );
        ip_route(&format!("replace unreachable {}", net.remote_network));
        let refused = format!(
            "the route to {} refuses packets; change the route, or set next_hop",
            net.remote
        );
        seen.until_missing(remote, &refused).await;
        // Another table by a rule, as the kernel itself would look it up.
        ip_route(&format!("add default via {} table 100", net.far));
        lab.near(&format!("{} rule add to {} table 100", net.ip, net.remote_network));
        seen.until_hop(remote, FAR_MAC).await;
        // A fixed MAC address asks nobody, and a target that comes back is told again.
        let mac = HopTarget {
            via: Some(NextHop::Mac([6; 6])),
            ..remote
        };
        seen.watcher.set_targets([mac].into());
        seen.until_hop(mac, [6; 6]).await;
        seen.hops.clear();
        seen.watcher.set_targets(HashSet::new());
        seen.watcher.set_targets([mac].into());
        seen.until_hop(mac, [6; 6]).await;
    });
}

/// The usual case of IPv6 routes, and RFC 5549 for IPv4's.
#[test]
fn a_router_is_found_by_its_link_local_address() {
    in_lab("a_router_is_found_by_its_link_local_address", async |lab, seen, net| {
        if nets().len() < 2 {
            return skip(
                "a_router_is_found_by_its_link_local_address",
                "needs a kernel with IPv6",
            );
        }
        let remote = by_route(net.remote);
        seen.watcher.set_targets([remote].into());
        lab.near(&format!(
            "{} route add {} via inet6 {FAR_LINK_LOCAL} dev near",
            net.ip, net.remote_network
        ));
        assert_eq!(seen.until_hop(remote, FAR_MAC).await.source, ip(net.near));
        seen.until("the mirrored route", |seen| {
            seen.goes_to(prefix(net.remote_network), FAR_MAC)
        })
        .await;
        assert!(!seen.routes.contains_key(&alone(FAR_LINK_LOCAL)));
    });
}

/// As a router advertisement makes them.
#[test]
fn a_route_with_a_lifetime_is_a_route_like_others() {
    in_lab_of(
        &V6,
        "a_route_with_a_lifetime_is_a_route_like_others",
        async |lab, seen, net| {
            let remote = by_route(net.remote);
            seen.watcher.set_targets([remote].into());
            lab.near(&format!(
                "ip -6 route add default via {FAR_LINK_LOCAL} dev near proto ra expires 600 mtu 1400"
            ));
            assert_eq!(seen.until_hop(remote, FAR_MAC).await.mtu, 1400);
            seen.until("the default route", |seen| seen.goes_to(prefix("::/0"), FAR_MAC))
                .await;
        },
    );
}

#[test]
fn a_link_that_goes_down_is_told_and_comes_back() {
    in_lab(
        "a_link_that_goes_down_is_told_and_comes_back",
        async |lab, seen, net| {
            let far = by_route(net.far);
            seen.watcher.set_targets([far].into());
            seen.until_hop(far, FAR_MAC).await;
            let near = |seen: &Seen| seen.links.iter().find(|link| link.name == "near").cloned().unwrap();
            let all = [(V4.near, 24), (V6.near, 64), (NEAR_LINK_LOCAL, 64)].map(|(own, length)| (ip(own), length));
            let addresses = if nets().len() < 2 { &all[..1] } else { &all };
            seen.until("all addresses", |seen| near(seen).addresses == addresses)
                .await;
            let link = near(seen);
            assert_eq!(
                (link.kind.as_str(), link.mac, link.mtu, link.up, link.xdp_program),
                ("veth", NEAR_MAC, 1500, true, None)
            );
            assert_eq!(links_once().await.unwrap(), seen.links);
            let down = "interface near is down; set it up, or see whether it is plugged in";
            lab.near("ip link set near down");
            seen.until_missing(far, down).await;
            assert!(!near(seen).up);
            lab.near("ip link set near up");
            seen.until_hop(far, FAR_MAC).await;
            // The other end of the cable.
            lab.far("ip link set far down");
            seen.until_missing(far, down).await;
            lab.far("ip link set far up");
            seen.until_hop(far, FAR_MAC).await;
            lab.near("ip link set near mtu 9000");
            seen.until("an MTU of 9000", |seen| near(seen).mtu == 9000).await;
            seen.until_mtu(far, 9000).await;
        },
    );
}

#[test]
fn an_address_that_goes_out_of_use_is_the_last_to_send_from() {
    let name = "an_address_that_goes_out_of_use_is_the_last_to_send_from";
    in_lab_of(&V6, name, async |lab, seen, net| {
        let near = |seen: &Seen| seen.links.iter().find(|link| link.name == "near").cloned().unwrap();
        let count = |seen: &Seen| near(seen).addresses.len();
        seen.until("all addresses", |seen| !seen.links.is_empty() && count(seen) == 3)
            .await;
        lab.near(&format!("ip address add {} dev near", net.with_length(net.silent)));
        seen.until("another address", |seen| count(seen) == 4).await;
        let first = near(seen).source(ip(net.far), None);
        let with_length = net.with_length(&first.to_string());
        lab.near(&format!("ip address change {with_length} dev near preferred_lft 0"));
        seen.until("another source", |seen| near(seen).source(ip(net.far), None) != first)
            .await;
        assert_eq!(near(seen).addresses[3], (first, 64));
    });
}

#[test]
fn routes_to_clients_are_mirrored() {
    in_lab("routes_to_clients_are_mirrored", async |lab, seen, net| {
        let all = Prefix {
            address: net.family.unspecified(),
            length: 0,
        };
        let network = prefix(net.network);
        let others = net.others.map(prefix);
        let ip_route = |words: &str| lab.near(&format!("{} route {words}", net.ip));
        seen.until("the network", |seen| seen.routes.contains_key(&network))
            .await;
        assert_eq!(
            (seen.routes[&all], seen.routes[&network]),
            (RouteHop::AskKernel, RouteHop::AskKernel)
        );
        assert!(seen.goes_to(alone(net.fixed), FIXED_MAC));
        // Nobody but the mirror asks for the router.
        ip_route(&format!("add default via {}", net.far));
        seen.until("the default route", |seen| {
            seen.goes_to(all, FAR_MAC) && seen.goes_to(alone(net.far), FAR_MAC)
        })
        .await;
        let [several, refused, plain] = net.others;
        ip_route(&format!(
            "add {several} nexthop via {} nexthop via {}",
            net.far, net.fixed
        ));
        ip_route(&format!("add blackhole {refused}"));
        ip_route(&format!("add {plain} via {}", net.fixed));
        seen.until("three routes", |seen| seen.goes_to(others[2], FIXED_MAC))
            .await;
        for left_to_the_kernel in &others[..2] {
            assert_eq!(seen.routes[left_to_the_kernel], RouteHop::AskKernel);
        }
        let [own, other] = seen.mirrors(net);
        assert_eq!(own.len(), 7, "{own:#?}");
        // A rule of one family leaves the other's mirror as it is.
        let nothing = [BTreeMap::from([(all, RouteHop::AskKernel)]), other];
        lab.near(&format!("{} rule add from {} table 100", net.ip, net.near));
        seen.until("the rule", |seen| seen.mirrors(net) == nothing).await;
        lab.near(&format!("{} rule del from {} table 100", net.ip, net.near));
        seen.until("the mirror again", |seen| seen.mirrors(net)[0] == own).await;
        lab.near("ip link set near down");
        seen.until("no route", |seen| {
            seen.routes.values().all(|hop| *hop == RouteHop::AskKernel)
        })
        .await;
        assert!(Family::BOTH.iter().all(|family| {
            let address = family.unspecified();
            seen.routes.contains_key(&Prefix { address, length: 0 })
        }));
    });
}

/// More happens than the socket's buffer holds while nobody reads: what was lost is read anew.
#[test]
fn lost_news_are_made_up_for() {
    in_lab("lost_news_are_made_up_for", async |lab, seen, net| {
        let remote = by_route(net.remote);
        lab.near(&format!(
            "{} route add {} via {}",
            net.ip, net.remote_network, net.fixed
        ));
        seen.watcher.set_targets([remote].into());
        seen.until_hop(remote, FIXED_MAC).await;
        let elsewhere = |i: u32| match net.family {
            Family::V4 => format!("{}/30", Ipv4Addr::from_bits(0x0b00_0000 + (i << 2))),
            Family::V6 => format!(
                "{}/64",
                Ipv6Addr::from_bits((0x2001_0db9 << 96) + (u128::from(i) << 64))
            ),
        };
        let routes: String = (0..20_000)
            .map(|i| format!("route add {} via {}\n", elsewhere(i), net.far))
            .collect();
        let batch = std::env::temp_dir().join(format!("lb-routes-{}", std::process::id()));
        std::fs::write(&batch, routes).unwrap();
        lab.near(&format!("ip -batch {}", batch.display()));
        lab.near(&format!(
            "ip neighbour replace {} lladdr 02:00:00:00:00:77 dev near nud permanent",
            net.fixed
        ));
        std::fs::remove_file(&batch).unwrap();
        let sockets = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
        let lost = |line: &str| {
            line.split_whitespace()
                .nth(8)
                .and_then(|drops| drops.parse::<u32>().ok())
        };
        assert!(
            sockets.lines().filter_map(lost).any(|drops| drops > 0),
            "nothing was lost: {sockets}"
        );
        seen.until_hop(remote, [2, 0, 0, 0, 0, 0x77]).await;
        seen.until("all routes", |seen| seen.routes.len() > 20_000).await;
    });
}
