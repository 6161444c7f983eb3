//! Frames that somebody else built.

use etherparse::{EtherType, Ethernet2Header, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader, ip_number};

use super::super::ip::Ip;
use super::{Frame, Transport};

impl Frame {
    /// A frame that somebody else built, to be put into a tunnel: IP without extension headers, with any protocol.
    ///
    /// # Panics
    ///
    /// If that is not what it is.
    pub fn around(bytes: &[u8]) -> Self {
        let (ethernet, rest) = Ethernet2Header::from_slice(bytes).expect("an Ethernet header");
        let (ip, payload) = match ethernet.ether_type {
            EtherType::IPV4 => {
                let (ip, rest) = Ipv4Header::from_slice(rest).expect("an IPv4 header");
                (Ip::V4(ip), rest)
            }
            _ => {
                let (ip, rest) = Ipv6Header::from_slice(rest).expect("an IPv6 header");
                (Ip::V6(ip), rest)
            }
        };
        let frame = Self {
            source_mac: ethernet.source,
            destination_mac: ethernet.destination,
            ip,
            extensions: Vec::new(),
            transport: Transport::Other,
            payload: payload.to_vec(),
            padding: Vec::new(),
            is_translated: false,
            outer: None,
        };
        assert_eq!(frame.bytes(), bytes);
        frame
    }

    /// A frame that somebody else built: IP without extension headers, with TCP or UDP, its lengths and checksums right; `None`:
    /// anything else.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (ethernet, rest) = Ethernet2Header::from_slice(bytes).ok()?;
        let (ip, protocol, length, rest) = match ethernet.ether_type {
            EtherType::IPV4 => {
                let (ip, rest) = Ipv4Header::from_slice(rest).ok()?;
                (Ip::V4(ip.clone()), ip.protocol, ip.payload_len().ok()?, rest)
            }
            _ => {
                let (ip, rest) = Ipv6Header::from_slice(rest).ok()?;
                (Ip::V6(ip.clone()), ip.next_header, ip.payload_length, rest)
            }
        };
        let (segment, padding) = rest.split_at_checked(length.into())?;
        let (transport, payload) = match protocol {
            ip_number::TCP => {
                let (header, payload) = TcpHeader::from_slice(segment).ok()?;
                (Transport::Tcp(header), payload)
            }
            ip_number::UDP => {
                let (header, payload) = UdpHeader::from_slice(segment).ok()?;
                let ports = (header.source_port, header.destination_port);
                let checksum = header.checksum != 0;
                (Transport::Udp { ports, checksum }, payload)
            }
            _ => return None,
        };
        let frame = Self {
            source_mac: ethernet.source,
            destination_mac: ethernet.destination,
            ip,
            extensions: Vec::new(),
            transport,
            payload: payload.to_vec(),
            padding: padding.to_vec(),
            is_translated: false,
            outer: None,
        };
        (frame.bytes() == bytes).then_some(frame)
    }
}
