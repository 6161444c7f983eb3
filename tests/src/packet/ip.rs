//! IP headers of frames.

use std::net::IpAddr;

use etherparse::{EtherType, IpNumber, Ipv4Header, Ipv6Header, UdpHeader};

/// An IP header.
#[derive(Clone, Debug)]
pub enum Ip {
    V4(Ipv4Header),
    V6(Ipv6Header),
}

impl Ip {
    /// What follows the header, before any extension header.
    pub fn protocol(&self) -> IpNumber {
        match self {
            Self::V4(ip) => ip.protocol,
            Self::V6(ip) => ip.next_header,
        }
    }

    /// A header of the family that both addresses have, never to be fragmented.
    pub fn between(source: IpAddr, destination: IpAddr, ttl: u8, protocol: IpNumber) -> Self {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Self::V4(Ipv4Header {
                source: source.octets(),
                destination: destination.octets(),
                dont_fragment: true,
                time_to_live: ttl,
                protocol,
                ..Ipv4Header::default()
            }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Self::V6(Ipv6Header {
                source: source.octets(),
                destination: destination.octets(),
                hop_limit: ttl,
                next_header: protocol,
                ..Ipv6Header::default()
            }),
            _ => panic!("{source} and {destination} are of different families"),
        }
    }

    pub fn ether_type(&self) -> EtherType {
        match self {
            Self::V4(_) => EtherType::IPV4,
            Self::V6(_) => EtherType::IPV6,
        }
    }

    /// As one of RFC 7915 in front of so many bytes, which have this checksum: IPv4 may be fragmented if it is small (section 5.1), and is then
    /// identified by that.
    pub fn of_translated(mut self, payload: usize, checksum: u16) -> Self {
        if let Self::V4(ip) = &mut self {
            let is_small = payload + 20 <= 1260;
            ip.dont_fragment = !is_small;
            ip.identification = if is_small { checksum } else { 0 };
        }
        self
    }

    /// The header's bytes, with its length and checksum.
    pub fn sealed(self, payload: usize) -> Vec<u8> {
        match self {
            Self::V4(mut ip) => {
                ip.set_payload_len(payload).expect("short enough");
                ip.header_checksum = ip.calc_header_checksum();
                ip.to_bytes().to_vec()
            }
            Self::V6(mut ip) => {
                ip.set_payload_length(payload).expect("short enough");
                ip.to_bytes().to_vec()
            }
        }
    }
}

/// A UDP header, with a checksum if it is to have one.
pub fn udp_header(ip: &Ip, (from, to): (u16, u16), checksum: bool, payload: &[u8]) -> Vec<u8> {
    let header = UdpHeader::without_ipv4_checksum(from, to, payload.len());
    let mut header = header.expect("short enough");
    if checksum {
        let sum = match ip {
            Ip::V4(ip) => header.calc_checksum_ipv4_raw(ip.source, ip.destination, payload),
            Ip::V6(ip) => header.calc_checksum_ipv6_raw(ip.source, ip.destination, payload),
        };
        header.checksum = sum.expect("short enough");
    }
    header.to_bytes().to_vec()
}
