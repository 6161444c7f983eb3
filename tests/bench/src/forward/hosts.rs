//! The hosts: one that sends packets and counts what comes back, and one for each balancer, at the other end of a cable.
//!
//! Every balancer has one interface and sends packets on by it, to a gateway that is the sender again: so all of them do the same
//! on the same links, and what is sent by `XDP_TX` is compared with what is.

use std::net::Ipv4Addr;

use anyhow::Result;
use lb_lab::link::{Offload, ip, set_offload};
use lb_lab::{Netns, Scratch};
pub use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, ROUTER_MAC};

use crate::bpf::traffic::Traffic;

/// A balancer's interface.
pub const DEVICE: &str = "eth0";
/// Address of a balancer's interface.
pub const BALANCER: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 1);
/// What everything is sent to from there.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 2);
/// Room for an outer header on the longest packets.
const MTU_BYTES: u32 = 2000;

/// Where packets end that come back from a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In the driver: for what an XDP program sends.
    Driver,
    /// In the stack, as early as it can be: for what the stack sends, which is not made a frame of the driver's again.
    Stack,
}

/// The sender, and what is known of all hosts together.
pub struct Hosts {
    sender: Netns,
    exits: u32,
    scratch: Scratch,
}

/// A balancer's host.
pub struct Host {
    pub netns: Netns,
    /// The sender's exit towards it.
    pub exit: u32,
}

impl Hosts {
    pub fn new() -> Result<Self> {
        let scratch = Scratch::new(false)?;
        let sender = Netns::create(&format!("{}-sender", scratch.name()))?;
        Ok(Self {
            sender,
            exits: 0,
            scratch,
        })
    }

    /// Where files and pins of them lie.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The sender.
    pub fn sender(&self) -> &Netns {
        &self.sender
    }

    /// The sender's interface of an exit.
    pub fn port(exit: u32) -> String {
        format!("port-{exit}")
    }

    /// Adds a host for a balancer of that name, and a cable to it.
    pub fn add(&mut self, traffic: &mut Traffic, name: &str, end: End) -> Result<Host> {
        let exit = self.exits;
        self.exits += 1;
        let (sender, port) = (&self.sender, Self::port(exit));
        let netns = Netns::create(&format!("{}-{name}", self.scratch.name()))?;
        for host in [sender, &netns] {
            settings(host)?;
        }
        let [balancer, router] = [BALANCER_MAC, ROUTER_MAC].map(text);
        let to = netns.name();
        ip(
            sender,
            &[
                format!(
                    "link add name {port} address {router} mtu {MTU_BYTES} type veth \
                     peer name {DEVICE} address {balancer} mtu {MTU_BYTES} netns {to}"
                ),
                format!("link set {port} up"),
            ],
        )?;
        let backend = text(BACKEND_MAC);
        ip(
            &netns,
            &[
                format!("addr add {BALANCER}/24 dev {DEVICE}"),
                format!("link set {DEVICE} up"),
                format!("neigh add {GATEWAY} lladdr {backend} dev {DEVICE} nud permanent"),
                format!("route add default via {GATEWAY}"),
            ],
        )?;
        sender.run(|| {
            traffic.add_exit(exit, &port)?;
            match end {
                End::Driver => traffic.attach_sink(&port),
                End::Stack => traffic.attach_sink_of_stack(&port),
            }
        })?;
        Ok(Host { netns, exit })
    }
}

/// Sends on packets of anybody to anywhere, as a router does that has one interface.
pub fn make_router(netns: &Netns) -> Result<()> {
    netns.sysctl(&[("net/ipv4/ip_forward", "1")])?;
    set_offload(netns, DEVICE, Offload::Gro, true)
}

/// What interfaces are to be like that are made from now on.
fn settings(netns: &Netns) -> Result<()> {
    netns.sysctl(&[
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/ipv4/conf/all/send_redirects", "0"),
        ("net/ipv4/conf/default/send_redirects", "0"),
    ])
}

/// A MAC as people write it.
pub fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
