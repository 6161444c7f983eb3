//! ICMP packets in frames, each checksum computed by the crate that builds them.

use std::net::IpAddr;

use etherparse::{Ethernet2Header, Icmpv4Header, Icmpv4Type, Icmpv6Type, ip_number};

use super::ip::Ip;
use super::places::{BALANCER_MAC, ROUTER_MAC};

/// An ICMP packet, from the router to the balancer.
#[derive(Clone, Debug)]
pub struct Icmp {
    pub macs: ([u8; 6], [u8; 6]),
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ttl: u8,
    /// Type of service or traffic class.
    pub class: u8,
    /// Whether IPv4 says that it is not to be fragmented.
    pub dont_fragment: bool,
    /// Whether it was of the other family before: IPv4 says what it then has to.
    pub is_translated: bool,
    pub kind: u8,
    pub code: u8,
    /// What stands behind the checksum.
    pub rest: [u8; 4],
    pub payload: Vec<u8>,
}

impl Icmp {
    /// # Panics
    ///
    /// If the addresses are of different families.
    pub fn new(source: IpAddr, destination: IpAddr, (kind, code): (u8, u8)) -> Self {
        Self {
            macs: (ROUTER_MAC, BALANCER_MAC),
            source,
            destination,
            ttl: 60,
            class: 0,
            dont_fragment: true,
            is_translated: false,
            kind,
            code,
            rest: [0; 4],
            payload: Vec::new(),
        }
    }

    pub fn payload(self, payload: &[u8]) -> Self {
        let payload = payload.to_vec();
        Self { payload, ..self }
    }

    pub fn rest(self, rest: [u8; 4]) -> Self {
        Self { rest, ..self }
    }

    /// The packet from the IP header on.
    pub fn packet(&self) -> Vec<u8> {
        let mut ip = Ip::between(self.source, self.destination, self.ttl, ip_number::ICMP);
        let message = match &mut ip {
            Ip::V4(ip) => {
                ip.dscp = (self.class >> 2).try_into().expect("6 bits");
                ip.ecn = (self.class & 3).try_into().expect("2 bits");
                ip.dont_fragment = self.dont_fragment;
                let kind = Icmpv4Type::Unknown {
                    type_u8: self.kind,
                    code_u8: self.code,
                    bytes5to8: self.rest,
                };
                Icmpv4Header::with_checksum(kind, &self.payload).to_bytes().to_vec()
            }
            Ip::V6(ip) => {
                ip.traffic_class = self.class;
                ip.next_header = ip_number::IPV6_ICMP;
                let kind = Icmpv6Type::Unknown {
                    type_u8: self.kind,
                    code_u8: self.code,
                    bytes5to8: self.rest,
                };
                let header = kind.to_header(ip.source, ip.destination, &self.payload);
                header.expect("short enough").to_bytes().to_vec()
            }
        };
        if self.is_translated {
            let checksum = u16::from_be_bytes([message[2], message[3]]);
            ip = ip.of_translated(message.len() + self.payload.len(), checksum);
        }
        let mut packet = ip.sealed(message.len() + self.payload.len());
        packet.extend(message);
        packet.extend_from_slice(&self.payload);
        packet
    }

    /// The frame as it lies on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let ethernet = Ethernet2Header {
            source: self.macs.0,
            destination: self.macs.1,
            ether_type: if self.source.is_ipv6() {
                etherparse::EtherType::IPV6
            } else {
                etherparse::EtherType::IPV4
            },
        };
        let mut bytes = ethernet.to_bytes().to_vec();
        bytes.extend(self.packet());
        bytes
    }
}
