//! What outer headers have for network cards and routers to spread flows by: the source port of `gue`, IPv6's flow label.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use lb_tests::needs_bpf;
use lb_tests::packet::places::{Family, SERVICE, SOURCES, backend, client, vip};
use lb_tests::packet::{Frame, World, bad_checksum, pool, service};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::core::observed::ResolvedHop;
use lb_userspace::core::plan::{Wanted, WantedBackend};
use lb_userspace::core::prefix::Prefix;

const FLOWS: u16 = 2000;
/// Receive queues of a backend's network card.
const QUEUES: u32 = 8;

fn world(mode: Mode, backend: Family) -> World {
    let mut world = World::default();
    let to = WantedBackend {
        key: lb_tests::packet::world::key(backend.backend(1)),
        weight: 1,
        alive: true,
        hop: Some(ResolvedHop {
            mtu: 1500,
            ..backend.hop()
        }),
    };
    world.serve(&Wanted {
        sources: vec![backend.source()],
        ..service(vip(Protocol::Tcp), mode, vec![to])
    });
    world
}

/// The outer header's flow label, and the port of a UDP header behind it; 0 for what there is not.
fn marks(frame: &[u8], outer: Family, mode: Mode) -> (u32, u16) {
    let (label, behind) = match outer {
        Family::V4 => (0, 34),
        Family::V6 => (u32::from_be_bytes([0, frame[15] & 0xf, frame[16], frame[17]]), 54),
    };
    let port = match mode {
        Mode::Gue => u16::from_be_bytes([frame[behind], frame[behind + 1]]),
        _ => 0,
    };
    (label, port)
}

/// Each flow's packets look alike, and different flows spread over queues as dice would have it.
#[test]
fn outer_headers_spread_flows() {
    needs_bpf!();
    for (mode, outer) in [
        (Mode::Gue, Family::V4),
        (Mode::Gue, Family::V6),
        (Mode::Ipip, Family::V6),
    ] {
        // Set up.
        let what = format!("{mode:?} in {outer:?}");
        let mut world = world(mode, outer);
        let mut seen = BTreeMap::new();
        for number in 0..FLOWS {
            // Make.
            let syn = Frame::tcp(client(number), SERVICE).syn().bytes();
            let data = Frame::tcp(client(number), SERVICE).data(b"more of it").bytes();
            // Check: the packets of a flow stay together.
            let first = marks(&world.sent(&what, &syn), outer, mode);
            assert_eq!(marks(&world.sent(&what, &data), outer, mode), first, "{what}: {number}");
            seen.insert(number, first);
        }
        let ports: BTreeSet<u16> = seen.values().map(|(_, port)| *port).collect();
        let labels: BTreeSet<u32> = seen.values().map(|(label, _)| *label).collect();
        if mode == Mode::Gue {
            // RFC 8085, section 5.1.1: ports that no service has.
            assert!(ports.iter().all(|port| *port >= 49_152), "{what}");
            assert!(ports.len() > 1700, "{what}: {} ports", ports.len());
            even(&what, seen.values().map(|(_, port)| u32::from(*port)));
        }
        if outer == Family::V6 {
            assert!(labels.len() > 1950, "{what}: {} labels", labels.len());
            even(&what, seen.values().map(|(label, _)| *label));
        }
    }
}

/// An outer IPv4 header has nothing but its source: with a prefix for that, each flow has an address of its own.
#[test]
fn sources_of_a_prefix_spread_flows() {
    needs_bpf!();
    // Set up.
    let mut world = World::default();
    let wanted = service(vip(Protocol::Tcp), Mode::Ipip, pool([backend(1)]));
    let address = Ipv4Addr::new(10, 77, 16, 0);
    let spread = vec![Prefix {
        address: address.into(),
        length: 20,
    }];
    world.serve(&Wanted {
        spread,
        ..wanted.clone()
    });
    let mut seen = BTreeSet::new();
    let source = |frame: &[u8]| Ipv4Addr::new(frame[26], frame[27], frame[28], frame[29]);
    for number in 0..FLOWS {
        // Make.
        let packet = |frame: Frame| frame.data(b"data").bytes();
        let first = world.sent("first", &packet(Frame::tcp(client(number), SERVICE)));
        let second = world.sent(
            "second",
            &packet(Frame::tcp(client(number), SERVICE).dscp_and_ecn(9, 1)),
        );
        // Check: the packets of a flow stay together, in the prefix, and the header's checksum is right.
        assert_eq!(source(&first), source(&second));
        assert_eq!(source(&first) & Ipv4Addr::new(255, 255, 240, 0), address);
        assert_eq!(bad_checksum(&first), None);
        seen.insert(source(&first));
    }
    assert!(seen.len() > 1500, "{} addresses", seen.len());
    // And without one again, in place.
    world.serve(&wanted);
    let sent = world.sent("without", &Frame::tcp(client(0), SERVICE).data(b"data").bytes());
    assert_eq!(source(&sent), SOURCES[0]);
}

/// Six standard deviations off the mean at most.
fn even(what: &str, values: impl Iterator<Item = u32>) {
    let mut queues = [0u32; QUEUES as usize];
    values.for_each(|value| queues[(value % QUEUES) as usize] += 1);
    let fair = f64::from(FLOWS) / f64::from(QUEUES);
    let far = 6.0 * (fair * (1.0 - 1.0 / f64::from(QUEUES))).sqrt();
    let is_even = |queue: &u32| (f64::from(*queue) - fair).abs() < far;
    assert!(queues.iter().all(is_even), "{what}: {queues:?}");
}
