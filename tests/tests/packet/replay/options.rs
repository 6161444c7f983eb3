//! What is said of the world around: who is down, which MACs and addresses there are. And what is refused.

use std::net::Ipv4Addr;
use std::path::Path;

use lb_tests::needs_bpf;
use lb_tests::packet::objects::{has_flow_table, possible};
use lb_tests::packet::{Frame, assert_same};
use lb_userspace::core::model::Mode;

use super::{BACKEND, Desk, FIRST_PORT, VIP, fixture, lb_replay, pcap, pool_of, text};

#[test]
fn a_backend_that_is_down_gets_nothing() {
    needs_bpf!();
    for mode in possible(&[Mode::Fullnat, Mode::Ipip]) {
        for named in ["web/web-2", "web/10.0.1.2", "192.0.2.10:443/web-2"] {
            // Make, set up.
            let desk = Desk::new();
            let config = desk.put("lb.toml", pool_of(mode, &[1, 2, 3]));
            let replayed = desk.replay(&[&config, &fixture("syn.pcap"), "--down", named]);
            // Check.
            let to = |name| {
                replayed
                    .lines
                    .iter()
                    .filter(|line| text(line, "backend") == Some(name))
                    .count()
            };
            assert_eq!((to("web-2"), to("web-1") + to("web-3")), (0, 100), "{named}");
            assert!(to("web-1") > 20 && to("web-3") > 20, "{named}");
        }
    }
}

#[test]
fn nobody_is_left() {
    needs_bpf!();
    // Make, set up.
    let desk = Desk::new();
    let config = desk.put("lb.toml", pool_of(Mode::Nat, &[1, 2]));
    let replayed = desk.replay(&[
        &config,
        &fixture("syn.pcap"),
        "--down",
        "web/web-1",
        "--down",
        "web/web-2",
    ]);
    // Check.
    for line in &replayed.lines {
        let said = ["verdict", "reason", "service", "backend"].map(|field| text(line, field));
        assert_eq!(said, [Some("drop"), Some("no_backend"), Some("web"), None]);
    }
    assert_eq!(replayed.packets, []);
}

/// A backend that is down in one configuration and not there in the next, or the other way round.
#[test]
fn who_is_down_need_not_be_in_every_configuration() {
    needs_bpf!();
    for (a, b) in [(&[1, 2][..], &[1][..]), (&[1], &[1, 2])] {
        // Make, set up.
        let desk = Desk::new();
        let (a, b) = (
            desk.put("a.toml", pool_of(Mode::L2, a)),
            desk.put("b.toml", pool_of(Mode::L2, b)),
        );
        let syn = fixture("syn.pcap");
        let replayed = desk.replay(&[&a, &syn, &b, &syn, "--down", "web/web-2"]);
        // Check.
        assert_eq!(replayed.lines.len(), 200);
        assert!(replayed.lines.iter().all(|line| text(line, "backend") == Some("web-1")));
    }
}

#[test]
fn macs_and_source_are_those_that_are_given() {
    needs_bpf!();
    let source = Ipv4Addr::new(172, 16, 5, 4);
    let (mac, next_hop) = ([0x06, 1, 2, 3, 4, 5], [0x06, 9, 8, 7, 6, 5]);
    for mode in possible(&[Mode::Fullnat, Mode::Ipip]) {
        // Make.
        let options = [
            "--mac",
            "06:01:02:03:04:05",
            "--next-hop",
            "06:09:08:07:06:05",
            "--source",
            "172.16.5.4",
        ];
        // Set up: the option goes before the configuration.
        let desk = Desk::new();
        let config = desk.put("lb.toml", pool_of(mode, &[1]));
        let syn = fixture("syn.pcap");
        let mut arguments = vec![config.as_str(), &syn];
        arguments.extend(options);
        let replayed = desk.replay(&arguments);
        // Check.
        for (n, packet) in pcap::read(Path::new(&syn)).iter().enumerate() {
            let frame = Frame::read(&packet.bytes)
                .expect("a whole packet")
                .forwarded()
                .macs(mac, next_hop);
            let backend = std::net::SocketAddrV4::new(*BACKEND.ip(), VIP.port());
            let wanted = if mode == Mode::Ipip {
                frame.in_tunnel(source, *backend.ip())
            } else {
                frame
                    .from(std::net::SocketAddrV4::new(source, FIRST_PORT + n as u16))
                    .to(backend)
            };
            assert_same("syn", &replayed.packets[n].bytes, &wanted.bytes());
        }
    }
}

#[test]
fn without_a_source_the_modes_that_need_one_say_so() {
    needs_bpf!();
    for mode in possible(&super::MODES) {
        // Make.
        let text = pool_of(mode, &[1]).replace("source = { ipv4 = \"10.0.0.11\" }\n", "");
        // Set up.
        let desk = Desk::new();
        let config = desk.put("lb.toml", text);
        // Check.
        if matches!(mode, Mode::Nat | Mode::L2) {
            assert_eq!(desk.replay(&[&config, &fixture("syn.pcap")]).lines.len(), 100);
            continue;
        }
        let (code, said) = desk.refused(&[&config, &fixture("syn.pcap")]);
        assert_eq!(code, Some(1));
        assert!(
            said.contains("needs a source address of the family of 10.0.1.1; give --source ADDR, or set node.source"),
            "{said}"
        );
    }
}

/// What is wrong is said in one line that names it, with the exit code of the contract.
#[test]
fn what_is_wrong_is_named() {
    needs_bpf!();
    // Make.
    let desk = Desk::new();
    let config = desk.put("lb.toml", pool_of(Mode::Nat, &[1]));
    let wrong = desk.put("wrong.toml", "version = 1\n[[servise]]\n");
    let no_capture = desk.put("text.pcap", "this is not a capture");
    let empty = desk.put("empty.pcap", "");
    let other = desk.put("capture.txt", "");
    let (missing, syn) = (
        desk.path("missing.pcap").to_string_lossy().into_owned(),
        fixture("syn.pcap"),
    );
    let half = std::fs::read(&syn).expect("a capture");
    let half = desk.put("half.pcap", &half[..half.len() - 10]);
    let rows: [(&[&str], i32, &str); 10] = [
        (&[&config, &missing], 1, "missing.pcap"),
        (&[&config, &no_capture], 1, "text.pcap"),
        (&[&config, &empty], 1, "empty.pcap"),
        (&[&config, &half], 1, "half.pcap"),
        (&[&wrong, &syn], 1, "wrong.toml:2"),
        (&[&config, &syn, "--down", "web/web-9"], 1, "web-9"),
        (&[&config, &syn, "--down", "wep/web-1"], 1, "wep"),
        (&[&config, &other], 2, "capture.txt"),
        (&[&config, &syn, "--mac", "02:00"], 2, "02:00"),
        (&[], 2, "ITEM"),
    ];
    for (arguments, code, named) in rows {
        // Check.
        let (is, said) = desk.refused(arguments);
        assert_eq!(is, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// A kernel that cannot do a mode is no reason to replay something else.
#[test]
fn without_a_flow_table_fullnat_is_refused() {
    needs_bpf!();
    lb_lab::needs!(!has_flow_table(), "needs a kernel before 5.12");
    // Make, set up: the mode by its name, and by being the default.
    let named = pool_of(Mode::Fullnat, &[1]);
    let by_default = named.replace("mode     = \"fullnat\"\n", "");
    for (text, mode, line) in [
        (&named, "mode fullnat", 8),
        (&by_default, "mode fullnat, the default,", 4),
    ] {
        let desk = Desk::new();
        let config = desk.put("lb.toml", text);
        // Check.
        let (code, said) = desk.refused(&[&config, &fixture("syn.pcap")]);
        assert_eq!(code, Some(1));
        assert!(said.contains(&format!("lb.toml:{line}:")), "{said}");
        assert!(
            said.contains(&format!("service web: {mode} is not available: kernel ")),
            "{said}"
        );
        assert!(
            said.contains("help: use mode gue, ipip, l2 or nat, or a kernel from 5.12 on"),
            "{said}"
        );
    }
}

/// For people: a line a packet, under a line of headings.
#[test]
fn without_json_there_is_a_table() {
    needs_bpf!();
    // Make, set up.
    let desk = Desk::new();
    let config = desk.put("lb.toml", pool_of(Mode::Nat, &[1]));
    let output = lb_replay(&[&config, &fixture("kinds.pcap")]);
    // Check.
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 25);
    assert!(lines[0].starts_with("  INDEX  VERDICT"), "{}", lines[0]);
    let first: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(first[..4], ["0", "tx", "-", "web/web-1"]);
    let arp: Vec<&str> = lines[14].split_whitespace().collect();
    assert_eq!(arp[..5], ["13", "pass", "not_ip", "-", "-"]);
}
