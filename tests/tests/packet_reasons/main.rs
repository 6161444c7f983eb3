//! Every reason for which a packet is passed or dropped, provoked by a packet.

use lb_common::reason::{Reason, Verdict as Fate};
use lb_tests::needs_bpf;
use lb_tests::packet::places::vip;
use lb_tests::packet::{Setup, World, assert_same, pool, service};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::edge::dataplane::DataplaneError;
use lb_userspace::edge::dataplane::run::Verdict;

mod by_shape;
mod by_state;

const MODES: [Mode; 4] = [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip];

/// A packet, and the one reason that it must be counted under.
struct Row {
    reason: Reason,
    what: &'static str,
    packet: Vec<u8>,
    /// Bytes of metadata that the driver keeps in front of the packet.
    metadata: usize,
    setup: Setup,
    world: Filled,
}

/// What is in the maps.
enum Filled {
    /// The service over TCP and UDP with one backend: a world for each mode.
    EachMode,
    By(fn(&mut World)),
}

/// A row for each mode.
fn row(reason: Reason, what: &'static str, packet: Vec<u8>) -> Row {
    Row {
        reason,
        what,
        packet,
        metadata: 0,
        setup: Setup::default(),
        world: Filled::EachMode,
    }
}

/// A row in a world of its own.
fn special(reason: Reason, what: &'static str, packet: Vec<u8>, fill: fn(&mut World)) -> Row {
    Row {
        world: Filled::By(fill),
        ..row(reason, what, packet)
    }
}

fn rows() -> Vec<Row> {
    let mut rows = by_shape::rows();
    rows.extend(by_state::rows());
    rows
}

/// The service in this mode, with one backend.
fn usual(world: &mut World, mode: Mode) {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let backend = lb_tests::packet::places::backend(1);
        world.serve(&service(vip(protocol), mode, pool([backend])));
    }
}

/// Runs the packet of a row and checks that it is counted once, under its reason.
fn check(row: &Row, world: &mut World) {
    let what = row.what;
    let before = world.reasons();
    let outcome = world.runner.run_behind(&world.dataplane, row.metadata, &row.packet);
    let outcome = outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
    let counted: Vec<(&str, u64)> = Reason::ALL
        .iter()
        .zip(world.reasons().iter().zip(before))
        .map(|(reason, (after, before))| (reason.name(), after - before))
        .filter(|(_, packets)| *packets > 0)
        .collect();
    assert_eq!(counted, [(row.reason.name(), 1)], "{what}: {:?}", outcome.verdict);
    match row.reason.verdict() {
        Fate::Drop => assert_eq!(outcome.verdict, Verdict::Drop, "{what}"),
        Fate::Pass => assert_eq!(outcome.verdict, Verdict::Pass, "{what}"),
    }
    if row.reason.verdict() == Fate::Pass && row.reason != Reason::KernelRoutes {
        assert_same(what, &outcome.packet, &row.packet);
    }
}

#[test]
fn each_packet_is_counted_under_its_reason() {
    needs_bpf!();
    // Set up: a world a mode serves all rows that need no other.
    let mut worlds = MODES.map(|mode| {
        let mut world = World::default();
        usual(&mut world, mode);
        world
    });
    for row in rows().iter().filter(|row| row.metadata == 0) {
        match row.world {
            Filled::EachMode => worlds.iter_mut().for_each(|world| check(row, world)),
            Filled::By(fill) => check(row, &mut special_world(row, fill)),
        }
    }
}

fn special_world(row: &Row, fill: fn(&mut World)) -> World {
    let mut world = World::new(&row.setup);
    fill(&mut world);
    world
}

#[test]
fn a_driver_without_headroom() {
    needs_bpf!();
    for row in rows().iter().filter(|row| row.metadata > 0) {
        let Filled::By(fill) = row.world else {
            panic!("{}: which mode?", row.what)
        };
        let mut world = special_world(row, fill);
        let tried = world.runner.run_behind(&world.dataplane, row.metadata, &row.packet);
        let is_refused = matches!(tried, Err(DataplaneError::Run(_)));
        lb_lab::needs!(!is_refused, "this kernel runs no packet behind so much metadata");
        check(row, &mut world);
    }
}

/// A reason that is added without a packet that provokes it fails here.
#[test]
fn every_reason_has_a_row() {
    let rows = rows();
    for reason in Reason::ALL {
        assert!(
            rows.iter().any(|row| row.reason == *reason),
            "no row provokes {}",
            reason.name()
        );
    }
}
