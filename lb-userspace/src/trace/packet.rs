//! The packet that is sent.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, IpHeaders, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder, TcpHeader, UdpHeader, ip_number,
};
use lb_common::abi::Tags;

use crate::cli::trace::Flag;
use crate::edge::dataplane::run::MAX_FRAME;

const ETHERNET_BYTES: usize = 14;
/// Two tags.
const MAX_TAGS_BYTES: usize = 8;
/// Longest packet from the IP header on, in bytes.
pub const MAX_LENGTH: usize = MAX_FRAME - ETHERNET_BYTES - MAX_TAGS_BYTES;
/// Time to live, or hop limit.
const TTL: u8 = 64;
const WINDOW: u16 = 64240;

/// What has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

/// Bytes of SCTP's common header with an INIT chunk (RFC 9260, sections 3.1 and 3.3.2).
const SCTP_BYTES: usize = 12 + 20;

/// A packet without content that means anything, not to be fragmented.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    pub from: SocketAddr,
    /// Of the same family.
    pub to: SocketAddr,
    pub transport: Transport,
    /// Of TCP.
    pub flags: Vec<Flag>,
    /// Bytes behind the headers.
    pub payload: usize,
}

impl Packet {
    /// Bytes of its headers, from the IP header on.
    pub fn header_bytes(from: SocketAddr, transport: Transport) -> usize {
        let ip = if from.is_ipv6() {
            Ipv6Header::LEN
        } else {
            Ipv4Header::MIN_LEN
        };
        let transport = match transport {
            Transport::Tcp => TcpHeader::MIN_LEN,
            Transport::Udp => UdpHeader::LEN,
            Transport::Sctp => SCTP_BYTES,
        };
        ip + transport
    }

    /// In an Ethernet frame with these tags.
    pub fn frame(&self, source_mac: [u8; 6], destination_mac: [u8; 6], tags: Tags) -> Vec<u8> {
        let ip = self.ip();
        let ethertype = match &ip {
            IpHeaders::Ipv4(..) => EtherType::IPV4,
            IpHeaders::Ipv6(..) => EtherType::IPV6,
        };
        let tag_bytes = tags.ids().iter().filter(|id| **id != 0).count() * 4;
        let mut frame = [destination_mac, source_mac].concat();
        frame.extend_from_slice(&tags.bytes()[..tag_bytes]);
        frame.extend_from_slice(&ethertype.0.to_be_bytes());
        let payload = vec![0; self.payload];
        let builder = PacketBuilder::ip(ip);
        let (source, destination) = (self.from.port(), self.to.port());
        let written = match self.transport {
            Transport::Tcp => builder.tcp_header(self.tcp()).write(&mut frame, &payload),
            Transport::Udp => builder.udp(source, destination).write(&mut frame, &payload),
            Transport::Sctp => builder.write(&mut frame, ip_number::SCTP, &[&self.sctp()[..], &payload].concat()),
        };
        written.expect("at most MAX_LENGTH bytes, into memory");
        frame
    }

    fn ip(&self) -> IpHeaders {
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                // Its length and the protocol are set when it is written.
                let header = Ipv4Header::new(0, TTL, ip_number::TCP, from.octets(), to.octets());
                IpHeaders::Ipv4(header.expect("no length is no length too many"), Default::default())
            }
            (from, to) => {
                let octets = |address: IpAddr| match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    IpAddr::V6(address) => address.octets(),
                };
                let header = Ipv6Header {
                    traffic_class: 0,
                    flow_label: Ipv6FlowLabel::ZERO,
                    payload_length: 0,
                    next_header: ip_number::TCP,
                    hop_limit: TTL,
                    source: octets(from),
                    destination: octets(to),
                };
                IpHeaders::Ipv6(header, Default::default())
            }
        }
    }

    /// The first packet of an association. Its checksum is for the server to look at, whom it does not get to.
    fn sctp(&self) -> [u8; SCTP_BYTES] {
        const INIT: u8 = 1;
        let mut header = [0; SCTP_BYTES];
        header[..2].copy_from_slice(&self.from.port().to_be_bytes());
        header[2..4].copy_from_slice(&self.to.port().to_be_bytes());
        header[12] = INIT;
        header[15] = (SCTP_BYTES - 12) as u8;
        header
    }

    fn tcp(&self) -> TcpHeader {
        let has = |flag| self.flags.contains(&flag);
        TcpHeader {
            syn: has(Flag::Syn),
            ack: has(Flag::Ack),
            fin: has(Flag::Fin),
            rst: has(Flag::Rst),
            ..TcpHeader::new(self.from.port(), self.to.port(), 1, WINDOW)
        }
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport {
            Transport::Tcp => write!(f, "TCP ")?,
            Transport::Udp => write!(f, "UDP ")?,
            Transport::Sctp => write!(f, "SCTP INIT ")?,
        }
        for flag in &self.flags {
            write!(f, "{} ", flag.name())?;
        }
        let bytes = Self::header_bytes(self.from, self.transport) + self.payload;
        write!(f, "{} > {}, {bytes} bytes", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use lb_common::abi::tag_protocol;
    use lb_common::checksum;

    use super::*;
    use crate::trace::headers::Headers;

    #[test]
    fn frames_are_as_long_as_said_and_whole() {
        let tagged = Tags::NONE.within(tag_protocol::CUSTOMER, 20).unwrap();
        let twice = tagged.within(tag_protocol::SERVICE, 100).unwrap();
        let ends = [
            ("10.1.0.2:40000", "10.9.0.1:80"),
            ("[2001:db8::2]:40000", "[2001:db8::1]:80"),
        ];
        for (tags, vlans) in [(Tags::NONE, vec![]), (tagged, vec![20]), (twice, vec![100, 20])] {
            let each = [Transport::Tcp, Transport::Udp, Transport::Sctp];
            for ((from, to), transport) in ends
                .into_iter()
                .flat_map(|ends| each.map(|transport| (ends, transport)))
            {
                let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
                let least = Packet::header_bytes(from, transport);
                for length in [least, least + 1, MAX_LENGTH] {
                    let packet = Packet {
                        from,
                        to,
                        transport,
                        flags: vec![Flag::Syn],
                        payload: length - least,
                    };
                    let frame = packet.frame([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], tags);
                    let start = ETHERNET_BYTES + vlans.len() * 4;
                    assert_eq!(frame.len(), start + length, "{packet}");
                    let read = Headers::read(&frame, None).unwrap();
                    assert_eq!((read.source, read.destination, &read.vlans), (from, to, &vlans));
                    if from.is_ipv4() {
                        let header = &frame[start..start + Ipv4Header::MIN_LEN];
                        assert_eq!(checksum::sum(header), 0xffff, "{packet}");
                    }
                }
            }
        }
    }
}
