//! `ping` of a service's address.

use lb_common::reason::Reason;
use lb_tests::needs_bpf;
use lb_tests::packet::places::{BALANCER_MAC, Family, MTU, ROUTER_MAC, STRANGER, STRANGER6};
use lb_tests::packet::{Icmp, assert_same, bad_checksum};

use super::{each, world};

/// Types of request and reply.
fn kinds(family: Family) -> (u8, u8) {
    match family {
        Family::V4 => (8, 0),
        Family::V6 => (128, 129),
    }
}

fn request(family: Family) -> Icmp {
    let (request, _) = kinds(family);
    Icmp::new(family.client(0).ip(), family.service().ip(), (request, 0))
        .rest([0x12, 0x34, 0, 7])
        .payload(b"is anybody there?")
}

fn reply(family: Family, request: &Icmp) -> Icmp {
    Icmp {
        macs: (BALANCER_MAC, ROUTER_MAC),
        source: request.destination,
        destination: request.source,
        ttl: 64,
        kind: kinds(family).1,
        ..request.clone()
    }
}

#[test]
fn an_echo_request_to_a_service_is_answered() {
    needs_bpf!();
    for (mode, family, setup) in each() {
        // Set up.
        let mut world = world(mode, family, &setup, MTU);
        // Make.
        for payload in [&b""[..], b"odd", &[0xff; 1400]] {
            for ttl in [1, 64, 255] {
                let request = Icmp {
                    ttl,
                    class: 0x48,
                    ..request(family).payload(payload)
                };
                // Check.
                let what = format!("{mode:?} {family:?}, {} bytes, {ttl} hops", payload.len());
                let answer = world.answered(&what, &request.bytes(), Reason::EchoAnswered);
                assert_same(&what, &answer, &reply(family, &request).bytes());
                assert_eq!(bad_checksum(&answer), None, "{what}");
            }
        }
        let zeroes = request(family).rest([0; 4]).payload(&[0; 6]);
        let answer = world.answered("zeroes", &zeroes.bytes(), Reason::EchoAnswered);
        assert_same("zeroes", &answer, &self::reply(family, &zeroes).bytes());
        let (_, reply) = kinds(family);
        let stray = Icmp {
            kind: reply,
            ..request(family)
        };
        let to_other = match family {
            Family::V4 => STRANGER.ip().to_owned().into(),
            Family::V6 => STRANGER6.ip().to_owned().into(),
        };
        let elsewhere = Icmp {
            destination: to_other,
            ..request(family)
        };
        let mut cut = request(family).bytes();
        cut.truncate(cut.len() - 1);
        for (what, packet) in [
            ("a reply", stray.bytes()),
            ("to another address", elsewhere.bytes()),
            ("cut short", cut),
        ] {
            let after = world.not_sent(what, &packet, Reason::NotTcpUdp).packet;
            assert_same(what, &after, &packet);
        }
    }
}
