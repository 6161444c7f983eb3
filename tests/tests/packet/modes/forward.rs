//! From clients to backends.

use lb_common::abi::trace_flags;
use lb_tests::packet::frame::Transport;
use lb_tests::packet::objects::through;
use lb_tests::packet::places::{
    BACKEND_HOP, BACKEND_MAC, BALANCER_MAC, CLIENT, SERVICE, SOURCES, TUNNEL_PORT, backend, client, vip,
};
use lb_tests::packet::{Frame, Setup, World, assert_same, bad_checksum, pool, service};
use lb_tests::{needs_bpf, needs_flow_table};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::core::plan::{self, Wanted};
use lb_userspace::edge::dataplane::run::{INGRESS, Verdict};

const MODES: [Mode; 5] = [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue];

/// The first port that a flow gets in a world of the default making.
const FIRST_PORT: u16 = 20000;

/// Options of IPv4: no operation, router alert (RFC 2113), no operation, end.
const IP_OPTIONS: [u8; 8] = [1, 0x94, 4, 0, 0, 1, 1, 0];
/// Options of a usual SYN: segment size, selective acknowledgements, window scale.
const SYN_OPTIONS: [u8; 12] = [2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 1, 1];

/// Packets, the `n`th from the client's port number `n`.
fn packets() -> Vec<(&'static str, Frame)> {
    let tcp = |n| Frame::tcp(client(n), SERVICE);
    let udp = |n| Frame::udp(client(n), SERVICE);
    vec![
        ("SYN", tcp(0).syn()),
        ("SYN with options", tcp(1).syn().tcp_options(&SYN_OPTIONS)),
        ("SYN with data", tcp(2).syn().payload(b"fast open")),
        ("ACK", tcp(3).ack()),
        ("data", tcp(4).data(b"GET / HTTP/1.1\r\n\r\n")),
        ("odd length", tcp(5).data(b"odd")),
        ("FIN", tcp(6).fin()),
        ("RST", tcp(7).rst()),
        ("IPv4 options", tcp(8).syn().ip_options(&IP_OPTIONS)),
        ("most IPv4 options", tcp(9).data(b"x").ip_options(&[1; 40])),
        ("DSCP and ECN", tcp(10).syn().dscp_and_ecn(46, 1)),
        ("congestion experienced", tcp(11).data(b"abc").dscp_and_ecn(10, 3)),
        ("filled up to the shortest frame", tcp(12).ack().padded(6)),
        ("time to live 2", tcp(13).syn().ttl(2)),
        ("time to live 255", tcp(14).syn().ttl(255)),
        ("full size", tcp(15).data(&[0xa5; 1432])),
        ("UDP", udp(16).payload(b"question")),
        ("UDP, odd length", udp(17).payload(b"odd")),
        ("UDP without data", udp(18)),
        ("UDP without checksum", udp(19).payload(b"question").without_checksum()),
        ("UDP, IPv4 options", udp(20).payload(b"abc").ip_options(&IP_OPTIONS)),
        ("UDP, DSCP and ECN", udp(21).payload(b"abc").dscp_and_ecn(63, 2)),
        ("UDP, filled up", udp(22).payload(b"abc").padded(15)),
        ("UDP, time to live 2", udp(23).ttl(2)),
    ]
}

/// The `n`th flow's packet as its next hop is to see it.
fn expected(mode: Mode, n: u16, packet: &Frame) -> Frame {
    let packet = packet.clone().forwarded().macs(BALANCER_MAC, BACKEND_MAC);
    match mode {
        Mode::Fullnat => {
            let source = std::net::SocketAddrV4::new(SOURCES[0], FIRST_PORT + n);
            packet.from(source).to(backend(1))
        }
        Mode::Nat => packet.to(backend(1)),
        Mode::L2 => packet,
        Mode::Ipip => packet.in_tunnel(SOURCES[0], *backend(1).ip()),
        Mode::Gue => packet.in_gue(SOURCES[0], *backend(1).ip(), TUNNEL_PORT),
    }
}

fn of(mode: Mode, protocol: Protocol) -> Wanted {
    service(vip(protocol), mode, pool([backend(1)]))
}

/// A world with one backend behind the service, over TCP and UDP.
fn world(mode: Mode, setup: &Setup) -> World {
    let mut world = World::new(setup);
    world.serve(&of(mode, Protocol::Tcp));
    world.serve(&of(mode, Protocol::Udp));
    world
}

/// Whether `fullnat` wants a SYN before it.
fn follows_a_syn(packet: &Frame) -> bool {
    matches!(&packet.transport, Transport::Tcp(header) if !header.syn)
}

fn each_packet_in(mode: Mode) {
    // Make: the packets, and what should become of them.
    let packets = packets();
    for (mode, setup) in through(&[mode]) {
        // Set up: one backend.
        let mut world = world(mode, &setup);
        for (n, (what, packet)) in packets.iter().enumerate() {
            let n = n as u16;
            let sent_in = packet.bytes();
            if mode == Mode::Fullnat && follows_a_syn(packet) {
                world.sent(what, &Frame::tcp(client(n), SERVICE).syn().bytes());
            }
            // Check: every byte, and every checksum by itself.
            let sent_out = world.sent(what, &sent_in);
            assert_same(what, &sent_out, &expected(mode, n, packet).spread_as(&sent_out).bytes());
            assert_eq!(bad_checksum(&sent_out), None, "{what}");
        }
    }
}

#[test]
fn each_packet_in_mode_fullnat() {
    needs_flow_table!();
    each_packet_in(Mode::Fullnat);
}

#[test]
fn each_packet_in_mode_nat() {
    needs_bpf!();
    each_packet_in(Mode::Nat);
}

#[test]
fn each_packet_in_mode_l2() {
    needs_bpf!();
    each_packet_in(Mode::L2);
}

#[test]
fn each_packet_in_mode_ipip() {
    needs_bpf!();
    each_packet_in(Mode::Ipip);
}

#[test]
fn each_packet_in_mode_gue() {
    needs_bpf!();
    each_packet_in(Mode::Gue);
}

/// The checksum of the frame that `packet` becomes.
fn checksum_out(mode: Mode, packet: &Frame) -> u16 {
    let bytes = expected(mode, 0, packet).bytes();
    let at = if matches!(packet.transport, Transport::Tcp(_)) {
        14 + 20 + 16
    } else {
        14 + 20 + 6
    };
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// A checksum that would become 0 is sent as ffff in UDP, where 0 means none (RFC 768), and as 0 in TCP.
#[test]
fn checksums_that_become_zero() {
    needs_bpf!();
    for (mode, setup) in through(&[Mode::Fullnat, Mode::Nat]) {
        for empty in [Frame::udp(CLIENT, SERVICE), Frame::tcp(CLIENT, SERVICE).syn()] {
            // Make: two bytes that bring the sum over the rewritten packet to ffff.
            let is_udp = matches!(empty.transport, Transport::Udp { .. });
            let missing = checksum_out(mode, &empty.clone().payload(&[0, 0]));
            let packet = empty.payload(&missing.to_be_bytes());
            assert_eq!(checksum_out(mode, &packet), if is_udp { 0xffff } else { 0 });
            // Set up.
            let mut world = world(mode, &setup);
            // Check.
            let sent_out = world.sent("zero", &packet.bytes());
            assert_same(
                "zero",
                &sent_out,
                &expected(mode, 0, &packet).spread_as(&sent_out).bytes(),
            );
        }
    }
}

/// Changing addresses and ports must not make a damaged packet look whole.
#[test]
fn a_wrong_checksum_stays_wrong() {
    needs_bpf!();
    for (mode, setup) in through(&MODES) {
        // Make: a packet whose last byte was damaged on its way.
        let packet = Frame::tcp(CLIENT, SERVICE).syn().payload(b"data");
        let mut damaged = packet.bytes();
        *damaged.last_mut().unwrap() ^= 0x40;
        // Set up.
        let mut world = world(mode, &setup);
        // Check.
        let sent_out = world.sent("damaged", &damaged);
        let mut wanted = expected(mode, 0, &packet).spread_as(&sent_out).bytes();
        *wanted.last_mut().unwrap() ^= 0x40;
        assert_same("damaged", &sent_out, &wanted);
        assert!(bad_checksum(&sent_out).is_some());
    }
}

/// What was decided is told, and counted once.
#[test]
fn each_mode_traces_and_counts() {
    needs_bpf!();
    for (mode, setup) in through(&MODES) {
        // Make.
        let syn = Frame::tcp(CLIENT, SERVICE).syn().bytes();
        let data = Frame::tcp(CLIENT, SERVICE).data(b"data").bytes();
        // Set up.
        let mut world = world(mode, &setup);
        let service = world.placed(vip(Protocol::Tcp)).id;
        let id = world.id(vip(Protocol::Tcp), backend(1));
        // Check.
        let first = world.run(&syn).trace;
        assert_eq!((first.service, first.backend), (service.into(), id), "{mode:?}");
        assert_eq!(first.flags, trace_flags::SLOT, "{mode:?}");
        assert_eq!(first.slot as u32, id, "{mode:?}");
        let second = world.run(&data).trace;
        let by = if mode == Mode::Fullnat {
            trace_flags::FLOW
        } else {
            trace_flags::SLOT
        };
        assert_eq!((second.backend, second.flags), (id, by), "{mode:?}");
        let bytes = (syn.len() + data.len()) as u64;
        let of_service = world.traffic().of_service(service);
        let counted = (of_service.packets, of_service.bytes, of_service.new_flows);
        assert_eq!(counted, (2, bytes, 1), "{mode:?}");
        let of_backend = world.traffic().of_backend(id);
        let counted = (of_backend.packets, of_backend.bytes, of_backend.new_flows);
        assert_eq!(counted, (2, bytes, 1), "{mode:?}");
        assert_eq!(world.reasons().iter().sum::<u64>(), 0, "{mode:?}");
    }
}

/// Index of an interface that packets do not come in by, if this machine has one.
fn another_interface() -> Option<u32> {
    let interfaces = std::fs::read_dir("/sys/class/net").ok()?;
    let index = |entry: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(entry.ok()?.path().join("ifindex")).ok()?;
        text.trim().parse().ok()
    };
    interfaces.filter_map(index).find(|index| *index != INGRESS)
}

#[test]
fn another_interface_is_a_redirect() {
    needs_bpf!();
    let found = another_interface();
    lb_lab::needs!(found.is_some(), "this machine has no interface but lo");
    let egress = found.unwrap_or(INGRESS);
    for (mode, setup) in through(&MODES) {
        // Make.
        let packet = Frame::tcp(CLIENT, SERVICE).syn();
        // Set up: the backend is behind the other interface.
        let mut wanted = of(mode, Protocol::Tcp);
        let hop = &mut wanted.backends[0].hop;
        *hop = Some(lb_userspace::core::observed::ResolvedHop { egress, ..BACKEND_HOP });
        let mut world = World::new(&setup);
        world.serve(&wanted);
        let ops = plan::interfaces(&mut world.image, &[egress].into());
        world.apply(&ops);
        // Check.
        let outcome = world.run(&packet.bytes());
        assert_eq!(outcome.verdict, Verdict::Redirect, "{mode:?}");
        let wanted = expected(mode, 0, &packet).spread_as(&outcome.packet);
        assert_same("redirect", &outcome.packet, &wanted.bytes());
    }
}
