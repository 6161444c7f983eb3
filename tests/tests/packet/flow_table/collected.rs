//! What the janitor collects, and what it leaves.

use lb_common::reason::Reason;
use lb_tests::needs_flow_table;
use lb_tests::packet::places::{SERVICE, SOURCES, backend, client};
use lb_tests::packet::{Frame, Setup, World, pool, service};
use lb_userspace::core::image::Rested;
use lb_userspace::core::model::Mode;
use lb_userspace::core::observed::ResolvedHop;
use lb_userspace::core::plan::{self, Op, Wanted};

use super::{Swept, TCP, UDP, Way, tcp, udp};

fn swept() -> Swept {
    Swept::new(&Setup::default())
}

fn answer(way: Way) -> Frame {
    Frame::tcp(way.1, way.0)
}

/// Brings a flow into a state. Gives its way.
fn open(swept: &mut Swept, n: u16, packets: &[Frame], answers: &[fn(Frame) -> Frame]) -> Way {
    let ways: Vec<Way> = packets.iter().map(|packet| swept.way(packet).expect("sent")).collect();
    for frame in answers {
        let back = swept.way(&frame(answer(ways[0]))).expect("sent back");
        assert_eq!(back, (SERVICE, client(n)));
    }
    ways[0]
}

#[test]
fn each_state_has_its_time() {
    needs_flow_table!();
    type Answers = &'static [fn(Frame) -> Frame];
    // Make: flows, and the second at which they are over.
    let of = |n| tcp(client(n));
    let rows: [(&str, Vec<Frame>, Answers, u32); 8] = [
        ("only a SYN", vec![of(0).syn()], &[], 10),
        ("SYN and SYN ACK", vec![of(1).syn()], &[Frame::syn_ack], 10),
        ("established", vec![of(2).syn(), of(2).ack()], &[Frame::syn_ack], 1000),
        (
            "one FIN",
            vec![of(3).syn(), of(3).ack(), of(3).fin()],
            &[Frame::syn_ack],
            1000,
        ),
        (
            "both FINs",
            vec![of(4).syn(), of(4).ack(), of(4).fin()],
            &[Frame::syn_ack, Frame::fin],
            3,
        ),
        ("RST of the client", vec![of(5).syn(), of(5).rst()], &[], 3),
        ("RST of the backend", vec![of(6).syn()], &[Frame::rst], 3),
        ("UDP", vec![udp(client(7))], &[], 30),
    ];
    for (n, (what, packets, answers, seconds)) in rows.into_iter().enumerate() {
        // Set up.
        let mut swept = swept();
        let way = open(&mut swept, n as u16, &packets, answers);
        // Check: not a second earlier.
        swept.wait(seconds - 1);
        let before = swept.sweep();
        assert_eq!((before.flows, before.expired), (1, 0), "{what}");
        swept.wait(1);
        let after = swept.sweep();
        assert_eq!((after.flows, after.expired), (0, 1), "{what}");
        assert!(swept.flows.all().is_empty(), "{what}");
        swept.assert_consistent();
        assert_eq!(
            swept.flows.free(0).last(),
            Some(&way.0.port()),
            "{what}: its port is the last again"
        );
    }
}

/// A packet in either direction keeps a flow.
#[test]
fn traffic_keeps_a_flow() {
    needs_flow_table!();
    for is_answer in [false, true] {
        // Make, set up.
        let mut swept = swept();
        let way = open(&mut swept, 0, &[tcp(client(0)).syn(), tcp(client(0)).ack()], &[]);
        for _ in 0..5 {
            // Check.
            swept.wait(900);
            assert_eq!(swept.sweep().expired, 0);
            let packet = if is_answer {
                answer(way).ack()
            } else {
                tcp(client(0)).ack()
            };
            swept.way(&packet).expect("sent");
        }
        swept.wait(1000);
        assert_eq!(swept.sweep().expired, 1);
        swept
            .world
            .not_sent("late", &tcp(client(0)).ack().bytes(), Reason::NoFlow);
    }
}

/// The clock is of 16 bits; a flow that lives on while it wraps is not mistaken for an old one.
#[test]
fn the_clock_wraps() {
    needs_flow_table!();
    // Make, set up.
    let mut swept = swept();
    swept.wait(65_500);
    open(&mut swept, 0, &[tcp(client(0)).syn(), tcp(client(0)).ack()], &[]);
    // Check.
    swept.wait(100);
    assert_eq!(swept.sweep().expired, 0);
    swept.way(&tcp(client(0)).ack()).expect("sent");
    swept.wait(999);
    assert_eq!(swept.sweep().expired, 0);
    swept.wait(1);
    assert_eq!(swept.sweep().expired, 1);
}

#[test]
fn ports_come_back_at_the_end_of_the_queue() {
    needs_flow_table!();
    // Make, set up: as many flows as there are ports.
    let mut setup = Setup::default();
    setup.ports.truncate(100);
    let mut swept = Swept::new(&setup);
    let ways: Vec<Way> = (0..100)
        .map(|n| swept.way(&tcp(client(n)).syn()).expect("sent"))
        .collect();
    assert!(swept.flows.free(0).is_empty());
    for n in [70, 30, 50] {
        swept.way(&tcp(client(n)).rst()).expect("sent");
        swept.wait(3);
        // Those that only said SYN are kept.
        swept.way(&tcp(client(n)).rst()).expect("sent");
        (0..100).filter(|other| *other != n).for_each(|other| {
            swept.way(&tcp(client(other)).ack());
        });
        swept.wait(3);
        assert_eq!(swept.sweep().expired, 1, "flow {n}");
    }
    // Check: in the order in which they came free, round after round of the ring.
    let free: Vec<u16> = [70usize, 30, 50].map(|n| ways[n].0.port()).to_vec();
    assert_eq!(swept.flows.free(0), free);
    let next: Vec<u16> = (200..203)
        .map(|n| swept.way(&tcp(client(n)).syn()).expect("sent").0.port())
        .collect();
    assert_eq!(next, free);
    swept.assert_consistent();
}

/// The ring of free ports is used up and filled again, several times round.
#[test]
fn the_queue_wraps_around_its_ring() {
    needs_flow_table!();
    // Make, set up: 60,000 ports in a ring of 65,536 places, and a table that never is crowded.
    let mut setup = Setup {
        ports: (2000..62000).collect(),
        ..Setup::default()
    };
    setup.limits.flows = 65_536;
    let mut swept = Swept::new(&setup);
    let mut turned = 0u32;
    while turned < 140_000 {
        for n in 0..4000 {
            swept.way(&udp(client(n))).expect("sent");
        }
        swept.wait(30);
        // Check.
        assert_eq!(swept.sweep().expired, 4000);
        turned += 4000;
    }
    swept.assert_consistent();
}

#[test]
fn flows_of_a_dead_backend_go_at_the_next_sweep() {
    needs_flow_table!();
    // Make.
    let mut half = service(TCP, Mode::Fullnat, pool([backend(1), backend(2)]));
    half.backends[0].weight = 0;
    half.backends[0].alive = false;
    // Set up.
    let mut swept = swept();
    let ways: Vec<Way> = (0..100)
        .map(|n| swept.way(&tcp(client(n)).syn()).expect("sent"))
        .collect();
    let dead = ways.iter().filter(|way| way.1 == backend(1)).count() as u64;
    swept.world.serve(&half);
    // Check: at once, without a second having passed.
    let report = swept.sweep();
    assert_eq!((report.expired, report.flows), (dead, 100 - dead));
    assert_eq!(
        report.by_backend,
        [(swept.world.id(TCP, backend(2)), 100 - dead)].into()
    );
    swept.assert_consistent();
    for (n, way) in ways.iter().enumerate().filter(|(_, way)| way.1 == backend(2)) {
        assert_eq!(swept.way(&tcp(client(n as u16)).ack()), Some(*way));
    }
}

#[test]
fn flows_of_a_service_that_is_gone_go_at_the_next_sweep() {
    needs_flow_table!();
    // Make, set up.
    let mut swept = swept();
    for n in 0..50 {
        swept.way(&tcp(client(n)).syn()).expect("sent");
        swept.way(&udp(client(n))).expect("sent");
    }
    swept.world.remove(TCP);
    // Check.
    let report = swept.sweep();
    assert_eq!((report.expired, report.flows), (50, 50));
    assert_eq!(report.named.services, [swept.world.placed(UDP).id].into());
    swept.assert_consistent();
}

/// A flow that got another port holds the old one until the janitor has seen that twice.
#[test]
fn a_port_that_its_flow_left_is_found() {
    needs_flow_table!();
    // Make: the backend dies, and the next one is reached from another source.
    let mut before = service(TCP, Mode::Fullnat, pool([backend(1)]));
    before.sources = Vec::new();
    let mut after = Wanted {
        backends: pool([backend(2)]),
        ..before.clone()
    };
    let hop = &mut after.backends[0].hop;
    *hop = hop.map(|hop| ResolvedHop {
        source: SOURCES[1].into(),
        ..hop
    });
    // Set up.
    let mut swept = swept();
    swept.world.serve(&before);
    let old = swept.way(&tcp(client(0)).syn()).expect("sent");
    swept.world.serve(&after);
    let new = swept.way(&tcp(client(0)).syn()).expect("sent");
    assert_eq!((*old.0.ip(), *new.0.ip()), (SOURCES[0], SOURCES[1]));
    // Check.
    assert_eq!(swept.sweep().expired, 0);
    assert_eq!(swept.sweep().expired, 1);
    let contradictions = swept.flows.contradictions(2, &swept.ports);
    assert!(contradictions.is_empty(), "{contradictions:#?}");
    assert_eq!(swept.way(&tcp(client(0)).ack()), Some(new));
}

/// An identifier is given out again only when no flow names it and a grace period has passed.
#[test]
fn numbers_rest_while_flows_name_them() {
    needs_flow_table!();
    // Make, set up: a backend with a flow is removed.
    let mut swept = swept();
    swept.world.serve(&service(TCP, Mode::Fullnat, pool([backend(1)])));
    let id = swept.world.id(TCP, backend(1));
    swept.way(&tcp(client(0)).syn()).expect("sent");
    let first = swept.sweep();
    assert!(first.named.backends.contains(&id));
    swept.world.serve(&service(TCP, Mode::Fullnat, pool([backend(2)])));
    let is_resting = |world: &World| world.image.retired.iter().any(|(_, what)| *what == Rested::Backend(id));
    // Check.
    let mut cleared = Vec::new();
    for _ in 0..3 {
        assert!(is_resting(&swept.world) || !cleared.is_empty());
        let report = swept.sweep();
        let ops = plan::collect(&mut swept.world.image, report.sweep, &report.named);
        swept.world.apply(&ops);
        if ops.contains(&Op::BackendCleared { id }) {
            cleared.push(report.sweep);
        }
    }
    assert_eq!(cleared, [3], "retired after sweep 1: two sweeps lie between");
    assert!(!is_resting(&swept.world));
}
