//! A client whose neighbour only the kernel knows: the program asks the kernel's FIB.

use std::process::Command;

use anyhow::Result;
use lb_common::reason::Reason;
use lb_lab::{Netns, program};
use lb_tests::needs_bpf;
use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, CLIENT, GATEWAY_MAC, SERVICE, backend, vip};
use lb_tests::packet::{Frame, World, assert_same, pool, service};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::core::observed::RouteHop;
use lb_userspace::core::plan;
use lb_userspace::edge::dataplane::index_of;
use lb_userspace::edge::dataplane::run::Verdict;

/// Runs `ip` with these arguments, in the namespace of this thread.
fn ip(arguments: &str) -> Result<()> {
    let mut ip = Command::new(program::ip()?);
    program::output(ip.args(arguments.split_whitespace())).map(drop)
}

/// A network in which the client is on the link of `c0`, and its MAC is known. Gives index and MAC of that interface.
fn network() -> Result<(u32, [u8; 6])> {
    ip("link set lo up")?;
    ip("link add c0 address 02:00:00:00:00:c0 type veth peer name c1")?;
    ip("link set c0 up")?;
    ip("link set c1 up")?;
    ip("addr add 203.0.113.1/24 dev c0")?;
    ip("neigh add 203.0.113.7 lladdr 02:00:00:00:00:dd dev c0")?;
    Ok((index_of("c0")?, [2, 0, 0, 0, 0, 0xc0]))
}

fn world(egress: impl IntoIterator<Item = u32>) -> World {
    let mut world = World::default();
    world.serve(&service(vip(Protocol::Tcp), Mode::Nat, pool([backend(1)])));
    world.route_clients(Some(RouteHop::AskKernel));
    let ops = plan::interfaces(&mut world.image, &egress.into_iter().collect());
    world.apply(&ops);
    world
}

#[test]
fn the_kernel_knows_the_way() -> Result<()> {
    needs_bpf!();
    lb_lab::needs_root!();
    let netns = Netns::create(&format!("lb-{}-routes", std::process::id()))?;
    netns.sysctl(&[("net/ipv4/ip_forward", "1")])?;
    netns.run(|| {
        // Make.
        let answer = Frame::tcp(backend(1), CLIENT)
            .data(b"data")
            .macs(BACKEND_MAC, BALANCER_MAC);
        let translated = answer.clone().from(SERVICE);
        // Set up.
        let (index, mac) = network()?;
        // Check: through the interface that the kernel names.
        let outcome = world([index]).run(&answer.bytes());
        assert_eq!((outcome.verdict, outcome.reason), (Verdict::Redirect, None));
        let wanted = translated.clone().forwarded().macs(mac, GATEWAY_MAC);
        assert_same("redirected", &outcome.packet, &wanted.bytes());
        // Where nothing can be sent through that interface, the kernel gets the packet, to forward it itself.
        let outcome = world([]).not_sent("not ours", &answer.bytes(), Reason::KernelRoutes);
        assert_same("left to the kernel", &outcome.packet, &translated.bytes());
        // The same where it would have to ask for the neighbour first.
        ip("neigh del 203.0.113.7 dev c0")?;
        let outcome = world([index]).not_sent("no neighbour", &answer.bytes(), Reason::KernelRoutes);
        assert_same("left to the kernel", &outcome.packet, &translated.bytes());
        Ok(())
    })
}
