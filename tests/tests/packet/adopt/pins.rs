//! Pins that cannot be adopted, and pins that go.

use std::path::Path;

use lb_common::abi::ABI_VERSION;
use lb_common::maps;
use lb_common::reason::Reason;
use lb_tests::needs_bpf;
use lb_userspace::core::model::Mode;
use lb_userspace::edge::dataplane::testing::set_abi_version;

use super::{Pins, fill, open, packet, said};

#[test]
fn another_version_is_refused_and_left_alone() {
    needs_bpf!();
    let pins = Pins::new("version");
    // Make, set up.
    let mut first = open(&pins.0).expect("it is made");
    fill(&mut first);
    let before = (said(&first.image), pins.names());
    drop(first);
    set_abi_version(&pins.0, ABI_VERSION + 1).expect("META is pinned");
    // Check.
    let Err(error) = open(&pins.0) else {
        panic!("it was adopted")
    };
    let said_so = error.to_string();
    let dir = pins.0.display();
    let (other, own) = (ABI_VERSION + 1, ABI_VERSION);
    let wanted = format!(
        "the data plane pinned in {dir} has ABI version {other}, this lb has {own}; start the lb that made it, or \
         remove it with: rm -r {dir} (its packets stop being balanced)"
    );
    assert_eq!(said_so, wanted);
    assert_eq!(pins.names(), before.1);
    set_abi_version(&pins.0, ABI_VERSION).expect("META is pinned");
    let again = open(&pins.0).expect("it is adopted");
    assert!(again.dataplane.adopted());
    assert_eq!(said(&again.image), before.0);
}

/// A daemon that died before its data plane was complete left pins that nobody uses.
#[test]
fn a_start_that_was_cut_short_is_begun_anew() {
    needs_bpf!();
    for (name, break_off) in [
        (
            "unfinished",
            (|dir| set_abi_version(dir, 0).expect("META is pinned")) as fn(&Path),
        ),
        ("no-meta", |dir| {
            std::fs::remove_file(dir.join(maps::META)).expect("META is pinned")
        }),
    ] {
        let pins = Pins::new(name);
        // Make, set up.
        let mut first = open(&pins.0).expect("it is made");
        fill(&mut first);
        let names = pins.names();
        drop(first);
        break_off(&pins.0);
        // Check.
        let mut second = open(&pins.0).expect("it is made anew");
        assert!(!second.dataplane.adopted(), "{name}");
        assert!(second.image.services.is_empty(), "{name}");
        assert_eq!(pins.names(), names, "{name}");
        second.not_sent(name, &packet(Mode::Nat, 0), Reason::NoService);
        fill(&mut second);
        second.sent(name, &packet(Mode::Nat, 0));
        drop(second);
        assert!(open(&pins.0).expect("it is adopted").dataplane.adopted(), "{name}");
    }
}

#[test]
fn removal_leaves_nothing() {
    needs_bpf!();
    let pins = Pins::new("removal");
    // Make, set up.
    let mut world = open(&pins.0).expect("it is made");
    fill(&mut world);
    assert_eq!(
        pins.names(),
        maps::BALANCER.iter().map(|name| (*name).to_owned()).collect()
    );
    // Check.
    world.dataplane.remove().expect("it can be removed");
    assert!(!pins.0.exists());
    world.sent("the maps live on here", &packet(Mode::Nat, 0));
    drop(world);
    assert!(!open(&pins.0).expect("it is made").dataplane.adopted());
}

/// A directory elsewhere is refused, and not left behind.
#[test]
fn pins_belong_on_the_bpf_file_system() {
    needs_bpf!();
    // Make, set up.
    let elsewhere = tempfile::tempdir().expect("a directory");
    let dir = elsewhere.path().join("pins");
    // Check.
    let Err(error) = open(&dir) else { panic!("it was made") };
    let wanted = format!(
        "{}: not on a BPF file system; choose a directory below /sys/fs/bpf (--pin-dir)",
        dir.display()
    );
    assert_eq!(error.to_string(), wanted);
    assert!(!dir.exists());
}
