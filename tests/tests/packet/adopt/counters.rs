//! A service's counters are those of its backends, of the ones that are gone too: each of them once, whenever a daemon ends.

use lb_common::abi::Counters;
use lb_tests::needs_bpf;
use lb_tests::packet::places::{CLIENT_HOP, backend, client};
use lb_tests::packet::{Frame, Setup, World, pool, service};
use lb_userspace::core::image::Named;
use lb_userspace::core::model::Mode;
use lb_userspace::core::observed::RouteHop;
use lb_userspace::core::plan::{self, Op, Wanted};
use lb_userspace::edge::dataplane::testing::add_to_past;

use super::{Pins, open, open_with, packet, vip};

const MODE: Mode = Mode::Nat;

/// The service with backends 1 to `last`.
fn of(last: u8) -> Wanted {
    service(vip(MODE), MODE, pool((1..=last).map(backend)))
}

/// Room for three backends of one service, so that a number that comes free is the next.
fn narrow(pins: &Pins) -> World {
    let mut setup = Setup::default();
    (setup.limits.services, setup.limits.backends) = (2, 4);
    let mut world = open_with(&pins.0, &setup).expect("it is made");
    world.route_clients(Some(RouteHop::Via(CLIENT_HOP)));
    world.serve(&of(3));
    world
}

/// Fifty flows there and one packet back from each of three backends.
fn send(world: &mut World) {
    for n in 0..50 {
        world.sent("there", &packet(MODE, n));
    }
    for n in 1..=3 {
        world.sent("back", &Frame::tcp(backend(n), client(0)).ack().bytes());
    }
}

/// Frees what rests. Whether backend `id` was.
fn collect(world: &mut World, id: u32) -> bool {
    let ops = plan::collect(&mut world.image, 2, &Named::default());
    world.apply(&ops);
    ops.contains(&Op::BackendCleared { id })
}

fn assert_all_counted(world: &World, what: &str) {
    let Counters {
        packets,
        bytes,
        new_flows,
        back_packets,
        back_bytes,
        ..
    } = world.counted(vip(MODE));
    let there = packet(MODE, 0).len() as u64;
    let back = Frame::tcp(backend(1), client(0)).ack().bytes().len() as u64;
    assert_eq!((packets, bytes, new_flows), (50, 50 * there, 50), "{what}");
    assert_eq!((back_packets, back_bytes), (3, 3 * back), "{what}");
}

#[test]
fn what_a_removed_backend_counted_stays_with_its_service() {
    needs_bpf!();
    let pins = Pins::new("counted");
    // Make, set up.
    let mut world = narrow(&pins);
    send(&mut world);
    let id = world.id(vip(MODE), backend(3));
    assert!(world.traffic().of_backend(id).packets > 0);
    assert_all_counted(&world, "all there");
    // Check.
    world.serve(&of(2));
    assert_all_counted(&world, "one rests");
    drop(world);
    let mut world = open(&pins.0).expect("it is adopted");
    assert_all_counted(&world, "one rests, for another daemon");
    world.serve(&of(2));
    assert!(collect(&mut world, id));
    assert_all_counted(&world, "one is gone");
    drop(world);
    let mut world = open(&pins.0).expect("it is adopted");
    assert_all_counted(&world, "one is gone, for another daemon");
    // Whoever gets a number begins at 0.
    world.serve(&of(3));
    assert_eq!(world.id(vip(MODE), backend(3)), id);
    assert_eq!(world.traffic().of_backend(id), Counters::default());
    assert_all_counted(&world, "another one has its number");
    let number = world.placed(vip(MODE)).id;
    world.remove(vip(MODE));
    assert!(collect(&mut world, id));
    world.serve(&of(3));
    assert_eq!(world.placed(vip(MODE)).id, number);
    assert_eq!(world.counted(vip(MODE)), Counters::default());
}

#[test]
fn a_daemon_killed_while_it_clears_a_backend_counts_it_once() {
    needs_bpf!();
    let pins = Pins::new("counted-once");
    // Make, set up: added, and not emptied yet.
    let mut world = narrow(&pins);
    send(&mut world);
    let id = world.id(vip(MODE), backend(3));
    world.serve(&of(2));
    add_to_past(&mut world.dataplane, id).expect("added");
    drop(world);
    // Check.
    let mut world = open(&pins.0).expect("it is adopted");
    assert_all_counted(&world, "adopted");
    world.serve(&of(2));
    assert!(collect(&mut world, id));
    assert_all_counted(&world, "cleared");
}
