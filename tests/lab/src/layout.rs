//! The two layouts: what addresses the hosts have, and how they are cabled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::link::{Offload, ip, set_offload};
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

/// The bridge's port that the balancer is on.
const BALANCER_PORT: &str = "balancer";

/// How packets reach a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Fullnat,
    Nat,
    L2,
    Ipip,
    Gue,
}

impl Mode {
    pub const ALL: [Self; 5] = [Self::Fullnat, Self::Nat, Self::L2, Self::Ipip, Self::Gue];

    /// For whoever means none in particular: `fullnat`, which is the default of `lb`; on kernels that are older than what it
    /// needs, `l2`, which is laid out alike.
    pub fn usual() -> Self {
        let uname = rustix::system::uname();
        if can_fullnat(&uname.release().to_string_lossy()) {
            Self::Fullnat
        } else {
            Self::L2
        }
    }

    /// As the command line has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fullnat => "fullnat",
            Self::Nat => "nat",
            Self::L2 => "l2",
            Self::Ipip => "ipip",
            Self::Gue => "gue",
        }
    }

    /// Whether servers answer past the balancer, and so hold the VIP themselves.
    pub fn is_direct_return(self) -> bool {
        matches!(self, Self::L2 | Self::Ipip | Self::Gue)
    }

    /// Whether servers get packets with an outer header.
    pub fn is_tunnel(self) -> bool {
        matches!(self, Self::Ipip | Self::Gue)
    }
}

/// Whether a kernel of this release has what `fullnat` needs: that came with 5.12.
fn can_fullnat(release: &str) -> bool {
    let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 12)
}

/// How the hosts are cabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Client, balancer and servers on one bridge, in 10.1.0.0/24. The client reaches the VIP by the balancer.
    OneArmed,
    /// The client's link ends at the balancer, in 10.1.0.0/24; the servers are on a bridge behind it, in 10.2.0.0/24,
    /// and reach everything by the balancer.
    TwoArmed,
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
            Self::TwoArmed => Ipv4Addr::new(10, 2, 0, 1),
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
            Self::OneArmed => &["eth0"],
            Self::TwoArmed => &["eth0", "eth1"],
        }
    }
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
}

impl Cabling {
    /// Puts links, addresses, routes and settings in place; everywhere turns transmit checksum offload off, and GRO on: a veth
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
            Layout::OneArmed => vec![port],
            Layout::TwoArmed => vec![(hosts.client, "eth0"), port],
        }
    }

    /// The bridge's ports, each named as the host on it.
    fn ports(&self, hosts: &Hosts) -> Vec<String> {
        let mut ports = vec![BALANCER_PORT.to_owned()];
        if self.layout == Layout::OneArmed {
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
        if self.layout == Layout::OneArmed {
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
        lines.extend([
            format!("link set eth0 mtu {MTU_BYTES}"),
            format!("addr add {}/24 dev eth0", self.layout.client()),
            format!("addr add {}/64 dev eth0 nodad", six(self.layout.client())),
            "link set eth0 up".to_owned(),
            format!("route add {VIP}/32 via {}", self.layout.balancer()),
            format!("route add {}/128 via {}", six(VIP), six(self.layout.balancer())),
        ]);
        ip(hosts.client, &lines)
    }

    fn balancer(&self, hosts: &Hosts) -> Result<()> {
        let addresses = [self.layout.balancer(), self.layout.balancer_inside()];
        let mut lines = vec!["link set lo up".to_owned()];
        for (device, address) in self.layout.balancer_devices().iter().zip(addresses) {
            lines.push(format!("addr add {address}/24 dev {device}"));
            lines.push(format!("addr add {}/64 dev {device} nodad", six(address)));
            lines.push(format!("link set {device} up"));
        }
        ip(hosts.balancer, &lines)
    }

    fn server(&self, server: &Netns, number: u8) -> Result<()> {
        let mut lines = vec![
            "link set lo up".to_owned(),
            format!("addr add {}/24 dev eth0", self.layout.server(number)),
            format!("addr add {}/64 dev eth0 nodad", six(self.layout.server(number))),
            "link set eth0 up".to_owned(),
        ];
        if self.layout == Layout::TwoArmed {
            let balancer = self.layout.balancer_inside();
            lines.push(format!("route add default via {balancer}"));
            lines.push(format!("route add default via {}", six(balancer)));
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
    fn releases_of_kernels() {
        let can = ["5.12.0", "5.15.0-91-generic", "6.1.0-56-amd64", "7.3.4", "10.0-rc1"];
        assert!(can.iter().all(|release| can_fullnat(release)));
        let cannot = ["5.10.0-46-cloud-amd64", "5.11.22", "4.19.0", "5.9.0", "unknown", ""];
        assert!(!cannot.iter().any(|release| can_fullnat(release)));
    }

    #[test]
    fn addresses() {
        assert_eq!(Layout::OneArmed.server(1).to_string(), "10.1.0.11");
        assert_eq!(Layout::TwoArmed.server(3).to_string(), "10.2.0.13");
        assert_eq!(Layout::TwoArmed.balancer_devices().len(), 2);
        assert_eq!(Family::V6.of(VIP).to_string(), "fd00:a:9::1");
    }
}
