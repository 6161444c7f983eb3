//! The two layouts: what addresses the hosts have, and how they are cabled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::link::{Offload, ip, set_offload};
use crate::mode::Mode;
use crate::netns::Netns;

/// The service's address.
pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// A family of addresses. Every host has one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// The address that the host with this IPv4 address has in it.
    pub fn of(self, address: Ipv4Addr) -> IpAddr {
        match self {
            Self::V4 => address.into(),
            Self::V6 => six(address).into(),
        }
    }
}

/// The IPv6 address of the host whose IPv4 address this is: fd00:a:b:c::d of a.b.c.d.
fn six(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets().map(u16::from);
    Ipv6Addr::new(0xfd00, a, b, c, 0, 0, 0, d)
}

/// What a client's or server's link carries; where packets get an outer header, the others carry more.
const MTU_BYTES: u32 = 1500;
const MTU_WITH_OUTER_HEADER_BYTES: u32 = 1600;

const BRIDGE: &str = "br0";

/// Where tunnels of `gue` go.
const TUNNEL_PORT: u16 = 6080;

/// The bridge's port that the balancer is on.
const BALANCER_PORT: &str = "balancer";

/// How the hosts are cabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Client, balancer and servers on one bridge, in 10.1.0.0/24. The client reaches the VIP by the balancer.
    OneArmed,
    /// The client's link ends at the balancer, in 10.1.0.0/24; the servers are on a bridge behind it, in 10.2.0.0/24,
    /// and reach everything by the balancer.
    TwoArmed,
    /// Everybody on one bridge as in [`Layout::OneArmed`], but with the addresses of [`Layout::TwoArmed`]: the client is in
    /// VLAN 10, the servers are in VLAN 20, and the balancer is in both.
    Vlans,
}

impl Layout {
    /// The client's address.
    pub fn client(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 1, 0, 2)
    }

    /// The balancer's address towards the client.
    pub fn balancer(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 1, 0, 1)
    }

    /// The balancer's address towards the servers.
    pub fn balancer_inside(self) -> Ipv4Addr {
        match self {
            Self::OneArmed => self.balancer(),
            Self::TwoArmed | Self::Vlans => Ipv4Addr::new(10, 2, 0, 1),
        }
    }

    /// The address of server `number`, from 1.
    pub fn server(self, number: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.balancer_inside().octets();
        Ipv4Addr::new(a, b, c, 10 + number)
    }

    /// The balancer's interfaces.
    pub fn balancer_devices(self) -> &'static [&'static str] {
        match self {
            Self::OneArmed | Self::Vlans => &["eth0"],
            Self::TwoArmed => &["eth0", "eth1"],
        }
    }

    /// The interfaces of the balancer that have addresses: towards the client, towards the servers.
    fn balancer_ends(self) -> &'static [&'static str] {
        match self {
            Self::OneArmed | Self::TwoArmed => self.balancer_devices(),
            Self::Vlans => &["eth0.10", "eth0.20"],
        }
    }

    /// The interface of the client that has its address.
    fn client_end(self) -> &'static str {
        match self {
            Self::OneArmed | Self::TwoArmed => "eth0",
            Self::Vlans => "eth0.10",
        }
    }

    /// The interface of a server that has its address.
    fn server_end(self) -> &'static str {
        match self {
            Self::OneArmed | Self::TwoArmed => "eth0",
            Self::Vlans => "eth0.20",
        }
    }
}

/// The client's address among the servers, where it has one: what answers past the balancer goes there.
const CLIENT_INSIDE: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);

/// The line that makes a VLAN of `eth0`, if `end` is one.
fn vlan(end: &str) -> Vec<String> {
    let id = end.split_once('.').map(|(_, id)| id);
    id.map(|id| format!("link add link eth0 name {end} type vlan id {id}"))
        .into_iter()
        .collect()
}

/// The namespaces to be cabled.
pub struct Hosts<'a> {
    pub fabric: &'a Netns,
    pub client: &'a Netns,
    pub balancer: &'a Netns,
    pub servers: Vec<&'a Netns>,
}

/// What is particular about the cabling.
pub struct Cabling {
    pub layout: Layout,
    pub mode: Mode,
    /// Whether the balancer's and the servers' links carry a full packet with an outer header, where the mode adds one.
    pub has_room: bool,
    /// Whether servers take tunnels by devices of Linux's, instead of by `lb decap`.
    pub has_tunnel_devices: bool,
}

impl Cabling {
    /// Puts links, addresses, routes and settings in place; everywhere turns the offloading of transmit checksums and VLAN tags off, and GRO on: a veth
    /// with it polls, as a real interface does, while one without it puts packets into a queue of whichever CPU is at it, from
    /// where those of one flow come out in another order.
    pub fn lay(&self, hosts: &Hosts) -> Result<()> {
        self.settings(hosts)?;
        self.bridge(hosts)?;
        self.client(hosts)?;
        self.balancer(hosts)?;
        for (number, server) in (1..).zip(&hosts.servers) {
            self.server(server, number)?;
        }
        for (netns, devices) in self.ends(hosts) {
            for device in devices {
                set_offload(netns, &device, Offload::TransmitChecksum, false)?;
                set_offload(netns, &device, Offload::TransmitVlan, false)?;
                set_offload(netns, &device, Offload::Gro, true)?;
            }
        }
        Ok(())
    }

    /// Every end of every cable.
    fn ends<'a>(&self, hosts: &Hosts<'a>) -> Vec<(&'a Netns, Vec<String>)> {
        let own = |devices: &[&str]| devices.iter().map(|device| (*device).to_owned()).collect();
        let mut ends = vec![
            (hosts.fabric, self.ports(hosts)),
            (hosts.client, own(&["eth0"])),
            (hosts.balancer, own(self.layout.balancer_devices())),
        ];
        ends.extend(hosts.servers.iter().map(|server| (*server, own(&["eth0"]))));
        ends
    }

    /// The other ends of the balancer's cables.
    pub fn opposite_balancer<'a>(&self, hosts: &Hosts<'a>) -> Vec<(&'a Netns, &'static str)> {
        let port = (hosts.fabric, BALANCER_PORT);
        match self.layout {
            Layout::OneArmed | Layout::Vlans => vec![port],
            Layout::TwoArmed => vec![(hosts.client, "eth0"), port],
        }
    }

    /// The bridge's ports, each named as the host on it.
    fn ports(&self, hosts: &Hosts) -> Vec<String> {
        let mut ports = vec![BALANCER_PORT.to_owned()];
        if self.layout != Layout::TwoArmed {
            ports.push("client".to_owned());
        }
        ports.extend((1..=hosts.servers.len()).map(|number| format!("server-{number}")));
        ports
    }

    /// These come first: a device takes its settings from the defaults of the moment in which it appears.
    fn settings(&self, hosts: &Hosts) -> Result<()> {
        let all = [hosts.fabric, hosts.client, hosts.balancer].into_iter();
        for netns in all.chain(hosts.servers.iter().copied()) {
            netns.sysctl(&[
                ("net/ipv4/conf/all/rp_filter", "0"),
                ("net/ipv4/conf/default/rp_filter", "0"),
            ])?;
        }
        if !self.mode.is_direct_return() {
            hosts
                .balancer
                .sysctl(&[("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")])?;
        }
        if self.mode.is_direct_return() {
            for server in &hosts.servers {
                server.sysctl(&[
                    ("net/ipv4/conf/all/arp_ignore", "1"),
                    ("net/ipv4/conf/default/arp_ignore", "1"),
                    ("net/ipv4/conf/all/arp_announce", "2"),
                    ("net/ipv4/conf/default/arp_announce", "2"),
                ])?;
            }
        }
        Ok(())
    }

    fn bridge(&self, hosts: &Hosts) -> Result<()> {
        let mut lines = vec![
            "link set lo up".to_owned(),
            format!("link add name {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"),
            format!("link set {BRIDGE} up"),
        ];
        let inside = self.layout.balancer_devices().len() - 1;
        lines.extend(self.cable(BALANCER_PORT, hosts.balancer, &format!("eth{inside}")));
        if self.layout != Layout::TwoArmed {
            lines.extend(self.cable("client", hosts.client, "eth0"));
        }
        for (number, server) in (1..).zip(&hosts.servers) {
            lines.extend(self.cable(&format!("server-{number}"), server, "eth0"));
        }
        ip(hosts.fabric, &lines)
    }

    fn cable(&self, port: &str, host: &Netns, device: &str) -> [String; 2] {
        let mtu = self.fabric_mtu_bytes();
        let host = host.name();
        [
            format!("link add name {port} mtu {mtu} type veth peer name {device} mtu {mtu} netns {host}"),
            format!("link set {port} master {BRIDGE} up"),
        ]
    }

    fn fabric_mtu_bytes(&self) -> u32 {
        if self.has_room && self.mode.is_tunnel() {
            MTU_WITH_OUTER_HEADER_BYTES
        } else {
            MTU_BYTES
        }
    }

    fn client(&self, hosts: &Hosts) -> Result<()> {
        let mut lines = vec!["link set lo up".to_owned()];
        if self.layout == Layout::TwoArmed {
            let balancer = hosts.balancer.name();
            lines.push(format!("link add name eth0 type veth peer name eth0 netns {balancer}"));
        }
        let end = self.layout.client_end();
        lines.push(format!("link set eth0 mtu {MTU_BYTES}"));
        lines.extend(vlan(end));
        lines.extend([
            format!("addr add {}/24 dev {end}", self.layout.client()),
            format!("addr add {}/64 dev {end} nodad", six(self.layout.client())),
            "link set eth0 up".to_owned(),
            format!("link set {end} up"),
        ]);
        if self.layout == Layout::Vlans && self.mode.is_direct_return() {
            let inside = self.layout.server_end();
            lines.extend(vlan(inside));
            lines.push(format!("addr add {CLIENT_INSIDE}/24 dev {inside}"));
            lines.push(format!("addr add {}/64 dev {inside} nodad", six(CLIENT_INSIDE)));
            lines.push(format!("link set {inside} up"));
        }
        lines.extend([
            format!("route add {VIP}/32 via {}", self.layout.balancer()),
            format!("route add {}/128 via {}", six(VIP), six(self.layout.balancer())),
        ]);
        ip(hosts.client, &lines)
    }

    fn balancer(&self, hosts: &Hosts) -> Result<()> {
        let addresses = [self.layout.balancer(), self.layout.balancer_inside()];
        let mut lines = vec!["link set lo up".to_owned()];
        for device in self.layout.balancer_devices() {
            lines.push(format!("link set {device} up"));
        }
        for (end, address) in self.layout.balancer_ends().iter().zip(addresses) {
            lines.extend(vlan(end));
            lines.push(format!("addr add {address}/24 dev {end}"));
            lines.push(format!("addr add {}/64 dev {end} nodad", six(address)));
            lines.push(format!("link set {end} up"));
        }
        ip(hosts.balancer, &lines)
    }

    fn server(&self, server: &Netns, number: u8) -> Result<()> {
        let end = self.layout.server_end();
        let own = self.layout.server(number);
        let mut lines = vec!["link set lo up".to_owned()];
        lines.extend(vlan(end));
        lines.extend([
            format!("addr add {own}/24 dev {end}"),
            format!("addr add {}/64 dev {end} nodad", six(own)),
            "link set eth0 up".to_owned(),
            format!("link set {end} up"),
        ]);
        let by = match self.layout {
            Layout::OneArmed => None,
            Layout::Vlans if self.mode.is_direct_return() => Some(CLIENT_INSIDE),
            Layout::TwoArmed | Layout::Vlans => Some(self.layout.balancer_inside()),
        };
        if let Some(router) = by {
            lines.push(format!("route add default via {router}"));
            lines.push(format!("route add default via {}", six(router)));
        }
        if self.has_tunnel_devices {
            if self.mode == Mode::Gue {
                lines.push(format!("fou add port {TUNNEL_PORT} gue"));
            }
            lines.push(format!("link add name tunnel type ipip local {own}"));
            lines.push("link set tunnel up".to_owned());
        }
        if self.mode.is_direct_return() {
            lines.push(format!("addr add {VIP}/32 dev lo"));
            lines.push(format!("addr add {}/128 dev lo nodad", six(VIP)));
        }
        ip(server, &lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(Layout::OneArmed.server(1).to_string(), "10.1.0.11");
        assert_eq!(Layout::TwoArmed.server(3).to_string(), "10.2.0.13");
        assert_eq!(Layout::TwoArmed.balancer_devices().len(), 2);
        assert_eq!(Layout::Vlans.balancer_ends().len(), 2);
        assert_eq!(vlan("eth0.10"), ["link add link eth0 name eth0.10 type vlan id 10"]);
        assert!(vlan("eth0").is_empty());
        assert_eq!(Family::V6.of(VIP).to_string(), "fd00:a:9::1");
    }
}
