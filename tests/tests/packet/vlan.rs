//! VLAN tags: of packets as they come in, and of their next hops. A packet becomes what it becomes without tags, which other tests look
//! at byte by byte, with the tags of its next hop; whatever is not sent on keeps those that it has.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use lb_common::abi::Tags;
use lb_common::reason::Reason;
use lb_tests::needs_bpf;
use lb_tests::packet::objects::{modes_with, objects, through};
use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, CLIENT_HOP, Family, MTU, STRANGER};
use lb_tests::packet::tag::{Tag, customer, hop_tags, provider, tagged, untagged};
use lb_tests::packet::world::key;
use lb_tests::packet::{Frame, Icmp, Setup, World, assert_same, bad_checksum, service};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::core::observed::{ResolvedHop, RouteHop};
use lb_userspace::core::plan::{self, Wanted, WantedBackend};
use lb_userspace::core::prefix::Prefix;
use lb_userspace::edge::dataplane::run::Verdict;

const MODES: [Mode; 5] = [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue];

/// How packets come in: also of VLAN 0, which is a priority and nothing else.
const COMES: [&[Tag]; 5] = [
    &[],
    &[customer(0x6064)],
    &[customer(0xe000)],
    &[provider(10), customer(0x3014)],
    &[customer(1), customer(0xfff)],
];

/// Where next hops are; `None`: where the packet came from.
const GOES: [Option<&[Tag]>; 4] = [
    Some(&[]),
    Some(&[customer(200)]),
    Some(&[provider(7), customer(300)]),
    None,
];

fn tags(of_hop: Option<&[Tag]>) -> Tags {
    of_hop.map_or(Tags::KEPT, hop_tags)
}

/// What a frame leaves with.
fn leaves<'a>(came: &'a [Tag], of_hop: Option<&'a [Tag]>) -> &'a [Tag] {
    of_hop.unwrap_or(came)
}

/// A service over TCP and UDP in this mode, its backend in some VLAN.
fn world(setup: &Setup, mode: Mode, service_of: Family, backend_of: Family, of_hop: Option<&[Tag]>, mtu: u16) -> World {
    let mut world = World::new(setup);
    let to = WantedBackend {
        key: key(backend_of.backend(1)),
        weight: 1,
        alive: true,
        hop: Some(ResolvedHop {
            mtu,
            tags: tags(of_hop),
            ..backend_of.hop()
        }),
    };
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        world.serve(&Wanted {
            sources: vec![backend_of.source()],
            ..service(service_of.vip(protocol), mode, vec![to.clone()])
        });
    }
    world
}

/// A client's first packet, and one of UDP.
fn packets(family: Family) -> [Frame; 3] {
    let (from, to) = (family.client(0), family.service());
    [
        Frame::tcp(from, to).syn().tcp_options(&[2, 4, 5, 0xb4]),
        Frame::tcp(from, to).data(b"odd").dscp_and_ecn(46, 1).padded(5),
        Frame::udp(from, to).payload(&[0x5a; 1200]),
    ]
}

/// Where clients are.
fn clients_in(world: &mut World, of_hop: Option<&[Tag]>) {
    world.route_clients(Some(RouteHop::Via(ResolvedHop {
        tags: tags(of_hop),
        ..CLIENT_HOP
    })));
}

/// Between families there are tunnels and `fullnat`.
fn can_be(mode: Mode, service_of: Family, backend_of: Family) -> bool {
    service_of == backend_of || mode.is_tunnel() || mode == Mode::Fullnat
}

/// Mode × families × protocol × tags as they come × tags as they go.
#[test]
fn packets_go_to_the_vlan_of_their_next_hop() {
    needs_bpf!();
    let mut rows = 0;
    for (mode, setup) in through(&MODES) {
        for (service_of, backend_of) in Family::BOTH.into_iter().flat_map(|of| Family::BOTH.map(|to| (of, to))) {
            if !can_be(mode, service_of, backend_of) {
                continue;
            }
            for of_hop in GOES {
                // Set up.
                let mut world = world(&setup, mode, service_of, backend_of, of_hop, MTU);
                for packet in packets(service_of) {
                    let plain = packet.bytes();
                    // What becomes of it without tags, and without a VLAN behind.
                    let mut expected = None;
                    for came in COMES {
                        let what = format!("{mode:?} {service_of:?} in {backend_of:?}, {came:x?} to {of_hop:x?}");
                        // Make.
                        let sent = world.sent(&what, &tagged(&plain, came));
                        // Check.
                        let (left, frame) = untagged(&sent);
                        assert_eq!(left, leaves(came, of_hop), "{what}");
                        assert_eq!(bad_checksum(&frame), None, "{what}");
                        assert_same(&what, &frame, expected.get_or_insert_with(|| frame.clone()));
                        rows += 1;
                    }
                }
                let counted: u64 = [Protocol::Tcp, Protocol::Udp]
                    .map(|protocol| world.counted(service_of.vip(protocol)).bytes)
                    .iter()
                    .sum();
                let bytes: usize = packets(service_of).iter().map(|packet| packet.bytes().len()).sum();
                assert_eq!(counted, (bytes * COMES.len()) as u64, "counted without tags");
            }
        }
    }
    println!("{rows} packets in and out of VLANs");
}

/// What a packet becomes with tags is what it becomes without.
#[test]
fn tags_change_nothing_else() {
    needs_bpf!();
    for (mode, setup) in through(&MODES) {
        for family in Family::BOTH {
            // Set up.
            let mut plain = world(&setup, mode, family, family, Some(&[]), MTU);
            let mut in_vlan = world(&setup, mode, family, family, GOES[2], MTU);
            for packet in packets(family) {
                // Make.
                let wanted = plain.sent("without tags", &packet.bytes());
                let sent = in_vlan.sent("with tags", &tagged(&packet.bytes(), COMES[1]));
                // Check.
                let what = format!("{mode:?} {family:?}");
                assert_same(&what, &sent, &tagged(&wanted, GOES[2].unwrap_or_default()));
            }
        }
    }
}

#[test]
fn answers_go_to_the_vlan_of_the_clients() {
    needs_bpf!();
    for (mode, setup) in through(&[Mode::Fullnat, Mode::Nat]) {
        for (service_of, backend_of) in Family::BOTH.into_iter().flat_map(|of| Family::BOTH.map(|to| (of, to))) {
            if !can_be(mode, service_of, backend_of) {
                continue;
            }
            for of_hop in GOES {
                // Set up.
                let mut world = world(&setup, mode, service_of, backend_of, Some(&[customer(5)]), MTU);
                clients_in(&mut world, of_hop);
                let syn = world.sent("the first packet", &packets(service_of)[0].bytes());
                let (_, syn) = untagged(&syn);
                let syn = Frame::read(&syn).expect("what the backend gets");
                let to = SocketAddr::new(syn.source(), syn.ports().0);
                let answer = Frame::tcp(backend_of.backend(1), to).data(b"answer").bytes();
                let mut expected = None;
                for came in COMES {
                    // Make.
                    let what = format!("{mode:?} {service_of:?} in {backend_of:?}, {came:x?} to {of_hop:x?}");
                    let sent = world.sent(&what, &tagged(&answer, came));
                    // Check.
                    let (left, frame) = untagged(&sent);
                    assert_eq!(left, leaves(came, of_hop), "{what}");
                    assert_eq!(bad_checksum(&frame), None, "{what}");
                    assert_same(&what, &frame, expected.get_or_insert_with(|| frame.clone()));
                }
            }
        }
    }
}

/// The kernel finds the way by the VLAN that the packet came from.
#[test]
fn what_the_kernel_routes_keeps_its_tags() {
    needs_bpf!();
    for (mode, setup) in through(&[Mode::Nat]) {
        // Set up.
        let mut world = world(&setup, mode, Family::V4, Family::V4, Some(&[]), MTU);
        let everywhere = Prefix {
            address: Ipv4Addr::UNSPECIFIED.into(),
            length: 0,
        };
        let ops = plan::routes(&mut world.image, &BTreeMap::from([(everywhere, RouteHop::AskKernel)]));
        world.apply(&ops);
        let answer = Frame::tcp(Family::V4.backend(1), Family::V4.client(0)).syn_ack();
        let translated = answer.clone().from(Family::V4.service());
        for came in COMES {
            // Make.
            let packet = tagged(&answer.bytes(), came);
            // Check.
            let what = format!("{came:x?}");
            let after = world.not_sent(&what, &packet, Reason::KernelRoutes);
            assert_eq!(after.verdict, Verdict::Pass);
            assert_same(&what, &after.packet, &tagged(&translated.bytes(), came));
        }
    }
}

/// Whatever is not ours is as it was, cut off at each byte, too.
#[test]
fn what_is_passed_is_untouched() {
    needs_bpf!();
    for flow_table in objects() {
        // Set up.
        let setup = Setup {
            flow_table,
            ..Setup::default()
        };
        let mode = modes_with(flow_table, &MODES)[0];
        let mut world = world(&setup, mode, Family::V4, Family::V4, Some(&[customer(9)]), MTU);
        let stranger = Frame::tcp(Family::V4.client(0), STRANGER).syn().bytes();
        let arp = {
            let mut frame = stranger[..14].to_vec();
            frame[12..14].copy_from_slice(&[0x08, 0x06]);
            [frame, vec![1; 28]].concat()
        };
        let three = tagged(&tagged(&stranger, COMES[3]), COMES[1]);
        let mut rows = vec![
            ("not IP", arp.clone(), Reason::NotIp),
            ("three tags", three, Reason::NotIp),
        ];
        for came in COMES {
            rows.push(("for somebody else", tagged(&stranger, came), Reason::NoService));
            rows.push(("ARP", tagged(&arp, came), Reason::NotIp));
            let whole = tagged(&stranger, came);
            for bytes in 14..whole.len() {
                let headers = 14 + came.len() * 4;
                let reason = match bytes {
                    _ if bytes < headers => Reason::NotIp,
                    _ if bytes < headers + 24 => Reason::OtherMalformed,
                    _ => Reason::NoService,
                };
                rows.push(("cut off", whole[..bytes].to_vec(), reason));
            }
        }
        for (what, packet, reason) in rows {
            // Make.
            let after = world.not_sent(what, &packet, reason);
            // Check.
            assert_eq!(after.verdict, Verdict::Pass, "{what}: {packet:02x?}");
            assert_same(what, &after.packet, &packet);
        }
    }
}

/// A packet to a service that is cut off is counted for what it is, with tags as without.
#[test]
fn what_is_dropped_is_dropped_for_the_same_reason() {
    needs_bpf!();
    for (mode, setup) in through(&MODES) {
        for family in Family::BOTH {
            let mut world = world(&setup, mode, family, family, Some(&[]), MTU);
            let whole = packets(family)[0].bytes();
            let whole = &whole[..whole.len().min(90)];
            for bytes in 14..whole.len() {
                // Make.
                let plain = world.run(&whole[..bytes]);
                for came in &COMES[1..] {
                    let cut = tagged(&whole[..bytes], came);
                    // Check.
                    let after = world.run(&cut);
                    assert_eq!(
                        (after.verdict, after.reason),
                        (plain.verdict, plain.reason),
                        "{mode:?} {family:?}, {bytes} bytes"
                    );
                    if after.verdict == Verdict::Pass {
                        assert_same("passed", &after.packet, &cut);
                    }
                }
            }
        }
    }
}

/// What the balancer itself says goes back by the VLAN that the packet came from.
#[test]
fn senders_are_answered_where_they_are() {
    needs_bpf!();
    for (mode, setup) in through(&MODES) {
        for family in Family::BOTH {
            // Set up.
            let mut world = world(&setup, mode, family, family, Some(&[provider(3), customer(4)]), 1280);
            let (client, door) = (family.client(0), family.service());
            let echo = match family {
                Family::V4 => (8, 0),
                Family::V6 => (128, 0),
            };
            let rows = [
                (
                    "ping",
                    Icmp::new(client.ip(), door.ip(), echo).payload(b"there?").bytes(),
                    Reason::EchoAnswered,
                ),
                (
                    "too large",
                    Frame::udp(client, door).payload(&[1; 1400]).bytes(),
                    Reason::TooBigAnswered,
                ),
                (
                    "too far",
                    Frame::udp(client, door).ttl(1).bytes(),
                    Reason::TtlExpiredAnswered,
                ),
            ];
            for (what, packet, reason) in rows {
                let what = format!("{what}: {mode:?} {family:?}");
                let plain = world.answered(&what, &packet, reason);
                for came in COMES {
                    // Make.
                    let answer = world.answered(&what, &tagged(&packet, came), reason);
                    // Check.
                    assert_same(&what, &answer, &tagged(&plain, came));
                }
            }
        }
    }
}

/// Errors take the way of the packets that they are about.
#[test]
fn errors_go_to_the_vlan_of_their_next_hop() {
    needs_bpf!();
    let backends: &[Tag] = &[customer(21)];
    let clients: &[Tag] = &[provider(31), customer(32)];
    for (mode, setup) in through(&[Mode::Ipip, Mode::Nat]) {
        // Set up.
        let family = Family::V4;
        let mut world = world(&setup, mode, family, family, Some(backends), MTU);
        clients_in(&mut world, Some(clients));
        let router = *STRANGER.ip();
        let (client, door, backend) = (family.client(0), family.service(), family.backend(1));
        let about = Frame::tcp(door, client).data(b"an answer").packet();
        let to_backend = Icmp::new(router.into(), door.ip(), (3, 1)).payload(&about);
        let mut rows = vec![(to_backend.bytes(), backends)];
        if mode == Mode::Nat {
            let about = Frame::tcp(client, backend).data(b"a question").packet();
            let to_client = Icmp::new(router.into(), client.ip(), (3, 1)).payload(&about);
            rows.push((to_client.bytes(), clients));
        }
        for (packet, goes) in rows {
            let mut expected = None;
            for came in COMES {
                // Make.
                let what = format!("{mode:?}, {came:x?} to {goes:x?}");
                let sent = world.sent(&what, &tagged(&packet, came));
                // Check.
                let (left, frame) = untagged(&sent);
                assert_eq!(left, goes, "{what}");
                assert_eq!(bad_checksum(&frame), None, "{what}");
                assert_same(&what, &frame, expected.get_or_insert_with(|| frame.clone()));
            }
        }
    }
}

/// A next hop that moves to another VLAN is followed, and leaves no tag behind.
#[test]
fn a_next_hop_changes_its_vlan() {
    needs_bpf!();
    // Set up.
    let backend = |of_hop: Option<&[Tag]>| WantedBackend {
        key: key(Family::V4.backend(1)),
        weight: 1,
        alive: true,
        hop: Some(ResolvedHop {
            tags: tags(of_hop),
            ..Family::V4.hop()
        }),
    };
    let wanted = |of_hop| service(Family::V4.vip(Protocol::Tcp), Mode::L2, vec![backend(of_hop)]);
    let mut world = World::default();
    let packet = packets(Family::V4)[0].clone();
    let plain = packet.clone().forwarded().macs(BALANCER_MAC, BACKEND_MAC).bytes();
    for of_hop in [GOES[1], GOES[0], GOES[2], GOES[1], GOES[0]] {
        // Make.
        world.serve(&wanted(of_hop));
        let sent = world.sent("moved", &packet.bytes());
        // Check.
        assert_same("moved", &sent, &tagged(&plain, of_hop.unwrap_or_default()));
    }
}
