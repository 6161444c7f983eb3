//! From backends to clients.

use std::net::SocketAddr;

use lb_common::abi::trace_flags;
use lb_common::reason::Reason;
use lb_tests::needs_flow_table;
use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, MTU};
use lb_tests::packet::tag::{customer, tagged};
use lb_tests::packet::{Frame, assert_same, bad_checksum};
use lb_userspace::core::model::Protocol;
use lb_userspace::core::observed::RouteHop;
use lb_userspace::edge::dataplane::run::Verdict;

use super::Case;
use super::rows::rows;

#[test]
fn each_answer_gets_to_its_client() {
    needs_flow_table!();
    for case in Case::BOTH {
        // Make.
        let rows = rows(|n| (case.backend(), case.peer(n)));
        // Set up: each in a flow of its protocol.
        let mut world = case.world();
        for (n, (what, answer)) in rows.iter().enumerate() {
            let (n, what) = (n as u16, format!("{case:?}: {what}"));
            let answer = answer.clone().macs(BACKEND_MAC, BALANCER_MAC);
            let first = match answer.transport {
                lb_tests::packet::frame::Transport::Tcp(_) => Frame::tcp(case.client(n), case.door()).syn(),
                _ => Frame::udp(case.client(n), case.door()),
            };
            world.sent("the first packet", &first.bytes());
            // Check.
            let sent = world.sent(&what, &answer.bytes());
            assert_same(&what, &sent, &case.back().leaves(&answer, n).bytes());
            assert_eq!(bad_checksum(&sent), None, "{what}");
        }
    }
}

#[test]
fn answers_are_traced_and_counted() {
    needs_flow_table!();
    for case in Case::BOTH {
        // Make.
        let answer = Frame::tcp(case.backend(), case.peer(0)).data(b"data").bytes();
        // Set up.
        let mut world = case.world_with_flows(1, MTU, MTU);
        let vip = case.service.vip(Protocol::Tcp);
        // Check.
        let trace = world.run(&answer).trace;
        let wanted = (u32::from(world.placed(vip).id), world.id(vip, case.backend()));
        assert_eq!((trace.service, trace.backend), wanted, "{case:?}");
        assert_eq!(trace.flags, trace_flags::BACK, "{case:?}");
        let counters = world.counted(vip);
        assert_eq!(counters.packets, 1, "{case:?}");
        assert_eq!((counters.back_packets, counters.back_bytes), (1, answer.len() as u64));
    }
}

/// Whoever is not a backend of the flow is not its way back: the kernel gets the packet as it is.
#[test]
fn what_is_nobodys_way_back_passes_unchanged() {
    needs_flow_table!();
    for case in Case::BOTH {
        // Make.
        let (backend, held) = (case.backend(), case.peer(0));
        let other_port = SocketAddr::new(backend.ip(), 81);
        let rows = [
            (
                "another server",
                Frame::tcp(case.service.other().backend(2), held).ack(),
            ),
            ("another port of the backend", Frame::tcp(other_port, held).ack()),
            ("another protocol", Frame::udp(backend, held)),
            ("a port that no flow has", Frame::tcp(backend, case.peer(500)).ack()),
        ];
        // Set up.
        let mut world = case.world_with_flows(1, MTU, MTU);
        for (what, packet) in rows {
            // Check.
            let outcome = world.not_sent(what, &packet.bytes(), Reason::NoService);
            assert_eq!(outcome.verdict, Verdict::Pass, "{what}");
            assert_same(what, &outcome.packet, &packet.bytes());
        }
    }
}

/// Where the mirror of the routes does not know the way, the kernel gets the packet with the service's address on it, so in the client's version:
/// where it came from, with all the hops that it came with, which the kernel counts.
#[test]
fn the_kernel_routes_what_the_mirror_does_not_know() {
    needs_flow_table!();
    for (case, hop) in Case::BOTH
        .map(|case| [(case, None), (case, Some(RouteHop::AskKernel))])
        .concat()
    {
        // Make.
        let tcp = Frame::tcp(case.backend(), case.peer(0)).data(b"data");
        let udp = Frame::udp(case.backend(), case.peer(1)).payload(&[0x77; 1300]);
        // Set up.
        let mut world = case.world_with_flows(1, MTU, MTU);
        world.route_clients(hop);
        for (answer, flow) in [(tcp, 0), (udp, 1)] {
            for tags in [&[][..], &[customer(5)]] {
                // Check.
                let answer = answer.clone().macs(BACKEND_MAC, BALANCER_MAC);
                let packet = tagged(&answer.bytes(), tags);
                let outcome = world.not_sent("no route", &packet, Reason::KernelRoutes);
                assert_eq!(outcome.verdict, Verdict::Pass);
                let wanted = answer.across(case.door(), case.client(flow)).bytes();
                assert_same("for the kernel", &outcome.packet, &tagged(&wanted, tags));
            }
        }
    }
}
