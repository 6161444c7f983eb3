//! Configurations one after the other, with captures between.

use std::collections::BTreeMap;

use lb_tests::{needs_bpf, needs_flow_table};
use lb_userspace::core::model::Mode;
use serde_json::Value;

use super::{Desk, Replayed, fixture, pool_of, text};

/// Flows of `syn.pcap`; `rest.pcap` has two packets of each, one after the other.
const FLOWS: usize = 100;

/// `lb replay a.toml syn.pcap b.toml rest.pcap`
fn between(a: &str, b: &str) -> Replayed {
    let desk = Desk::new();
    let (a, b) = (desk.put("a.toml", a), desk.put("b.toml", b));
    let replayed = desk.replay(&[&a, &fixture("syn.pcap"), &b, &fixture("rest.pcap")]);
    assert_eq!(replayed.lines.len(), 3 * FLOWS);
    replayed
}

impl Replayed {
    /// Each flow's line before, and its two lines after.
    fn flows(&self) -> impl Iterator<Item = (&Value, [&Value; 2])> {
        let (before, after) = self.lines.split_at(FLOWS);
        before
            .iter()
            .zip(after.chunks(2))
            .map(|(before, after)| (before, [&after[0], &after[1]]))
    }
}

#[test]
fn each_file_is_named_and_counted_from_0() {
    needs_bpf!();
    // Make, set up.
    let config = pool_of(Mode::Ipip, &[1, 2, 3]);
    let replayed = between(&config, &config);
    // Check.
    for (n, line) in replayed.lines.iter().enumerate() {
        let (file, index) = if n < FLOWS {
            ("syn.pcap", n)
        } else {
            ("rest.pcap", n - FLOWS)
        };
        assert_eq!(line["index"], index);
        assert_eq!(text(line, "file"), Some(fixture(file).as_str()));
    }
    for (before, after) in replayed.flows() {
        for line in after {
            assert_eq!((&line["backend"], &line["slot"]), (&before["backend"], &before["slot"]));
        }
    }
}

/// `fullnat` knows its flows: a backend more or less moves none of another one's.
#[test]
fn fullnat_keeps_its_flows() {
    needs_flow_table!();
    for after in [&[1, 2, 3, 4][..], &[1, 3], &[1, 3, 5, 6]] {
        // Make, set up.
        let replayed = between(&pool_of(Mode::Fullnat, &[1, 2, 3]), &pool_of(Mode::Fullnat, after));
        // Check.
        let mut gone = 0;
        for (before, lines) in replayed.flows() {
            let had = text(before, "backend").expect("a backend");
            for line in lines {
                if had == "web-2" && !after.contains(&2) {
                    assert_eq!(
                        (text(line, "verdict"), text(line, "reason")),
                        (Some("drop"), Some("backend_gone"))
                    );
                    gone += 1;
                } else {
                    assert_eq!((text(line, "verdict"), text(line, "backend")), (Some("tx"), Some(had)));
                    assert!(line["slot"].is_null(), "the flow table steers it");
                }
            }
        }
        assert_eq!(gone > 0, !after.contains(&2));
    }
}

/// The other modes follow the table: what moves goes to the new backend, or away from the one that left.
#[test]
fn the_table_says_which_flows_change_their_backend() {
    needs_bpf!();
    for mode in [Mode::Nat, Mode::L2, Mode::Ipip] {
        // Make, set up.
        let replayed = between(&pool_of(mode, &[1, 2, 3]), &pool_of(mode, &[1, 2, 3, 4]));
        // Check: a quarter is the new one's share; of the rest a table of 65,537 slots moves a few in a hundred.
        let mut moved: BTreeMap<&str, usize> = BTreeMap::new();
        for (before, lines) in replayed.flows() {
            let [first, second] = lines.map(|line| text(line, "backend").expect("a backend"));
            assert_eq!(first, second, "{mode:?}");
            if Some(first) != text(before, "backend") {
                *moved.entry(first).or_default() += 1;
            }
        }
        let to_new = moved.remove("web-4").unwrap_or(0);
        assert!((10..=40).contains(&to_new), "{mode:?}: {to_new} of {FLOWS} flows");
        assert!(moved.values().sum::<usize>() <= 10, "{mode:?}: {moved:?}");
    }
}

/// A service that is gone, and one that comes back in another mode.
#[test]
fn services_come_and_go() {
    needs_bpf!();
    // Make.
    let none = "version = 1\n";
    // Set up.
    let desk = Desk::new();
    let a = desk.put("a.toml", pool_of(Mode::Nat, &[1]));
    let b = desk.put("b.toml", none);
    let c = desk.put("c.toml", pool_of(Mode::L2, &[7]));
    let syn = fixture("syn.pcap");
    let replayed = desk.replay(&[&syn, &a, &syn, &b, &syn, &c, &syn]);
    // Check.
    let wanted = [
        ("pass", Some("no_service"), None, None),
        ("tx", None, Some("web-1"), Some("nat")),
        ("pass", Some("no_service"), None, None),
        ("tx", None, Some("web-7"), Some("l2")),
    ];
    assert_eq!(replayed.lines.len(), wanted.len() * FLOWS);
    for (lines, (verdict, reason, backend, mode)) in replayed.lines.chunks(FLOWS).zip(wanted) {
        for line in lines {
            let said = ["verdict", "reason", "backend", "mode"].map(|field| text(line, field));
            assert_eq!(said, [Some(verdict), reason, backend, mode]);
        }
    }
}
