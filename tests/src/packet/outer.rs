//! Outer headers of tunnels.

use std::net::IpAddr;

use etherparse::{IpDscp, IpEcn, ip_number};

use super::ip::{Ip, udp_header};

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// An outer header, and a UDP header behind it.
#[derive(Clone, Debug)]
pub struct Outer {
    ip: Ip,
    udp: Option<Udp>,
}

#[derive(Clone, Copy, Debug)]
struct Udp {
    ports: (u16, u16),
    checksum: bool,
}

impl Outer {
    /// One for a packet with this header.
    pub fn around(inner: &Ip, source: IpAddr, destination: IpAddr) -> Self {
        let (protocol, class) = match inner {
            Ip::V4(ip) => (ip_number::IPV4, ip.dscp.value() << 2 | ip.ecn.value()),
            Ip::V6(ip) => (ip_number::IPV6, ip.traffic_class),
        };
        let mut ip = Ip::between(source, destination, 64, protocol);
        match &mut ip {
            Ip::V4(outer) => {
                outer.dscp = IpDscp::try_new(class >> 2).expect("6 bits");
                outer.ecn = IpEcn::try_new(class & 3).expect("2 bits");
            }
            Ip::V6(outer) => outer.traffic_class = class,
        }
        Self { ip, udp: None }
    }

    /// With a UDP header to this port behind it, whose source port is still to be said; in IPv6 with a checksum if it can have one.
    pub fn with_udp(mut self, port: u16, can_be_summed: bool) -> Self {
        let checksum = match &mut self.ip {
            Ip::V4(ip) => {
                ip.protocol = ip_number::UDP;
                false
            }
            Ip::V6(ip) => {
                ip.next_header = ip_number::UDP;
                can_be_summed
            }
        };
        let ports = (0, port);
        self.udp = Some(Udp { ports, checksum });
        self
    }

    /// With the flow label and the UDP source port of this frame.
    pub fn spread_as(mut self, frame: &[u8]) -> Self {
        let behind = match &mut self.ip {
            Ip::V4(_) => ETHERNET + 20,
            Ip::V6(ip) => {
                let word = u32::from_be_bytes(frame[ETHERNET..ETHERNET + 4].try_into().expect("4 bytes"));
                ip.flow_label = (word & 0xf_ffff).try_into().expect("20 bits");
                ETHERNET + 40
            }
        };
        if let Some(udp) = &mut self.udp {
            udp.ports.0 = u16::from_be_bytes(frame[behind..behind + 2].try_into().expect("2 bytes"));
        }
        self
    }

    pub fn ip(&self) -> &Ip {
        &self.ip
    }

    /// Its bytes in front of a packet.
    pub fn in_front_of(&self, packet: &[u8]) -> Vec<u8> {
        let udp = self
            .udp
            .map_or_else(Vec::new, |udp| udp_header(&self.ip, udp.ports, udp.checksum, packet));
        let mut bytes = self.ip.clone().sealed(udp.len() + packet.len());
        bytes.extend(udp);
        bytes
    }
}
