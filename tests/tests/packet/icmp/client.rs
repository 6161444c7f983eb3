//! Errors about what a client sent, which come from the backends' side in the modes that translate.

use std::net::{IpAddr, SocketAddr};

use lb_common::reason::Reason;
use lb_tests::needs_bpf;
use lb_tests::packet::places::{BALANCER_MAC, Family, GATEWAY_MAC, MTU, STRANGER, STRANGER6};
use lb_tests::packet::{Frame, Icmp, World, assert_same, bad_checksum};
use lb_userspace::core::model::{Mode, Protocol};

use super::{each, world};

/// What a client sends.
fn packet(family: Family, protocol: Protocol) -> Frame {
    let (client, door) = (family.client(0), family.service());
    match protocol == Protocol::Tcp {
        true => Frame::tcp(client, door).data(&[0x44; 900]),
        false => Frame::udp(client, door).payload(&[0x55; 900]),
    }
}

/// A router between balancer and backends.
fn router(family: Family) -> IpAddr {
    match family {
        Family::V4 => STRANGER.ip().to_owned().into(),
        Family::V6 => STRANGER6.ip().to_owned().into(),
    }
}

/// Who says what: a router that the packet does not fit or came too far, the backend that nobody listens.
fn errors(family: Family) -> [(IpAddr, (u8, u8), [u8; 4]); 3] {
    let (router, backend) = (router(family), family.backend(1).ip());
    match family {
        Family::V4 => [
            (router, (3, 4), [0, 0, 5, 0]),
            (router, (11, 0), [0; 4]),
            (backend, (3, 3), [0; 4]),
        ],
        Family::V6 => [
            (router, (2, 0), [0, 0, 5, 0]),
            (router, (3, 0), [0; 4]),
            (backend, (1, 4), [0; 4]),
        ],
    }
}

/// Source address of what was sent to a backend.
fn sender(family: Family, sent: &[u8]) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from(<[u8; 4]>::try_from(&sent[26..30]).expect("4 bytes")),
        Family::V6 => IpAddr::from(<[u8; 16]>::try_from(&sent[22..38]).expect("16 bytes")),
    }
}

/// Opens the client's flow, and gives a packet of it as it went to the backend.
fn went_out(world: &mut World, family: Family, protocol: Protocol) -> Vec<u8> {
    if protocol == Protocol::Tcp {
        let syn = Frame::tcp(family.client(0), family.service()).syn();
        world.sent("SYN", &syn.bytes());
    }
    world.sent("the packet", &packet(family, protocol).bytes())
}

fn translating() -> impl Iterator<Item = (Mode, Family, lb_tests::packet::Setup)> {
    each().filter(|(mode, ..)| mode.translates())
}

#[test]
fn an_error_about_a_clients_packet_gets_to_the_client() {
    needs_bpf!();
    for (mode, family, setup) in translating() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            // Set up.
            let mut world = world(mode, family, &setup, MTU);
            let sent = went_out(&mut world, family, protocol);
            let seen = packet(family, protocol).forwarded().packet();
            // Make: quoted as little as is allowed, and as much as there is room for.
            let header = if family == Family::V6 { 40 } else { 20 };
            for quoted in [header + 8, header + 20, 500] {
                for (from, kind, rest) in errors(family) {
                    let error = Icmp::new(from, sender(family, &sent), kind)
                        .rest(rest)
                        .payload(&sent[14..14 + quoted]);
                    let wanted = Icmp {
                        macs: (BALANCER_MAC, GATEWAY_MAC),
                        source: family.service().ip(),
                        destination: family.client(0).ip(),
                        ttl: error.ttl - 1,
                        ..error.clone()
                    }
                    .payload(&seen[..quoted]);
                    // Check.
                    let what = format!("{mode:?} {family:?} {protocol:?}, {kind:?} about {quoted} bytes");
                    let after = world.sent(&what, &error.bytes());
                    assert_same(&what, &after, &wanted.bytes());
                    assert_eq!(bad_checksum(&after), None, "{what}");
                }
            }
            let counted = world.counted(family.vip(protocol));
            assert_eq!(counted.back_packets, 9, "{mode:?} {family:?} {protocol:?}");
        }
    }
}

#[test]
fn an_error_about_nobodys_packet_is_for_this_host() {
    needs_bpf!();
    for (mode, family, setup) in translating() {
        // Set up.
        let mut world = world(mode, family, &setup, MTU);
        let sent = went_out(&mut world, family, Protocol::Udp);
        let to = sender(family, &sent);
        // Make: what this host itself sent, to the backend's address and to another.
        let [(from, kind, rest), ..] = errors(family);
        let other_port = SocketAddr::new(family.backend(1).ip(), 9);
        for (what, target) in [
            ("another port", other_port),
            ("another host", SocketAddr::new(router(family), 8080)),
        ] {
            let quoted = Frame::udp(SocketAddr::new(to, 7), target).payload(b"of somebody else");
            let error = Icmp::new(from, to, kind).rest(rest).payload(&quoted.packet()).bytes();
            // Check.
            let after = world.not_sent(what, &error, Reason::NotTcpUdp).packet;
            assert_same(what, &after, &error);
        }
    }
}
