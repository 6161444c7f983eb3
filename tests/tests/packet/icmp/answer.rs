//! What clients are told: that a packet does not fit, and what would; that it came too far.

use std::net::SocketAddr;

use lb_common::reason::Reason;
use lb_tests::needs_bpf;
use lb_tests::packet::places::{BALANCER_MAC, CLIENT_HOP, Family, MTU, ROUTER_MAC};
use lb_tests::packet::{Frame, Icmp, assert_same, bad_checksum};
use lb_userspace::core::model::Mode;
use lb_userspace::core::observed::{ResolvedHop, RouteHop};

use super::{each, world};

/// How much of a packet an error quotes: as much as it has of these.
const QUOTED: [usize; 5] = [512, 128, 68, 48, 28];
/// Errors that a CPU sends in about a second.
const PER_SECOND: usize = 1000;

/// An error about a packet that came in, as the client gets it.
pub fn error(family: Family, kind: (u8, u8), rest: [u8; 4], packet: &[u8]) -> Icmp {
    let quoted = QUOTED.into_iter().find(|bytes| *bytes <= packet.len());
    let quoted = quoted.expect("no packet is shorter");
    Icmp {
        macs: (BALANCER_MAC, ROUTER_MAC),
        ttl: 64,
        class: if family == Family::V4 { 0xc0 } else { 0 },
        dont_fragment: false,
        ..Icmp::new(family.service().ip(), family.client(0).ip(), kind)
    }
    .rest(rest)
    .payload(&packet[..quoted])
}

/// RFC 1191, section 4; RFC 4443, section 3.2.
pub fn too_big(family: Family, mtu: u16, packet: &[u8]) -> Icmp {
    let [high, low] = mtu.to_be_bytes();
    let kind = match family {
        Family::V4 => (3, 4),
        Family::V6 => (2, 0),
    };
    error(family, kind, [0, 0, high, low], packet)
}

#[test]
fn the_sender_of_what_does_not_fit_is_told_what_would() {
    needs_bpf!();
    for (mode, family, setup) in each() {
        for mtu in [MTU, 1300] {
            // Set up.
            let mut world = world(mode, family, &setup, mtu);
            let (client, door) = (family.client(0), family.service());
            if mode == Mode::Fullnat {
                world.sent("SYN", &Frame::tcp(client, door).syn().bytes());
            }
            // Make: one byte too many, and a packet of just the size.
            let fits = mtu - mode.added_bytes(family == Family::V6, family == Family::V6) as u16;
            let headers = if family == Family::V6 { 60 } else { 40 };
            let of = |bytes: u16| Frame::tcp(client, door).data(&vec![0x77; usize::from(bytes) - headers]);
            let large = of(fits + 1);
            // Check.
            let what = format!("{mode:?} {family:?}, {mtu}");
            let answer = world.answered(&what, &large.bytes(), Reason::TooBigAnswered);
            assert_same(&what, &answer, &too_big(family, fits, &large.packet()).bytes());
            assert_eq!(bad_checksum(&answer), None, "{what}");
            world.sent(&what, &of(fits).bytes());
        }
    }
}

/// A backend on a link that takes more than the clients' does.
#[test]
fn backends_are_told_what_the_way_to_clients_takes() {
    needs_bpf!();
    for (mode, family, setup) in each().filter(|(mode, ..)| mode.translates()) {
        // Set up.
        let mut world = world(mode, family, &setup, MTU);
        world.route_clients(Some(RouteHop::Via(ResolvedHop {
            mtu: 1300,
            ..CLIENT_HOP
        })));
        let (client, door, backend) = (family.client(0), family.service(), family.backend(1));
        let there = world.sent("SYN", &Frame::tcp(client, door).syn().bytes());
        let there = Frame::read(&there).expect("a whole packet");
        let peer = SocketAddr::new(there.source(), there.ports().0);
        // Make.
        let headers = if family == Family::V6 { 60 } else { 40 };
        let of = |bytes: usize| Frame::tcp(backend, peer).data(&vec![0x77; bytes - headers]);
        let large = of(1301);
        // Check.
        let what = format!("{mode:?} {family:?}");
        let answer = world.answered(&what, &large.bytes(), Reason::TooBigAnswered);
        let wanted = Icmp {
            source: peer.ip(),
            destination: backend.ip(),
            ..too_big(family, 1300, &large.packet())
        };
        assert_same(&what, &answer, &wanted.bytes());
        world.sent(&what, &of(1300).bytes());
    }
}

#[test]
fn the_sender_of_what_came_too_far_is_told() {
    needs_bpf!();
    for (mode, family, setup) in each() {
        // Set up.
        let mut world = world(mode, family, &setup, MTU);
        let (client, door) = (family.client(0), family.service());
        let kind = match family {
            Family::V4 => (11, 0),
            Family::V6 => (3, 0),
        };
        // Make: of each length that is quoted.
        for bytes in [0, 1, 20, 60, 100, 480, 1000] {
            let data = vec![0x3c; bytes];
            for packet in [
                Frame::tcp(client, door).data(&data).ttl(1),
                Frame::udp(client, door).payload(&data).ttl(1),
            ] {
                // Check.
                let what = format!("{mode:?} {family:?}, {bytes} bytes");
                let answer = world.answered(&what, &packet.bytes(), Reason::TtlExpiredAnswered);
                assert_same(&what, &answer, &error(family, kind, [0; 4], &packet.packet()).bytes());
                assert_eq!(bad_checksum(&answer), None, "{what}");
            }
        }
        // However long the header is, what tells flows apart is quoted.
        let options = Frame::udp(client, door).ip_options(&[1; 40]).ttl(1);
        let answer = world.answered("options", &options.bytes(), Reason::TtlExpiredAnswered);
        assert_same(
            "options",
            &answer,
            &error(family, kind, [0; 4], &options.packet()).bytes(),
        );
    }
}

/// Whoever sends packets that expire does not get the balancer to send as many.
#[test]
fn errors_are_limited() {
    needs_bpf!();
    for (_, family, setup) in each().filter(|(mode, ..)| *mode == Mode::Ipip) {
        // Make.
        let packet = Frame::tcp(family.client(0), family.service()).ack().ttl(1).bytes();
        // Set up.
        let mut world = world(Mode::Ipip, family, &setup, MTU);
        // Check: not all are answered, and each is counted.
        const PACKETS: usize = 20 * PER_SECOND;
        for _ in 0..PACKETS {
            world.runner.verdict(&world.dataplane, &packet).expect("it runs");
        }
        let counted = world.reasons();
        let of = |reason: Reason| counted[reason as usize] as usize;
        let (answered, dropped) = (of(Reason::TtlExpiredAnswered), of(Reason::TtlExpired));
        assert_eq!(answered + dropped, PACKETS, "{family:?}");
        assert!(answered >= PER_SECOND, "{family:?}: {answered}");
        assert!(dropped > 0, "{family:?}: all {answered} were answered");
    }
}
