//! From backends to clients, in the modes whose way back leads through the balancer.

use std::net::{Ipv4Addr, SocketAddrV4};

use lb_common::abi::trace_flags;
use lb_common::reason::Reason;
use lb_tests::needs_bpf;
use lb_tests::packet::objects::through;
use lb_tests::packet::places::{
    BACKEND_MAC, BALANCER_MAC, CLIENT, CLIENT_HOP, GATEWAY_MAC, SERVICE, SOURCES, STRANGER, backend, client, vip,
};
use lb_tests::packet::{Frame, Setup, World, assert_same, bad_checksum, pool, service};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::core::observed::RouteHop;
use lb_userspace::core::plan;
use lb_userspace::core::prefix::Prefix;
use lb_userspace::edge::dataplane::run::Verdict;

const MODES: [Mode; 2] = [Mode::Fullnat, Mode::Nat];

/// Where the backend sees the `n`th flow come from.
fn peer(mode: Mode, n: u16) -> SocketAddrV4 {
    match mode {
        Mode::Fullnat => SocketAddrV4::new(SOURCES[0], 20000 + n),
        Mode::Nat | Mode::L2 | Mode::Ipip | Mode::Gue => client(n),
    }
}

/// Answers, each from the backend to `to`.
fn answers(to: impl Fn(u16) -> SocketAddrV4) -> Vec<(&'static str, Frame)> {
    let tcp = |n| Frame::tcp(backend(1), to(n)).macs(BACKEND_MAC, BALANCER_MAC);
    let udp = |n| Frame::udp(backend(1), to(n)).macs(BACKEND_MAC, BALANCER_MAC);
    vec![
        ("SYN ACK", tcp(0).syn_ack().tcp_options(&[2, 4, 5, 0xb4])),
        ("ACK", tcp(1).ack()),
        ("data", tcp(2).data(b"HTTP/1.1 200 OK\r\n")),
        ("odd length", tcp(3).data(b"odd")),
        ("FIN", tcp(4).fin()),
        ("RST", tcp(5).rst()),
        ("IPv4 options", tcp(6).ack().ip_options(&[1; 12])),
        ("DSCP and ECN", tcp(7).data(b"abc").dscp_and_ecn(46, 3)),
        ("filled up", tcp(8).ack().padded(6)),
        ("time to live 2", tcp(9).ack().ttl(2)),
        ("UDP", udp(10).payload(b"answer")),
        ("UDP, odd length", udp(11).payload(b"odd")),
        ("UDP without checksum", udp(12).payload(b"answer").without_checksum()),
        ("UDP, time to live 2", udp(13).payload(b"answer").ttl(2)),
    ]
}

/// An answer as the client's next hop is to see it.
fn expected(answer: &Frame, to: SocketAddrV4) -> Frame {
    let answer = answer.clone().from(SERVICE).to(to);
    answer.forwarded().macs(BALANCER_MAC, GATEWAY_MAC)
}

/// A world whose first flows are those of the answers.
fn world(mode: Mode, setup: &Setup) -> World {
    let mut world = World::new(setup);
    world.serve(&service(vip(Protocol::Tcp), mode, pool([backend(1)])));
    world.serve(&service(vip(Protocol::Udp), mode, pool([backend(1)])));
    for n in 0..14 {
        let first = if n < 10 {
            Frame::tcp(client(n), SERVICE).syn()
        } else {
            Frame::udp(client(n), SERVICE)
        };
        world.sent("the first packet", &first.bytes());
    }
    world
}

#[test]
fn each_answer_gets_to_its_client() {
    needs_bpf!();
    for (mode, setup) in through(&MODES) {
        // Make.
        let answers = answers(|n| peer(mode, n));
        // Set up.
        let mut world = world(mode, &setup);
        for (n, (what, answer)) in answers.iter().enumerate() {
            // Check.
            let sent_out = world.sent(what, &answer.bytes());
            assert_same(what, &sent_out, &expected(answer, client(n as u16)).bytes());
            assert_eq!(bad_checksum(&sent_out), None, "{what}");
        }
    }
}

#[test]
fn answers_are_traced_and_counted() {
    needs_bpf!();
    for (mode, setup) in through(&MODES) {
        // Make.
        let answer = Frame::tcp(backend(1), peer(mode, 0)).data(b"data").bytes();
        // Set up.
        let mut world = world(mode, &setup);
        let id = world.placed(vip(Protocol::Tcp)).id;
        // Check.
        let trace = world.run(&answer).trace;
        let of_backend = world.id(vip(Protocol::Tcp), backend(1));
        assert_eq!((trace.service, trace.backend), (id.into(), of_backend), "{mode:?}");
        assert_eq!(trace.flags, trace_flags::BACK, "{mode:?}");
        let counters = world.traffic().of_service(id);
        assert_eq!(counters.packets, 10, "{mode:?}");
        assert_eq!((counters.back_packets, counters.back_bytes), (1, answer.len() as u64));
    }
}

/// Whoever is not a backend of the flow is not its way back: the kernel gets the packet as it is.
#[test]
fn what_is_nobodys_way_back_passes_unchanged() {
    needs_bpf!();
    // Make.
    let held = peer(Mode::Fullnat, 0);
    let free = peer(Mode::Fullnat, 500);
    let other_port = SocketAddrV4::new(*backend(1).ip(), 81);
    let fullnat = [
        ("another server", Frame::tcp(backend(2), held).ack()),
        ("another port of the backend", Frame::tcp(other_port, held).ack()),
        ("another protocol", Frame::udp(backend(1), held)),
        ("a port that no flow has", Frame::tcp(backend(1), free).ack()),
        (
            "a port that is never given out",
            Frame::tcp(backend(1), SocketAddrV4::new(SOURCES[0], 22)).syn(),
        ),
        ("an address that is not ours", Frame::tcp(backend(1), STRANGER).ack()),
    ];
    let nat = [
        ("another server", Frame::tcp(backend(2), CLIENT).ack()),
        ("another port of the backend", Frame::tcp(other_port, CLIENT).ack()),
    ];
    // Set up.
    for (mode, setup) in through(&MODES) {
        let rows = if mode == Mode::Fullnat { &fullnat[..] } else { &nat };
        for (what, packet) in rows {
            let mut world = world(mode, &setup);
            // Check.
            let outcome = world.not_sent(what, &packet.bytes(), Reason::NoService);
            assert_eq!(outcome.verdict, Verdict::Pass, "{what}");
            assert_same(what, &outcome.packet, &packet.bytes());
        }
    }
}

/// Where the mirror of the routes does not know the way, the kernel gets the packet with the service's address on it.
#[test]
fn the_kernel_routes_what_the_mirror_does_not_know() {
    needs_bpf!();
    // A client on this host: the FIB answers that nothing is to be forwarded, whatever the routes.
    let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4000);
    let both = [None, Some(RouteHop::AskKernel)];
    let ways = through(&MODES).into_iter();
    for ((mode, setup), hop) in ways.flat_map(|way| both.map(|hop| (way.clone(), hop))) {
        // Make.
        let to = if mode == Mode::Fullnat { peer(mode, 0) } else { local };
        let answer = Frame::tcp(backend(1), to).data(b"data").macs(BACKEND_MAC, BALANCER_MAC);
        // Set up.
        let mut world = World::new(&setup);
        world.serve(&service(vip(Protocol::Tcp), mode, pool([backend(1)])));
        world.sent("SYN", &Frame::tcp(local, SERVICE).syn().bytes());
        world.route_clients(hop);
        // Check.
        let outcome = world.not_sent("no route", &answer.bytes(), Reason::KernelRoutes);
        assert_eq!(outcome.verdict, Verdict::Pass);
        let wanted = answer.clone().from(SERVICE).to(local).bytes();
        assert_same("for the kernel", &outcome.packet, &wanted);
    }
}

#[test]
fn the_longest_prefix_decides() {
    needs_bpf!();
    const NEARER: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
    // Make: one client under a longer prefix, one under the default route.
    let near = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 200), 4000);
    let prefix = Prefix {
        address: [203, 0, 113, 192].into(),
        length: 26,
    };
    let everywhere = Prefix {
        address: Ipv4Addr::UNSPECIFIED.into(),
        length: 0,
    };
    let through = |mac| {
        RouteHop::Via(lb_userspace::core::observed::ResolvedHop {
            destination_mac: mac,
            ..CLIENT_HOP
        })
    };
    // Set up.
    let mut world = World::default();
    world.serve(&service(vip(Protocol::Tcp), Mode::Nat, pool([backend(1)])));
    let routes = [(prefix, through(NEARER)), (everywhere, through(GATEWAY_MAC))].into();
    let ops = plan::routes(&mut world.image, &routes);
    world.apply(&ops);
    // Check.
    for (to, mac) in [(near, NEARER), (CLIENT, GATEWAY_MAC)] {
        let answer = Frame::tcp(backend(1), to).ack();
        let wanted = expected(&answer, to).macs(BALANCER_MAC, mac);
        assert_same("route", &world.sent("route", &answer.bytes()), &wanted.bytes());
    }
}
