//! What a frame says: tags (IEEE 802.1Q), IPv4 (RFC 791), IPv6 (RFC 8200), ports.

use std::net::{IpAddr, SocketAddr};

use lb_common::reason::Reason;

use super::bytes::{address_at, u16_at};
use super::{Step, end};

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const SCTP: u8 = 132;
pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;

/// Extension headers that are followed, and how long all headers of IPv6 may be.
const EXTENSIONS_MAX: usize = 8;
const HEADERS_MAX: usize = 255;

/// An IP packet in a frame.
pub struct Frame<'a> {
    pub destination_mac: [u8; 6],
    pub source_mac: [u8; 6],
    /// As they lie in the frame, at most two.
    pub tags: &'a [u8],
    pub ethertype: u16,
    /// From the IP header on, padding included.
    pub packet: &'a [u8],
}

/// Where a packet comes from and goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub protocol: u8,
    /// Bytes of the IP header with options or extension headers.
    pub header: usize,
    pub part: Part,
}

/// How much of a datagram a packet has; a fragment with the identification of its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Whole,
    First(u32),
    /// It has no ports.
    Later(u32),
}

impl Part {
    fn of(offset: u16, has_more: bool, identification: u32) -> Self {
        match (offset, has_more) {
            (0, false) => Self::Whole,
            (0, true) => Self::First(identification),
            _ => Self::Later(identification),
        }
    }
}

/// A packet with neither TCP nor UDP.
pub enum Other {
    /// Whoever it is for.
    Known(Ends),
    /// SCTP that ends before its ports.
    Short(Ends),
}

impl Ends {
    fn with_ports(self, from: u16, to: u16) -> Self {
        Self {
            from: SocketAddr::new(self.from.ip(), from),
            to: SocketAddr::new(self.to.ip(), to),
            ..self
        }
    }
}

impl<'a> Frame<'a> {
    /// An IP packet with at most two tags; anything else is none.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut at = 12;
        let ethertype = loop {
            let ethertype = u16_at(bytes, at)?;
            match ethertype {
                0x8100 | 0x88a8 if at < 20 => at += 4,
                0x0800 | 0x86dd => break ethertype,
                _ => return None,
            }
        };
        Some(Self {
            destination_mac: bytes[..6].try_into().ok()?,
            source_mac: bytes[6..12].try_into().ok()?,
            tags: &bytes[12..at],
            ethertype,
            packet: &bytes[at + 2..],
        })
    }

    pub fn is_ipv6(&self) -> bool {
        self.ethertype == 0x86dd
    }

    /// The frame around a packet, with other MACs and tags.
    pub fn around(destination: [u8; 6], source: [u8; 6], tags: &[u8], packet: &[u8]) -> Vec<u8> {
        let ethertype: u16 = if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 };
        [&destination, &source, tags, &ethertype.to_be_bytes(), packet].concat()
    }

    /// Addresses, ports and protocol; the ports of a later fragment are 0. What cannot be read is ours if a service has its destination address.
    pub fn ends(&self, is_ours: impl Fn(IpAddr) -> bool) -> Step<Ends> {
        if self.is_ipv6() {
            self.ends_of_ipv6(is_ours)
        } else {
            self.ends_of_ipv4(is_ours)
        }
    }

    fn ends_of_ipv4(&self, is_ours: impl Fn(IpAddr) -> bool) -> Step<Ends> {
        let ip = self.packet;
        if ip.len() < 20 || ip[0] >> 4 != 4 {
            return end(Reason::OtherMalformed);
        }
        if usize::from(ip[0] & 0xf) * 4 < 20 {
            return end(if is_ours(self.address(16)) {
                Reason::BadLength
            } else {
                Reason::OtherMalformed
            });
        }
        self.with_ports(self.upper_of_ipv4(), is_ours)
    }

    /// Behind the header, without ports.
    fn upper_of_ipv4(&self) -> Ends {
        let ip = self.packet;
        let word = u16::from_be_bytes([ip[6], ip[7]]);
        let identification = u16::from_be_bytes([ip[4], ip[5]]);
        Ends {
            from: SocketAddr::new(self.address(12), 0),
            to: SocketAddr::new(self.address(16), 0),
            protocol: ip[9],
            header: usize::from(ip[0] & 0xf) * 4,
            part: Part::of(word & 0x1fff, word & 0x2000 != 0, identification.into()),
        }
    }

    /// With the ports of TCP and UDP; a later fragment has none.
    fn with_ports(&self, ends: Ends, is_ours: impl Fn(IpAddr) -> bool) -> Step<Ends> {
        if let Part::Later(_) = ends.part {
            return Ok(ends);
        }
        if ends.protocol != TCP && ends.protocol != UDP {
            return end(Reason::NotTcpUdp);
        }
        match self.ports(ends.header) {
            Some((source_port, port)) => Ok(ends.with_ports(source_port, port)),
            None if is_ours(ends.to.ip()) => end(Reason::ShortHeader),
            None => end(Reason::OtherMalformed),
        }
    }

    fn ends_of_ipv6(&self, is_ours: impl Fn(IpAddr) -> bool) -> Step<Ends> {
        let ip = self.packet;
        if ip.len() < 40 || ip[0] >> 4 != 6 {
            return end(Reason::OtherMalformed);
        }
        let ends = self.upper_of_ipv6(&is_ours)?;
        self.with_ports(ends, is_ours)
    }

    /// Behind the extension headers, without ports.
    fn upper_of_ipv6(&self, is_ours: impl Fn(IpAddr) -> bool) -> Step<Ends> {
        let ip = self.packet;
        let (from, to) = (self.address(8), self.address(24));
        let mine = |ours, other| end(if is_ours(to) { ours } else { other });
        let (mut next, mut header, mut part) = (ip[6], 40, Part::Whole);
        let mut followed = 0;
        while [0, 43, 44, 60].contains(&next) && !matches!(part, Part::Later(_)) {
            if followed == EXTENSIONS_MAX {
                return mine(Reason::ExtensionHeaders, Reason::NoService);
            }
            // The fragment header has eight bytes, whatever its second one says; of the others four are looked at.
            let seen = if next == 44 { 8 } else { 4 };
            let Some(extension) = ip.get(header..header + seen) else {
                return mine(Reason::ShortHeader, Reason::OtherMalformed);
            };
            let mut bytes = 8;
            match next {
                44 => {
                    let word = u16::from_be_bytes([extension[2], extension[3]]);
                    let identification = [4, 5, 6, 7].map(|at| extension[at]);
                    part = Part::of(word >> 3, word & 1 != 0, u32::from_be_bytes(identification));
                }
                43 if extension[3] != 0 => return mine(Reason::ExtensionHeaders, Reason::NoService),
                _ => bytes = (usize::from(extension[1]) + 1) * 8,
            }
            if header + bytes > HEADERS_MAX {
                return mine(Reason::ExtensionHeaders, Reason::NoService);
            }
            next = extension[0];
            header += bytes;
            followed += 1;
        }
        Ok(Ends {
            from: SocketAddr::new(from, 0),
            to: SocketAddr::new(to, 0),
            protocol: next,
            header,
            part,
        })
    }

    /// Addresses, protocol, and the ports of SCTP, of a packet that has neither TCP nor UDP.
    pub fn other_ends(&self) -> Step<Other> {
        let ends = if self.is_ipv6() {
            self.upper_of_ipv6(|_| false)?
        } else {
            self.upper_of_ipv4()
        };
        if ends.protocol != SCTP {
            return Ok(Other::Known(ends));
        }
        Ok(match self.ports(ends.header) {
            Some((source_port, port)) => Other::Known(ends.with_ports(source_port, port)),
            None => Other::Short(ends),
        })
    }

    /// An address of the IP header, which is there.
    pub fn address(&self, at: usize) -> IpAddr {
        address_at(self.packet, at, self.is_ipv6()).expect("the header is there")
    }

    fn ports(&self, header: usize) -> Option<(u16, u16)> {
        Some((u16_at(self.packet, header)?, u16_at(self.packet, header + 2)?))
    }

    /// Bytes from the IP header on, as that says.
    pub fn total_length(&self) -> usize {
        let field = |at| usize::from(u16_at(self.packet, at).unwrap_or(0));
        if self.is_ipv6() { 40 + field(4) } else { field(2) }
    }

    /// Time to live, or hop limit.
    pub fn hops_left(&self) -> u8 {
        self.packet[if self.is_ipv6() { 7 } else { 8 }]
    }

    /// Type of service, or traffic class.
    pub fn traffic_class(&self) -> u8 {
        let ip = self.packet;
        if self.is_ipv6() { ip[0] << 4 | ip[1] >> 4 } else { ip[1] }
    }

    /// Whether it is as long as it says, with hops left.
    pub fn lengths(&self) -> Step<()> {
        if self.total_length() > self.packet.len() {
            return end(Reason::BadLength);
        }
        if self.hops_left() <= 1 {
            return end(Reason::TtlExpired);
        }
        Ok(())
    }

    /// Whether it is whole, or as a first fragment has the whole transport header. Gives TCP's flags.
    pub fn whole(&self, ends: &Ends) -> Step<u8> {
        self.lengths()?;
        let total = self.total_length();
        let transport = self.packet.get(ends.header..).unwrap_or(&[]);
        if ends.protocol == TCP {
            let Some(header) = transport.get(..20) else {
                return end(Reason::ShortHeader);
            };
            let bytes = usize::from(header[12] >> 4) * 4;
            if bytes < 20 || ends.header + bytes > total {
                return end(Reason::BadLength);
            }
            return Ok(header[13]);
        }
        if ends.protocol == SCTP {
            // The common header, and one chunk's.
            return if ends.header + 16 > total {
                end(Reason::BadLength)
            } else {
                Ok(0)
            };
        }
        if ends.protocol != UDP {
            return if ends.header > total {
                end(Reason::BadLength)
            } else {
                Ok(0)
            };
        }
        let Some(length) = u16_at(transport, 4).filter(|_| transport.len() >= 8) else {
            return end(Reason::ShortHeader);
        };
        // What a first fragment lacks comes in others.
        let needed = match ends.part {
            Part::First(_) => 8,
            _ => usize::from(length),
        };
        if length < 8 || ends.header + needed > total {
            return end(Reason::BadLength);
        }
        Ok(0)
    }
}
