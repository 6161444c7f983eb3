//! Errors about what a backend sent, which come to the service's address.

use lb_common::reason::Reason;
use lb_tests::needs_bpf;
use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, Family, MTU, STRANGER, STRANGER6, TUNNEL_PORT};
use lb_tests::packet::{Frame, Icmp, assert_same, bad_checksum};
use lb_userspace::core::model::{Mode, Protocol};
use std::net::{IpAddr, SocketAddr};

use super::{each, wanted, world};

/// The first port that a flow of `fullnat` gets in a world of the default making.
const FIRST_PORT: u16 = 20000;

/// Somebody on the way to the client.
fn router(family: Family) -> IpAddr {
    match family {
        Family::V4 => STRANGER.ip().to_owned().into(),
        Family::V6 => STRANGER6.ip().to_owned().into(),
    }
}

/// What did not get through: an answer as the client would have seen it.
fn answer(family: Family, protocol: Protocol) -> Frame {
    between(family.service(), family.client(0), protocol)
}

fn between(from: SocketAddr, to: SocketAddr, protocol: Protocol) -> Frame {
    let frame = match protocol {
        Protocol::Tcp => Frame::tcp(from, to).data(&[0x11; 1200]),
        Protocol::Udp => Frame::udp(from, to).payload(&[0x22; 1200]),
        Protocol::Sctp | Protocol::Any => {
            let frame = Frame::first(protocol, from, to);
            let payload = [&frame.payload[..], &[0x33; 1200]].concat();
            frame.payload(&payload)
        }
    };
    frame.ttl(9)
}

/// Types and codes that say so, with what stands behind the checksum.
fn errors(family: Family) -> [((u8, u8), [u8; 4]); 3] {
    match family {
        Family::V4 => [((3, 4), [0, 0, 5, 0]), ((3, 1), [0; 4]), ((11, 0), [0; 4])],
        Family::V6 => [((2, 0), [0, 0, 5, 0]), ((1, 3), [0; 4]), ((3, 0), [0; 4])],
    }
}

/// The error as it comes from a router.
fn error(family: Family, (kind, rest): ((u8, u8), [u8; 4]), quoted: &[u8]) -> Icmp {
    Icmp::new(router(family), family.service().ip(), kind)
        .rest(rest)
        .payload(quoted)
}

/// The same as the backend is to see it.
fn delivered(mode: Mode, family: Family, error: &Icmp, quoted: usize, protocol: Protocol, sent: &[u8]) -> Vec<u8> {
    let forwarded = Icmp {
        macs: (BALANCER_MAC, BACKEND_MAC),
        ttl: error.ttl - 1,
        ..error.clone()
    };
    let backend = family.backend(1);
    let translated = |peer: SocketAddr| {
        // Checksums of the quoted packet are those of the one that the backend sent, as long as they are quoted.
        let whole = between(backend, peer, protocol).packet();
        Icmp {
            destination: backend.ip(),
            ..forwarded.clone().payload(&whole[..quoted])
        }
    };
    match mode {
        Mode::L2 => forwarded.bytes(),
        Mode::Nat => translated(family.client(0)).bytes(),
        Mode::Fullnat => translated(SocketAddr::new(family.source(), FIRST_PORT)).bytes(),
        Mode::Ipip => Frame::around(&forwarded.bytes())
            .in_tunnel(family.source(), backend.ip())
            .spread_as(sent)
            .bytes(),
        Mode::Gue => Frame::around(&forwarded.bytes())
            .in_gue(family.source(), backend.ip(), TUNNEL_PORT)
            .spread_as(sent)
            .bytes(),
    }
}

#[test]
fn an_error_about_a_backends_packet_gets_to_the_backend() {
    needs_bpf!();
    for (mode, family, setup) in each() {
        let all = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Any];
        for protocol in if mode.translates() { &all[..2] } else { &all } {
            // Set up: the client has a flow.
            let protocol = *protocol;
            let mut world = world(mode, family, &setup, MTU);
            world.serve(&wanted(mode, family, protocol, MTU));
            let (client, door) = (family.client(0), family.service());
            world.sent("the first packet", &Frame::first(protocol, client, door).bytes());
            // Make: quoted as little as is allowed, and as much as there is room for.
            let whole = answer(family, protocol).packet();
            let header = if family == Family::V6 { 40 } else { 20 };
            for quoted in [header + 8, header + 20, 500] {
                for said in errors(family) {
                    let error = error(family, said, &whole[..quoted]);
                    // Check.
                    let what = format!("{mode:?} {family:?} {protocol:?}, {said:?} about {quoted} bytes");
                    let sent = world.sent(&what, &error.bytes());
                    let wanted = delivered(mode, family, &error, quoted, protocol, &sent);
                    assert_same(&what, &sent, &wanted);
                    assert_eq!(bad_checksum(&sent), None, "{what}");
                }
            }
            let counted = world.counted(family.vip_of(protocol));
            assert_eq!(counted.packets, 10, "{mode:?} {family:?} {protocol:?}");
        }
    }
}

#[test]
fn an_error_about_anything_else_is_for_this_host() {
    needs_bpf!();
    for (mode, family, setup) in each() {
        // Set up.
        let mut world = world(mode, family, &setup, MTU);
        // Make.
        let [said, ..] = errors(family);
        let door = family.service();
        let other_port = SocketAddr::new(door.ip(), 81);
        let by_other = between(SocketAddr::new(router(family), 80), family.client(0), Protocol::Tcp);
        let rows = [
            (
                "of a port that is no service's",
                between(other_port, family.client(0), Protocol::Tcp).packet(),
            ),
            ("of somebody else", by_other.packet()),
        ];
        for (what, quoted) in rows {
            let packet = error(family, said, &quoted[..100]).bytes();
            // Check.
            let after = world.not_sent(what, &packet, Reason::NotTcpUdp).packet;
            assert_same(what, &after, &packet);
        }
        let header = if family == Family::V6 { 40 } else { 20 };
        let short = error(family, said, &answer(family, Protocol::Tcp).packet()[..header + 3]);
        world.not_sent("cut in the ports", &short.bytes(), Reason::NotTcpUdp);
    }
}
