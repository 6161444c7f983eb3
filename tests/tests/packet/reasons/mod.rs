//! Every reason for which a packet is passed or dropped, provoked by a packet.

use lb_common::reason::{Reason, Verdict as Fate};
use lb_tests::packet::objects::{objects, through};
use lb_tests::packet::places::{CLIENT, SERVICE, vip};
use lb_tests::packet::{Frame, Setup, World, assert_same, pool, service};
use lb_tests::{needs_bpf, needs_flow_table};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::edge::dataplane::DataplaneError;
use lb_userspace::edge::dataplane::run::{Arrival, Verdict};

mod by_shape;
mod by_state;
mod by_version;

const MODES: [Mode; 5] = [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue];

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

impl Row {
    /// How its packet comes in.
    fn arrival(&self) -> Arrival {
        Arrival {
            metadata: self.metadata,
            ..Arrival::default()
        }
    }
}

/// What is in the maps.
enum Filled {
    /// The service over TCP and UDP with one backend: a world for each mode.
    EachMode,
    By(fn(&mut World)),
    /// In mode `fullnat`.
    WithFlowTable(fn(&mut World)),
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

/// A row in a world of its own, in mode `fullnat`.
fn of_fullnat(reason: Reason, what: &'static str, packet: Vec<u8>, fill: fn(&mut World)) -> Row {
    Row {
        world: Filled::WithFlowTable(fill),
        ..row(reason, what, packet)
    }
}

fn rows() -> Vec<Row> {
    let mut rows = by_shape::rows();
    rows.extend(by_state::rows());
    rows.extend(by_version::rows());
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
    let outcome = world.runner.run_as(&world.dataplane, row.arrival(), &row.packet);
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
        Fate::Answer => assert_eq!(outcome.verdict, Verdict::Tx, "{what}"),
    }
    if row.reason.verdict() == Fate::Pass && row.reason != Reason::KernelRoutes {
        assert_same(what, &outcome.packet, &row.packet);
    }
}

#[test]
fn each_packet_is_counted_under_its_reason() {
    needs_bpf!();
    let (rows, modes) = (rows(), through(&MODES));
    let rows = || rows.iter().filter(|row| row.metadata == 0);
    // A world a mode serves all rows that need no other, and leaves its program to the next.
    for (mode, setup) in modes {
        let mut world = World::new(&setup);
        usual(&mut world, mode);
        let each_mode = rows().filter(|row| matches!(row.world, Filled::EachMode));
        each_mode.for_each(|row| check(row, &mut world));
    }
    for row in rows() {
        if let Filled::By(fill) = row.world {
            objects().for_each(|flow_table| check(row, &mut special_world(row, flow_table, fill)));
        }
    }
}

#[test]
fn each_packet_of_fullnat_is_counted_under_its_reason() {
    needs_flow_table!();
    for row in &rows() {
        if let Filled::WithFlowTable(fill) = row.world {
            check(row, &mut special_world(row, true, fill));
        }
    }
}

fn special_world(row: &Row, flow_table: bool, fill: fn(&mut World)) -> World {
    let mut world = World::new(&Setup {
        flow_table,
        ..row.setup.clone()
    });
    fill(&mut world);
    world
}

/// Nobody configures it, so that a packet that meets it shows a fault of ours.
#[test]
fn fullnat_without_a_flow_table_is_a_fault() {
    needs_bpf!();
    // Make.
    let syn = Frame::tcp(CLIENT, SERVICE).syn().bytes();
    // Set up.
    let mut world = World::new(&Setup {
        flow_table: false,
        ..Setup::default()
    });
    usual(&mut world, Mode::Fullnat);
    // Check.
    assert_eq!(world.not_sent("SYN", &syn, Reason::Internal).verdict, Verdict::Drop);
}

#[test]
fn a_driver_without_headroom() {
    needs_bpf!();
    for row in rows().iter().filter(|row| row.metadata > 0) {
        let Filled::By(fill) = row.world else {
            panic!("{}: which mode?", row.what)
        };
        let mut world = special_world(row, row.setup.flow_table, fill);
        let tried = world.runner.run_as(&world.dataplane, row.arrival(), &row.packet);
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
