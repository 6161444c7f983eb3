//! One packet of each kind, in each mode.

use std::path::Path;
use std::process::Command;

use lb_tests::needs_bpf;
use lb_tests::packet::fragment::joined;
use lb_tests::packet::objects::possible;
use lb_tests::packet::places::TUNNEL_PORT;
use lb_tests::packet::tag::{tagged, untagged};
use lb_tests::packet::{Frame, assert_same, bad_checksum};
use lb_userspace::core::model::{Mode, mode_name};
use serde_json::{Value, json};

use super::{BACKEND, CONTRACT, Desk, MAC, MODES, NEXT_HOP, Replayed, VIP, contract_in, fixture, pcap, to_backend};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The service, and how many flows had begun before the packet's own.
    Sent(&'static str, u16),
    /// In fragments, of which this is one: the service.
    SentInPart(&'static str),
    Passed(&'static str),
    /// Reason, and the service if that is known by then: its sender gets an answer.
    Answered(&'static str, Option<&'static str>),
    /// Reason, and the service if that is known by then.
    Dropped(&'static str, Option<&'static str>),
}
use Fate::{Answered, Dropped, Passed, Sent, SentInPart};

/// The packets of `kinds.pcap`, in their order.
fn kinds(mode: Mode) -> [(&'static str, Fate); 24] {
    let web = Some("web");
    // Of a flow that `fullnat` does not know it asks before it looks at the size.
    let (too_big, first, later) = match mode {
        Mode::Fullnat => {
            let unknown = Dropped("no_flow", web);
            (unknown, unknown, Dropped("fragment", None))
        }
        _ => (Answered("too_big_answered", web), SentInPart("web"), SentInPart("web")),
    };
    [
        ("SYN", Sent("web", 0)),
        ("ACK", Sent("web", 0)),
        ("data", Sent("web", 0)),
        ("odd length", Sent("web", 0)),
        ("DSCP and ECN", Sent("web", 1)),
        ("IPv4 options", Sent("web", 2)),
        ("filled up", Sent("web", 3)),
        ("data in a SYN", Sent("web", 4)),
        ("FIN", Sent("web", 0)),
        ("RST", Sent("web", 0)),
        ("UDP", Sent("quic", 5)),
        ("UDP without checksum", Sent("quic", 6)),
        ("UDP without data", Sent("quic", 7)),
        ("ARP", Passed("not_ip")),
        ("IPv6", Passed("no_service")),
        ("VLAN", Sent("web", 8)),
        ("ICMP to the VIP", Answered("echo_answered", None)),
        ("ssh to the balancer", Passed("no_service")),
        ("another port of the VIP", Passed("no_service")),
        ("the first fragment", first),
        ("a later fragment", later),
        ("time to live 1", Answered("ttl_expired_answered", web)),
        ("more than the link takes", too_big),
        ("cut in its TCP header", Dropped("bad_length", web)),
    ]
}

/// What the contract says of a line's fields, whatever the packet.
fn assert_fields(what: &str, line: &Value, index: usize, file: &str) {
    let object = line.as_object().unwrap_or_else(|| panic!("{what}: not an object"));
    let fields: Vec<&str> = object.keys().map(String::as_str).collect();
    let mut wanted = [
        "index",
        "file",
        "verdict",
        "reason",
        "service",
        "backend",
        "mode",
        "slot",
        "slot_state",
        "length_in",
        "length_out",
    ];
    wanted.sort_unstable();
    assert_eq!(fields, wanted, "{what}");
    assert_eq!((&line["index"], &line["file"]), (&json!(index), &json!(file)), "{what}");
    assert_eq!(line["slot"].is_null(), line["slot_state"].is_null(), "{what}");
    if let Some(slot) = line["slot"].as_u64() {
        assert!(slot < 65_537, "{what}: {slot}");
        assert_eq!(line["slot_state"], "stable", "{what}");
    }
}

/// The lines and packets of one mode, against what each kind should become.
fn assert_kinds(mode: Mode, replayed: &Replayed, kinds: &[(&str, Fate)]) {
    let file = fixture("kinds.pcap");
    let packets_in = pcap::read(Path::new(&file));
    let mut packets_out = replayed.packets.iter();
    let mut parts = Vec::new();
    assert_eq!((replayed.lines.len(), packets_in.len()), (kinds.len(), kinds.len()));
    for (index, (what, fate)) in kinds.iter().enumerate() {
        let (line, packet) = (&replayed.lines[index], &packets_in[index]);
        assert_fields(what, line, index, &file);
        let said = (&line["verdict"], &line["reason"], &line["service"]);
        let wanted = match fate {
            Sent(service, _) | SentInPart(service) => (json!("tx"), json!(null), json!(service)),
            Passed(reason) => (json!("pass"), json!(reason), json!(null)),
            Answered(reason, service) => (json!("tx"), json!(reason), json!(service)),
            Dropped(reason, service) => (json!("drop"), json!(reason), json!(service)),
        };
        assert_eq!(said, (&wanted.0, &wanted.1, &wanted.2), "{mode:?}: {what}");
        if matches!(fate, Dropped(..)) {
            assert_eq!(line["length_out"], 0, "{what}");
            continue;
        }
        if matches!(fate, Sent(..) | SentInPart(_)) {
            assert_eq!(
                (&line["backend"], &line["mode"]),
                (&json!("web-1"), &json!(mode_name(mode))),
                "{what}"
            );
        }
        let out = packets_out
            .next()
            .unwrap_or_else(|| panic!("{what}: it is not in the output"));
        let wanted = match fate {
            Sent(_, opened) => {
                let ((tags, frame), (_, sent)) = (untagged(&packet.bytes), untagged(&out.bytes));
                tagged(&to_backend(mode, &frame, *opened).spread_as(&sent).bytes(), &tags)
            }
            Passed(_) | Dropped(..) => packet.bytes.clone(),
            SentInPart(_) => {
                parts.push((packet.bytes.clone(), behind_outer(mode, &out.bytes)));
                out.bytes.clone()
            }
            // What is in it, `packet::icmp` knows.
            Answered(..) => {
                let (from, to) = (&packet.bytes[6..12], &packet.bytes[..6]);
                assert_eq!((&out.bytes[..6], &out.bytes[6..12]), (from, to), "{what}");
                assert_eq!(line["backend"], json!(null), "{what}");
                out.bytes.clone()
            }
        };
        assert_same(what, &out.bytes, &wanted);
        assert_eq!(out.at_ns, packet.at_ns, "{what}");
        assert_eq!(line["length_in"], packet.bytes.len(), "{what}");
        assert_eq!(line["length_out"], out.bytes.len(), "{what}");
        if matches!(fate, Sent(..) | Answered(..)) {
            let (_, frame) = untagged(&out.bytes);
            assert_eq!(bad_checksum(&frame), None, "{what}");
        }
    }
    assert_eq!(packets_out.next(), None);
    if !parts.is_empty() {
        let (came, left): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let frame = Frame::read(&joined(&came)).expect("a whole packet");
        let frame = frame.forwarded().macs(MAC, NEXT_HOP);
        let wanted = if mode == Mode::Nat { frame.to(BACKEND) } else { frame };
        assert_same("the fragments put together", &joined(&left), &wanted.bytes());
    }
}

/// The frame without the outer header that a mode gives it.
fn behind_outer(mode: Mode, frame: &[u8]) -> Vec<u8> {
    let outer = match mode {
        Mode::Ipip => 20,
        Mode::Gue => 28,
        Mode::Nat | Mode::Fullnat | Mode::L2 => 0,
    };
    [&frame[..14], &frame[14 + outer..]].concat()
}

#[test]
fn the_contract_as_it_stands() {
    needs_bpf!();
    // Make: it has no service over UDP.
    let kinds = kinds(Mode::Ipip).map(|(what, fate)| match fate {
        Sent("quic", _) => (what, Passed("no_service")),
        _ => (what, fate),
    });
    // Set up.
    let desk = Desk::new();
    let config = desk.put("lb.toml", CONTRACT);
    let replayed = desk.replay(&[&config, &fixture("kinds.pcap")]);
    // Check.
    assert_kinds(Mode::Ipip, &replayed, &kinds);
}

#[test]
fn each_kind_in_each_mode() {
    needs_bpf!();
    for mode in possible(&MODES) {
        // Make, set up.
        let desk = Desk::new();
        let config = desk.put("lb.toml", contract_in(mode));
        let replayed = desk.replay(&[&config, &fixture("kinds.pcap")]);
        // Check.
        assert_kinds(mode, &replayed, &kinds(mode));
    }
}

/// In the modes whose way back leads through the balancer: answers go to their clients.
#[test]
fn answers_in_each_mode() {
    needs_bpf!();
    for mode in possible(&[Mode::Fullnat, Mode::Nat]) {
        let answers = format!("answers-{}.pcap", mode_name(mode));
        // Make, set up.
        let desk = Desk::new();
        let config = desk.put("lb.toml", contract_in(mode));
        let (syn, answers) = (fixture("syn.pcap"), fixture(&answers));
        let replayed = desk.replay(&[&config, &syn, &answers]);
        // Check.
        let clients: Vec<_> = pcap::read(Path::new(&syn))
            .iter()
            .map(|packet| sender(&packet.bytes))
            .collect();
        let packets_in = pcap::read(Path::new(&answers));
        let (lines, packets) = (&replayed.lines[clients.len()..], &replayed.packets[clients.len()..]);
        assert_eq!((lines.len(), packets.len()), (5, 5));
        for (n, flow) in [0, 0, 0, 1, 2].into_iter().enumerate() {
            assert_fields("answer", &lines[n], n, &answers);
            let said = ["verdict", "service", "backend", "mode"].map(|field| lines[n][field].as_str());
            assert_eq!(said, ["tx", "web", "web-1", mode_name(mode)].map(Some));
            assert!(lines[n]["slot"].is_null());
            let frame = Frame::read(&packets_in[n].bytes).expect("a whole packet");
            assert_eq!(sender(&packets_in[n].bytes), BACKEND);
            let wanted = frame.forwarded().from(VIP).to(clients[flow]).macs(MAC, NEXT_HOP);
            assert_same("answer", &packets[n].bytes, &wanted.bytes());
        }
    }
}

/// Source address and port of a TCP packet without IPv4 options.
fn sender(packet: &[u8]) -> std::net::SocketAddrV4 {
    let address: [u8; 4] = packet[26..30].try_into().expect("four bytes");
    std::net::SocketAddrV4::new(address.into(), u16::from_be_bytes([packet[34], packet[35]]))
}

/// Numbers of the packets in which tshark finds a bad checksum, inside a tunnel or out.
pub fn complaints(capture: &Path) -> Vec<String> {
    let bad = |layers: &[&str]| {
        let each = layers.iter().map(|layer| format!("{layer}.checksum.status == \"Bad\""));
        each.collect::<Vec<_>>().join(" || ")
    };
    // What an error quotes may be cut off, so that nobody can check it.
    let bad = format!("{} || (!icmp && ({}))", bad(&["ip", "icmp"]), bad(&["tcp", "udp"]));
    let mut tshark = Command::new("tshark");
    tshark
        .arg("-r")
        .arg(capture)
        .args(["-Y", &bad, "-T", "fields", "-e", "frame.number"])
        .args(["-d", &format!("udp.port=={TUNNEL_PORT},ip")]);
    for layer in ["ip", "tcp", "udp"] {
        tshark.args(["-o", &format!("{layer}.check_checksum:TRUE")]);
    }
    let output = lb_lab::program::output(&mut tshark).expect("tshark reads it");
    output.lines().map(str::to_owned).collect()
}

/// Another judge of the checksums than the one that built what was expected.
#[test]
fn tshark_finds_no_bad_checksum() {
    needs_bpf!();
    lb_lab::needs!(
        lb_lab::program::find("tshark").is_some(),
        "there is no tshark here; install the package tshark"
    );
    for mode in possible(&MODES) {
        // Make, set up: packets in both directions.
        let desk = Desk::new();
        let config = desk.put("lb.toml", contract_in(mode));
        let mut items = vec![config, fixture("kinds.pcap"), fixture("rest.pcap"), fixture("syn.pcap")];
        items.extend(["answers-nat.pcap", "answers-fullnat.pcap"].map(fixture));
        let replayed = desk.replay(&items.iter().map(String::as_str).collect::<Vec<_>>());
        // Check.
        assert!(replayed.packets.len() > 100, "{mode:?}");
        assert_eq!(complaints(&desk.path("out.pcap")), [] as [&str; 0], "{mode:?}");
        // And that it would find one: the last byte of the first packet with data is another.
        let mut frames: Vec<Vec<u8>> = replayed.packets.into_iter().map(|packet| packet.bytes).collect();
        *frames[2].last_mut().expect("a byte") ^= 1;
        let damaged = desk.put("damaged.pcap", pcap::written(&frames));
        assert_eq!(complaints(Path::new(&damaged)), ["3"], "{mode:?}");
    }
}
