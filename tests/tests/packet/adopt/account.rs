//! What is pinned is taken over: its account is as it was, and packets go where they went.

use std::collections::BTreeSet;

use lb_common::reason::Reason;
use lb_tests::packet::objects::{modes_with, possible};
use lb_tests::packet::places::{backend, client};
use lb_tests::packet::world::key;
use lb_tests::packet::{Frame, Setup, World, pool, service};
use lb_tests::{needs_bpf, needs_flow_table};
use lb_userspace::core::image::Rested;
use lb_userspace::core::model::Mode;
use lb_userspace::core::plan;

use super::{MODES, Pins, door, fill, fill_with, of, open, open_with, packets, said, vip};

#[test]
fn what_is_pinned_is_adopted() {
    needs_bpf!();
    let pins = Pins::new("adopted");
    // Make: flows through every service.
    let modes = possible(&MODES);
    let flows = packets(&modes);
    // Set up: a daemon fills the maps, and ends.
    let mut first = open(&pins.0).expect("it is made");
    assert!(!first.dataplane.adopted());
    fill(&mut first);
    let sent: Vec<Vec<u8>> = flows.iter().map(|packet| first.sent("first", packet)).collect();
    first.not_sent(
        "counted",
        &Frame::udp(client(0), door(Mode::Nat)).bytes(),
        Reason::NoService,
    );
    let (reasons, before, meta) = (first.reasons(), said(&first.image), *first.dataplane.meta());
    let counters = |world: &World| {
        let of = |mode| world.counted(vip(mode));
        possible(&MODES).into_iter().map(of).collect::<Vec<_>>()
    };
    let counted = counters(&first);
    drop(first);
    // The next one asks for other limits and another key: those of the maps hold.
    let mut other = Setup::default();
    other.limits.flows *= 2;
    other.limits.services += 1;
    let mut second = open_with(&pins.0, &other).expect("it is adopted");
    // Check.
    assert!(second.dataplane.adopted());
    assert_eq!(*second.dataplane.meta(), meta);
    assert_eq!(said(&second.image), before);
    assert!(second.image.retired.is_empty());
    assert_eq!(second.reasons(), reasons);
    assert_eq!(counters(&second), counted);
    for (packet, sent) in flows.iter().zip(&sent) {
        assert_eq!(second.sent("second", packet), *sent, "a flow goes where it went");
    }
    // A plan for what is wanted anyway has nothing to write.
    for mode in modes {
        assert_eq!(plan::service(&mut second.image, &of(mode), 0).expect("room"), []);
    }
}

/// With a flow table or without: the maps are the same, and so is what becomes of packets that need none.
#[test]
fn either_object_adopts_what_the_other_made() {
    needs_flow_table!();
    // Make.
    let modes = modes_with(false, &MODES);
    let flows = packets(&modes);
    for flow_table in [true, false] {
        let pins = Pins::new(if flow_table { "with" } else { "without" });
        let setup = |flow_table| Setup {
            flow_table,
            ..Setup::default()
        };
        // Set up.
        let mut first = open_with(&pins.0, &setup(flow_table)).expect("it is made");
        fill_with(&mut first, &modes);
        let sent: Vec<Vec<u8>> = flows.iter().map(|packet| first.sent("first", packet)).collect();
        let before = (said(&first.image), pins.names());
        drop(first);
        let mut second = open_with(&pins.0, &setup(!flow_table)).expect("it is adopted");
        // Check.
        assert!(second.dataplane.adopted());
        assert_eq!((said(&second.image), pins.names()), before);
        for (packet, sent) in flows.iter().zip(&sent) {
            assert_eq!(second.sent("second", packet), *sent);
        }
    }
}

/// What the daemon before had retired rests for the next one too.
#[test]
fn what_was_retired_rests_on() {
    needs_bpf!();
    let pins = Pins::new("retired");
    // Make, set up: a service, and a backend of another one, are taken out.
    let mut first = open(&pins.0).expect("it is made");
    fill(&mut first);
    let service_id = first.placed(vip(Mode::Nat)).id;
    let mut resting: BTreeSet<u32> = first
        .placed(vip(Mode::Nat))
        .backends
        .values()
        .map(|there| there.id)
        .collect();
    first.remove(vip(Mode::Nat));
    let mut fewer = of(Mode::Ipip);
    fewer.backends.pop();
    let gone = first.id(fewer.vip, backend(Mode::Ipip as u8 * 10 + 3));
    first.serve(&fewer);
    drop(first);
    // Check: nobody gets their numbers before two sweeps.
    let mut second = open(&pins.0).expect("it is adopted");
    second.serve(&fewer);
    resting.insert(gone);
    let retired = second.image.retired.iter().map(|(_, what)| *what);
    let of_backends: BTreeSet<u32> = retired
        .clone()
        .filter_map(|what| if let Rested::Backend(id) = what { Some(id) } else { None })
        .collect();
    assert_eq!(of_backends, resting);
    assert!(retired.clone().any(|what| what == Rested::Service(service_id)));
    second.serve(&of(Mode::Nat));
    let placed = second.placed(vip(Mode::Nat));
    assert_ne!(placed.id, service_id);
    assert!(placed.backends.values().all(|there| !resting.contains(&there.id)));
}

/// A backend that was removed and came back has two entries until the old one has rested. The one that the slots name is it.
#[test]
fn a_backend_that_came_back_is_found_under_its_new_number() {
    needs_bpf!();
    let pins = Pins::new("came-back");
    // Make: numbers 1 to 3.
    let mut setup = Setup::default();
    setup.limits.backends = 4;
    let of = |numbers: &[u8]| service(vip(Mode::Ipip), Mode::Ipip, pool(numbers.iter().map(|n| backend(*n))));
    // Set up: number 2 comes free, the backend with number 3 goes and comes back with it.
    let mut first = open_with(&pins.0, &setup).expect("it is made");
    first.serve(&of(&[1, 2, 3]));
    first.serve(&of(&[1, 3]));
    let ops = plan::collect(&mut first.image, 2, &Default::default());
    first.apply(&ops);
    first.sweep = 2;
    first.serve(&of(&[1]));
    first.serve(&of(&[1, 3]));
    assert_eq!(first.id(vip(Mode::Ipip), backend(3)), 2);
    let before = first.placed(vip(Mode::Ipip)).clone();
    drop(first);
    // Check.
    let mut second = open_with(&pins.0, &setup).expect("it is adopted");
    let placed = second.placed(vip(Mode::Ipip));
    assert_eq!(placed.owners, before.owners);
    assert_eq!(placed.backends[&key(backend(3))].id, 2);
    assert_eq!(second.image.retired, [(0, Rested::Backend(3))]);
    assert_eq!(second.image.backend_ids.room(), 0);
    assert_eq!(plan::service(&mut second.image, &of(&[1, 3]), 0).expect("room"), []);
}
