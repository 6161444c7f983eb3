//! Flows of `fullnat`, from their first packet to their last.

use std::net::SocketAddrV4;

use lb_common::abi::flow_state::{EMBRYONIC, ESTABLISHED, FIN, RST};
use lb_common::reason::Reason;
use lb_tests::needs_flow_table;
use lb_tests::packet::flows::flow_key;
use lb_tests::packet::places::{CLIENT, SERVICE, SOURCES, backend, client, vip};
use lb_tests::packet::{Flows, Frame, World, assert_same, pool, service};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::core::plan::Wanted;
use lb_userspace::edge::dataplane::run::Verdict;

const TCP: lb_userspace::core::model::Vip = vip(Protocol::Tcp);

fn of(backends: impl IntoIterator<Item = u8>) -> Wanted {
    service(TCP, Mode::Fullnat, pool(backends.into_iter().map(backend)))
}

fn world(backends: impl IntoIterator<Item = u8>) -> World {
    let mut world = World::default();
    world.serve(&of(backends));
    world
}

fn syn(from: SocketAddrV4) -> Vec<u8> {
    Frame::tcp(from, SERVICE).syn().bytes()
}

fn data(from: SocketAddrV4) -> Vec<u8> {
    Frame::tcp(from, SERVICE).data(b"data").bytes()
}

/// Where a packet came out: source and destination.
type Way = (SocketAddrV4, SocketAddrV4);

fn way(sent_out: &[u8]) -> Way {
    let port = |at: usize| u16::from_be_bytes([sent_out[at], sent_out[at + 1]]);
    let address = |at: usize| {
        let octets: [u8; 4] = sent_out[at..at + 4].try_into().unwrap();
        octets.into()
    };
    (
        SocketAddrV4::new(address(26), port(34)),
        SocketAddrV4::new(address(30), port(36)),
    )
}

/// A flow's way out, of a packet that must be sent.
#[track_caller]
fn sent(world: &mut World, packet: &[u8]) -> Way {
    way(&world.sent("a packet of a flow", packet))
}

#[test]
fn flows_get_ports_in_turn_and_keep_them() {
    needs_flow_table!();
    // Make: fifty clients, two of which differ in their address alone.
    let mut clients: Vec<SocketAddrV4> = (0..49).map(client).collect();
    clients.push(SocketAddrV4::new([203, 0, 113, 8].into(), client(3).port()));
    // Set up.
    let mut world = world(1..=5);
    let first: Vec<Way> = clients.iter().map(|from| sent(&mut world, &syn(*from))).collect();
    // Check.
    for (n, (source, _)) in first.iter().enumerate() {
        assert_eq!(*source, SocketAddrV4::new(SOURCES[0], 20000 + n as u16));
    }
    for (from, way) in clients.iter().zip(&first) {
        assert_eq!(sent(&mut world, &data(*from)), *way);
    }
    let mut used: Vec<SocketAddrV4> = first.iter().map(|(_, to)| *to).collect();
    used.sort();
    used.dedup();
    assert_eq!(used.len(), 5, "all backends have flows");
}

/// The first source that a flow tries is its hash's, so that all sources serve.
#[test]
fn all_sources_are_used() {
    needs_flow_table!();
    // Make, set up: two sources.
    let mut world = World::default();
    let sources = SOURCES.map(Into::into).to_vec();
    world.serve(&Wanted { sources, ..of([1]) });
    let ways: Vec<Way> = (0..200).map(|n| sent(&mut world, &syn(client(n)))).collect();
    // Check.
    for source in SOURCES {
        let flows = ways.iter().filter(|(from, _)| *from.ip() == source).count();
        assert!((60..140).contains(&flows), "{source}: {flows} of 200 flows");
    }
}

#[test]
fn a_second_syn_keeps_backend_and_port() {
    needs_flow_table!();
    // Make, set up.
    let mut world = world(1..=5);
    let first: Vec<Way> = (0..50).map(|n| sent(&mut world, &syn(client(n)))).collect();
    // The table is another one now.
    world.serve(&of(3..=9));
    world.serve(&of(1..=5));
    // Check.
    for (n, way) in first.iter().enumerate() {
        let backend_left = !(3..=5).contains(&way.1.ip().octets()[3]);
        let again = sent(&mut world, &syn(client(n as u16)));
        assert!(backend_left || again == *way, "flow {n}");
        assert_eq!(again.0, way.0, "flow {n}");
    }
    let counters = world.counted(TCP);
    let moved = first.iter().filter(|(_, to)| to.ip().octets()[3] < 3).count() as u64;
    assert_eq!(counters.new_flows, 50 + moved, "a repeated SYN is no new flow");
}

#[test]
fn old_flows_survive_weight_zero() {
    needs_flow_table!();
    // Make: a pool whose first backend takes nothing new.
    let mut without = of(1..=2);
    without.backends[0].weight = 0;
    // Set up: flows on both backends.
    let mut world = world(1..=2);
    let first: Vec<Way> = (0..50).map(|n| sent(&mut world, &syn(client(n)))).collect();
    assert!(first.iter().any(|(_, to)| *to == backend(1)));
    world.serve(&without);
    // Check: the old ones stay, in both directions, even when they begin once more; the new ones go elsewhere.
    for (n, way) in first.iter().enumerate() {
        assert_eq!(sent(&mut world, &data(client(n as u16))), *way);
        assert_eq!(
            sent(&mut world, &Frame::tcp(way.1, way.0).ack().bytes()),
            (SERVICE, client(n as u16))
        );
        assert_eq!(sent(&mut world, &syn(client(n as u16))), *way);
    }
    for n in 100..150 {
        assert_eq!(sent(&mut world, &syn(client(n))).1, backend(2));
    }
}

/// Down or removed: nothing is sent to it any more, its answers are nobody's, and a new connection goes elsewhere.
#[test]
fn flows_of_a_dead_backend_are_void() {
    needs_flow_table!();
    for is_removed in [false, true] {
        // Make.
        let mut without = of(1..=2);
        if is_removed {
            without.backends.remove(0);
        } else {
            without.backends[0].weight = 0;
            without.backends[0].alive = false;
        }
        // Set up.
        let mut world = world(1..=2);
        let first: Vec<Way> = (0..50).map(|n| sent(&mut world, &syn(client(n)))).collect();
        world.serve(&without);
        // Check.
        for (n, way) in first.iter().enumerate() {
            let from = client(n as u16);
            if way.1 == backend(2) {
                assert_eq!(sent(&mut world, &data(from)), *way);
                continue;
            }
            world.not_sent("data", &data(from), Reason::BackendGone);
            assert_eq!(sent(&mut world, &syn(from)), (way.0, backend(2)), "it keeps its port");
            assert_eq!(sent(&mut world, &data(from)), (way.0, backend(2)));
            let late = world.not_sent("late", &Frame::tcp(way.1, way.0).ack().bytes(), Reason::NoService);
            assert_eq!(late.verdict, Verdict::Pass);
        }
    }
}

/// UDP has no beginning: its next packet goes to a living backend.
#[test]
fn udp_leaves_a_dead_backend_at_once() {
    needs_flow_table!();
    let udp = vip(Protocol::Udp);
    let datagram = |n| Frame::udp(client(n), SERVICE).payload(b"question").bytes();
    // Make.
    let alive = service(udp, Mode::Fullnat, pool([backend(1), backend(2)]));
    let mut half = alive.clone();
    half.backends[0].weight = 0;
    half.backends[0].alive = false;
    // Set up.
    let mut world = World::default();
    world.serve(&alive);
    let first: Vec<Way> = (0..50).map(|n| sent(&mut world, &datagram(n))).collect();
    world.serve(&half);
    // Check.
    for (n, way) in first.iter().enumerate() {
        assert_eq!(sent(&mut world, &datagram(n as u16)), (way.0, backend(2)));
    }
}

/// Each direction notes how far it has come.
#[test]
fn states_follow_the_packets() {
    needs_flow_table!();
    // Make.
    let there = |frame: Frame| (true, frame);
    let back = |frame: Frame| (false, frame);
    let out = || Frame::tcp(CLIENT, SERVICE);
    let home = || Frame::tcp(backend(1), SocketAddrV4::new(SOURCES[0], 20000));
    let steps = [
        ("SYN", there(out().syn()), (EMBRYONIC, EMBRYONIC)),
        ("SYN ACK", back(home().syn_ack()), (EMBRYONIC, EMBRYONIC)),
        ("ACK", there(out().ack()), (ESTABLISHED, EMBRYONIC)),
        ("answer", back(home().data(b"x")), (ESTABLISHED, ESTABLISHED)),
        ("client's FIN", there(out().fin()), (FIN, ESTABLISHED)),
        ("more data to the client", back(home().data(b"y")), (FIN, ESTABLISHED)),
        ("backend's FIN", back(home().fin()), (FIN, FIN)),
        ("last ACK", there(out().ack()), (FIN, FIN)),
        ("RST after all", back(home().rst()), (FIN, RST)),
    ];
    // Set up.
    let mut world = world([1]);
    let flows = Flows::on(&mut world);
    let key = flow_key(CLIENT, world.placed(TCP).id);
    for (what, (_, frame), wanted) in steps {
        // Check.
        world.sent(what, &frame.bytes());
        let flow = flows.of(key).expect("the flow is in the table");
        let holder = flows.holders()[&flow.value.index()];
        assert_eq!((flow.value.state(), holder.value.state()), wanted, "{what}");
    }
}

/// After FIN or RST a SYN is a new connection: it goes where new flows go, and keeps the port.
#[test]
fn a_closed_flow_begins_anew() {
    needs_flow_table!();
    for (what, end) in [
        ("FIN", Frame::tcp(CLIENT, SERVICE).fin()),
        ("RST", Frame::tcp(CLIENT, SERVICE).rst()),
    ] {
        // Make: the backend that has the flow takes nothing new.
        let mut without = of(1..=2);
        // Set up.
        let mut world = world(1..=2);
        let first = sent(&mut world, &syn(CLIENT));
        let place = if first.1 == backend(1) { 0 } else { 1 };
        without.backends[place].weight = 0;
        let other = backend(2 - place as u8);
        world.serve(&without);
        // Check.
        assert_eq!(sent(&mut world, &end.bytes()), first, "{what} itself");
        assert_eq!(sent(&mut world, &data(CLIENT)), first, "what comes after {what}");
        assert_eq!(sent(&mut world, &syn(CLIENT)), (first.0, other), "SYN after {what}");
        assert_eq!(sent(&mut world, &data(CLIENT)), (first.0, other), "after that");
        let answer = Frame::tcp(other, first.0).syn_ack();
        assert_eq!(sent(&mut world, &answer.bytes()), (SERVICE, CLIENT), "the answer");
        let flows = Flows::on(&mut world);
        assert_eq!(
            flows.contradictions(1, &(20000..30000).collect::<Vec<_>>()),
            [] as [String; 0]
        );
    }
}

/// The way to a new backend may need another source address: then the port is another one, and the old one is found by the
/// janitor.
#[test]
fn a_new_source_is_a_new_port() {
    needs_flow_table!();
    // Make: the second backend is reached from the second source.
    let mut wanted = of([1]);
    wanted.sources = Vec::new();
    let mut other = pool([backend(2)]).remove(0);
    other.hop = other.hop.map(|hop| lb_userspace::core::observed::ResolvedHop {
        source: SOURCES[1].into(),
        ..hop
    });
    let after = Wanted {
        backends: vec![other],
        ..wanted.clone()
    };
    // Set up.
    let mut world = World::default();
    world.serve(&wanted);
    assert_eq!(
        sent(&mut world, &syn(CLIENT)),
        (SocketAddrV4::new(SOURCES[0], 20000), backend(1))
    );
    world.serve(&after);
    // Check.
    world.not_sent("data", &data(CLIENT), Reason::BackendGone);
    let new = (SocketAddrV4::new(SOURCES[1], 20000), backend(2));
    assert_eq!(sent(&mut world, &syn(CLIENT)), new);
    assert_eq!(sent(&mut world, &data(CLIENT)), new);
    let answer = Frame::tcp(new.1, new.0).syn_ack();
    let wanted = answer.clone().from(SERVICE).to(CLIENT).forwarded();
    let sent_out = world.sent("answer", &answer.bytes());
    assert_same("answer", &sent_out[12..], &wanted.bytes()[12..]);
}
