//! Which of the balancer's objects a kernel takes, and the janitor beside the one without a flow table.

use std::time::{Duration, Instant};

use lb_common::flow::DEFAULT_HASH_KEY;
use lb_tests::needs_bpf;
use lb_tests::packet::objects::{has_flow_table, objects};
use lb_tests::packet::places::{SERVICE, SOURCES, backend, client, vip};
use lb_tests::packet::{Frame, Setup, World, pool, service};
use lb_userspace::core::image::Rested;
use lb_userspace::core::model::{FlowTimeouts, Mode, Protocol, Vip};
use lb_userspace::core::plan::{self, Op, Wanted};
use lb_userspace::edge::dataplane::janitor::Janitor;
use lb_userspace::edge::dataplane::testing::{Hands, verified};
use lb_userspace::edge::dataplane::{Dataplane, DataplaneError, Options};

const TCP: Vip = vip(Protocol::Tcp);

const TIMEOUTS: FlowTimeouts = FlowTimeouts {
    tcp_embryonic: Duration::from_secs(10),
    tcp_established: Duration::from_secs(10),
    tcp_closed: Duration::from_secs(10),
    udp: Duration::from_secs(10),
};

/// The probe tries one instruction; the verifier looks at all of them.
#[test]
fn the_kernel_takes_what_the_probe_says() {
    needs_bpf!();
    let setup = Setup::default();
    for flow_table in [true, false] {
        // Make, set up.
        let opened = Dataplane::open(&Options {
            pin_dir: None,
            limits: setup.limits,
            hash_key: DEFAULT_HASH_KEY,
            traced: false,
            flow_table,
            ports: None,
        });
        // Check.
        match opened {
            Ok(_) => assert!(has_flow_table() || !flow_table),
            Err(DataplaneError::Verifier(_)) => assert!(flow_table && !has_flow_table()),
            Err(other) => panic!("{other}"),
        }
    }
}

/// What is chosen when the programs are loaded, on and off: the kernel takes them all. How much it has to look at, and how long that
/// takes, is printed.
#[test]
fn each_choice_of_features_is_taken() {
    needs_bpf!();
    let setup = Setup::default();
    for (flow_table, traced) in objects().flat_map(|object| [(object, false), (object, true)]) {
        // Make, set up.
        let began = Instant::now();
        let dataplane = Dataplane::open(&Options {
            pin_dir: None,
            limits: setup.limits,
            hash_key: DEFAULT_HASH_KEY,
            traced,
            flow_table,
            ports: None,
        });
        let took = began.elapsed().as_millis();
        let (dataplane, _) = dataplane.expect("the kernel takes it");
        let programs = verified(&dataplane);
        // Check.
        let count = if flow_table { 4 } else { 3 };
        assert_eq!(
            programs.len(),
            count,
            "the balancer and those that it hands over to: {programs:?}"
        );
        println!("flow table: {flow_table}, traced: {traced}: loaded in {took} ms");
        for (name, instructions) in programs {
            let said = instructions.map_or("not said".to_owned(), |count| count.to_string());
            println!("  {name}: instructions that the verifier looked at: {said}");
            assert!(
                instructions.is_none_or(|count| count < 300_000),
                "of a million that are allowed"
            );
        }
    }
}

/// Nobody makes flows, and still the clock runs, numbers rest and come free.
#[test]
fn the_janitor_keeps_on_without_a_flow_table() {
    needs_bpf!();
    // Make: two sources, as for `fullnat`.
    let of = |n| Wanted {
        sources: SOURCES.map(Into::into).to_vec(),
        ..service(TCP, Mode::Ipip, pool([backend(n)]))
    };
    // Set up: packets went to a backend that is removed.
    let mut world = World::new(&Setup {
        flow_table: false,
        ..Setup::default()
    });
    world.serve(&of(1));
    for n in 0..50 {
        world.sent("a packet", &Frame::tcp(client(n), SERVICE).syn().bytes());
    }
    let id = world.id(TCP, backend(1));
    let view = world.dataplane.janitor_view().expect("the maps are mapped");
    let mut janitor = Janitor::default();
    world.serve(&of(2));
    assert!(world.image.retired.iter().any(|(_, what)| *what == Rested::Backend(id)));
    // Check.
    let mut cleared = Vec::new();
    for second in 1..=3 {
        view.tick();
        let report = janitor.sweep(&view, &TIMEOUTS);
        janitor.repair(&view);
        assert_eq!((report.sweep, report.flows, report.expired), (second, 0, 0));
        let ops = plan::collect(&mut world.image, report.sweep, &report.named);
        world.apply(&ops);
        world.sweep = report.sweep;
        if ops.contains(&Op::BackendCleared { id }) {
            cleared.push(second);
        }
    }
    assert_eq!(cleared, [2], "retired before sweep 1: one sweep lies between");
    assert!(world.image.retired.is_empty());
    assert_eq!(clock(&mut world), 3);
}

/// The data plane's clock, in seconds.
fn clock(world: &mut World) -> u64 {
    Hands::on(&mut world.dataplane)
        .expect("the maps are mapped")
        .clock
        .load(0)
}
