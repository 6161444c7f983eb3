//! Captures of other kinds and with other contents than usual.

use std::path::Path;

use lb_tests::needs_bpf;
use lb_userspace::core::model::Mode;
use serde_json::json;

use super::{Desk, contract_in, fixture, pcap, pool_of, text};

#[test]
fn pcapng_is_read_as_pcap_is() {
    needs_bpf!();
    // Make, set up.
    let desk = Desk::new();
    let config = desk.put("lb.toml", contract_in(Mode::Ipip));
    let [mut old, mut new] = ["kinds.pcap", "kinds.pcapng"].map(|name| desk.replay(&[&config, &fixture(name)]));
    // Check.
    for lines in [&mut old.lines, &mut new.lines] {
        lines.iter_mut().for_each(|line| line["file"] = json!(null));
    }
    assert_eq!(new.lines, old.lines);
    let bytes = |packets: &[pcap::Packet]| packets.iter().map(|packet| packet.bytes.clone()).collect::<Vec<_>>();
    assert_eq!(bytes(&new.packets), bytes(&old.packets));
    // One of the two may have rounded.
    for (new, old) in new.packets.iter().zip(&old.packets) {
        assert!(new.at_ns.abs_diff(old.at_ns) <= 1000, "{} and {}", new.at_ns, old.at_ns);
    }
}

/// The kind of a capture is told by its first bytes: its name may say something else.
#[test]
fn a_capture_may_have_the_other_ones_name() {
    needs_bpf!();
    // Make, set up.
    let desk = Desk::new();
    let config = desk.put("lb.toml", contract_in(Mode::Nat));
    let content = std::fs::read(fixture("kinds.pcapng")).expect("a capture");
    let renamed = desk.put("kinds.pcap", content);
    // Check.
    assert_eq!(desk.replay(&[&config, &renamed]).lines.len(), 24);
}

/// Frames that no driver would hand over are told apart from those that the program drops.
#[test]
fn frames_that_cannot_be_run() {
    needs_bpf!();
    // Make.
    let syn = pcap::read(Path::new(&fixture("syn.pcap"))).remove(0).bytes;
    let mut jumbo = syn.clone();
    jumbo.resize(9000, 0);
    let longest = [syn.clone(), vec![0; 3520 - syn.len()]].concat();
    let frames = [syn[..13].to_vec(), Vec::new(), syn[..14].to_vec(), jumbo, longest, syn];
    // Set up.
    let desk = Desk::new();
    let config = desk.put("lb.toml", pool_of(Mode::Ipip, &[1]));
    let capture = desk.put("odd.pcap", pcap::written(&frames));
    let replayed = desk.replay(&[&config, &capture]);
    // Check.
    let wanted = [
        ("drop", Some("frame_length"), 13),
        ("drop", Some("frame_length"), 0),
        ("pass", Some("other_malformed"), 14),
        ("drop", Some("frame_length"), 9000),
        ("tx", None, 3520),
        ("tx", None, frames[5].len()),
    ];
    assert_eq!(replayed.lines.len(), wanted.len());
    for (line, (verdict, reason, length)) in replayed.lines.iter().zip(wanted) {
        assert_eq!((text(line, "verdict"), text(line, "reason")), (Some(verdict), reason));
        assert_eq!(line["length_in"], length);
    }
    assert_eq!(replayed.packets.len(), 3);
}

#[test]
fn a_capture_without_packets() {
    needs_bpf!();
    // Make, set up.
    let desk = Desk::new();
    let config = desk.put("lb.toml", pool_of(Mode::Ipip, &[1]));
    let capture = desk.put("none.pcap", pcap::written(&[]));
    // Check.
    let replayed = desk.replay(&[&config, &capture]);
    assert_eq!((replayed.lines.len(), replayed.packets.len()), (0, 0));
}

/// What was written can be replayed again.
#[test]
fn the_output_is_a_capture() {
    needs_bpf!();
    // Make, set up: passed packets only.
    let desk = Desk::new();
    let config = desk.put("lb.toml", "version = 1\n");
    let first = desk.replay(&[&config, &fixture("syn.pcap")]);
    let again = desk.path("again.pcap");
    std::fs::rename(desk.path("out.pcap"), &again).expect("it was written");
    // Check.
    let second = desk.replay(&[&config, &again.to_string_lossy()]);
    assert_eq!(second.packets, first.packets);
    assert_eq!(second.packets, pcap::read(Path::new(&fixture("syn.pcap"))));
}
