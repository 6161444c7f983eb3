//! Frames in the other IP version, as RFC 7915 has them.

use std::net::SocketAddr;

use super::super::ip::Ip;
use super::{Frame, Transport};

impl Frame {
    /// The same from and to somebody of the other family: without options or extension headers, in IPv6 with a checksum.
    pub fn across(self, from: SocketAddr, to: SocketAddr) -> Self {
        let (class, hops) = match &self.ip {
            Ip::V4(ip) => (ip.dscp.value() << 2 | ip.ecn.value(), ip.time_to_live),
            Ip::V6(ip) => (ip.traffic_class, ip.hop_limit),
        };
        let transport = match self.transport {
            Transport::Udp { ports, .. } if from.is_ipv6() => Transport::Udp { ports, checksum: true },
            transport => transport,
        };
        let frame = Self {
            ip: Ip::between(from.ip(), to.ip(), hops, self.ip.protocol()),
            extensions: Vec::new(),
            transport,
            is_translated: true,
            ..self
        };
        frame.dscp_and_ecn(class >> 2, class & 3).from(from).to(to)
    }

    /// With this identification, and whether IPv4 says that it is not to be fragmented.
    pub fn identified(mut self, identification: u16, dont_fragment: bool) -> Self {
        if let Ip::V4(ip) = &mut self.ip {
            ip.identification = identification;
            ip.dont_fragment = dont_fragment;
        }
        Self {
            is_translated: false,
            ..self
        }
    }

    /// What stands in the checksum of a segment.
    pub(super) fn checksum(&self, segment: &[u8]) -> u16 {
        let at = match self.transport {
            Transport::Tcp(_) => 16,
            Transport::Udp { .. } => 6,
            Transport::Other => panic!("it has none"),
        };
        u16::from_be_bytes([segment[at], segment[at + 1]])
    }
}
