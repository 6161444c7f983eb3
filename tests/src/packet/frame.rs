//! Frames, built by a crate that shares no code with ours: every length and checksum is computed anew, over the whole packet.

mod across;
mod read;

use std::net::{IpAddr, SocketAddr};

use etherparse::{Ethernet2Header, IpDscp, IpEcn, IpNumber, Ipv4Header, Ipv4Options, TcpHeader, ip_number};

use super::ip::{Ip, udp_header};
use super::outer::Outer;
use super::places::{BALANCER_MAC, ROUTER_MAC};
use lb_userspace::core::model::Protocol;

/// What trailing bytes of a frame are filled with: nothing that a balancer would write there.
const PADDING: u8 = 0xee;
/// Time to live, or hop limit, of packets as they come in.
const TTL: u8 = 60;

/// An IP packet in an Ethernet frame.
#[derive(Clone, Debug)]
pub struct Frame {
    pub source_mac: [u8; 6],
    pub destination_mac: [u8; 6],
    /// Its length and checksum are those of [`Frame::bytes`].
    ip: Ip,
    /// IPv6 extension headers: number, and bytes, of which the first says what follows.
    extensions: Vec<(IpNumber, Vec<u8>)>,
    pub transport: Transport,
    pub payload: Vec<u8>,
    /// Bytes behind the packet: short frames are filled up.
    pub padding: Vec<u8>,
    /// Whether it was of the other family before.
    is_translated: bool,
    /// What is in front of it.
    outer: Option<Outer>,
}

#[derive(Clone, Debug)]
pub enum Transport {
    Tcp(TcpHeader),
    Udp {
        ports: (u16, u16),
        checksum: bool,
    },
    /// Some other protocol's, its header in the payload.
    Other,
}

impl Frame {
    /// A TCP packet without flags, from the router to the balancer.
    pub fn tcp(from: impl Into<SocketAddr>, to: impl Into<SocketAddr>) -> Self {
        let (from, to) = (from.into(), to.into());
        let header = TcpHeader::new(from.port(), to.port(), 0x0123_4567, 0xfaf0);
        Self::new(from, to, Transport::Tcp(header))
    }

    /// A UDP packet, from the router to the balancer.
    pub fn udp(from: impl Into<SocketAddr>, to: impl Into<SocketAddr>) -> Self {
        let (from, to) = (from.into(), to.into());
        let ports = (from.port(), to.port());
        Self::new(from, to, Transport::Udp { ports, checksum: true })
    }

    /// A packet of some other protocol, from the router to the balancer; its header is for the payload to have.
    pub fn of_protocol(from: IpAddr, to: IpAddr, protocol: u8) -> Self {
        let (from, to) = (SocketAddr::new(from, 0), SocketAddr::new(to, 0));
        Self::of(from, to, IpNumber(protocol), Transport::Other)
    }

    /// An SCTP packet (RFC 9260) with one chunk of this type. Its checksum is nobody's to look at on the way.
    pub fn sctp(from: impl Into<SocketAddr>, to: impl Into<SocketAddr>, chunk: u8) -> Self {
        let (from, to) = (from.into(), to.into());
        let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        let (tag, checksum) = ([0x12, 0x34, 0x56, 0x78], [0x9a, 0xbc, 0xde, 0xf0]);
        let header = [&ports, &tag[..], &checksum, &[chunk, 0, 0, 4]].concat();
        Self::of_protocol(from.ip(), to.ip(), ip_number::SCTP.0).payload(&header)
    }

    /// The first packet of a flow: of a service for every protocol, ESP.
    pub fn first(protocol: Protocol, from: impl Into<SocketAddr>, to: impl Into<SocketAddr>) -> Self {
        let (from, to) = (from.into(), to.into());
        match protocol {
            Protocol::Tcp => Self::tcp(from, to).syn(),
            Protocol::Udp => Self::udp(from, to),
            Protocol::Sctp => Self::sctp(from, to, 1),
            Protocol::Any => Self::of_protocol(from.ip(), to.ip(), 50).payload(b"sealed"),
        }
    }

    fn new(from: SocketAddr, to: SocketAddr, transport: Transport) -> Self {
        let protocol = match transport {
            Transport::Tcp(_) => ip_number::TCP,
            Transport::Udp { .. } => ip_number::UDP,
            Transport::Other => panic!("it has no ports"),
        };
        Self::of(from, to, protocol, transport)
    }

    fn of(from: SocketAddr, to: SocketAddr, protocol: IpNumber, transport: Transport) -> Self {
        let ip = match Ip::between(from.ip(), to.ip(), TTL, protocol) {
            Ip::V4(header) => Ip::V4(Ipv4Header {
                identification: 0x1d0f,
                dont_fragment: false,
                ..header
            }),
            v6 => v6,
        };
        Self {
            source_mac: ROUTER_MAC,
            destination_mac: BALANCER_MAC,
            ip,
            extensions: Vec::new(),
            transport,
            payload: Vec::new(),
            padding: Vec::new(),
            is_translated: false,
            outer: None,
        }
    }

    pub fn source(&self) -> IpAddr {
        match &self.ip {
            Ip::V4(ip) => ip.source.into(),
            Ip::V6(ip) => ip.source.into(),
        }
    }

    pub fn destination(&self) -> IpAddr {
        match &self.ip {
            Ip::V4(ip) => ip.destination.into(),
            Ip::V6(ip) => ip.destination.into(),
        }
    }

    /// Source and destination.
    ///
    /// # Panics
    ///
    /// If its protocol has none.
    pub fn ports(&self) -> (u16, u16) {
        match &self.transport {
            Transport::Tcp(header) => (header.source_port, header.destination_port),
            Transport::Udp { ports, .. } => *ports,
            Transport::Other => panic!("it has no ports"),
        }
    }

    fn flags(mut self, set: impl FnOnce(&mut TcpHeader)) -> Self {
        if let Transport::Tcp(header) = &mut self.transport {
            set(header);
        }
        self
    }

    fn acknowledging(self) -> Self {
        self.flags(|tcp| {
            tcp.ack = true;
            tcp.acknowledgment_number = 0x89ab_cdef;
        })
    }

    pub fn syn(self) -> Self {
        self.flags(|tcp| tcp.syn = true)
    }

    pub fn syn_ack(self) -> Self {
        self.syn().acknowledging()
    }

    pub fn ack(self) -> Self {
        self.acknowledging()
    }

    pub fn fin(self) -> Self {
        self.acknowledging().flags(|tcp| tcp.fin = true)
    }

    pub fn rst(self) -> Self {
        self.flags(|tcp| tcp.rst = true)
    }

    /// A packet in the middle of a connection.
    pub fn data(self, payload: &[u8]) -> Self {
        self.acknowledging().flags(|tcp| tcp.psh = true).payload(payload)
    }

    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// Options of TCP, a multiple of 4 bytes.
    pub fn tcp_options(self, options: &[u8]) -> Self {
        self.flags(|tcp| tcp.set_options_raw(options).expect("at most 40 bytes"))
    }

    /// Options of IPv4, a multiple of 4 bytes.
    pub fn ip_options(mut self, options: &[u8]) -> Self {
        if let Ip::V4(ip) = &mut self.ip {
            ip.options = Ipv4Options::try_from(options).expect("at most 40 bytes, a multiple of 4");
        }
        self
    }

    /// One more IPv6 extension header behind those that there are; what its first byte is to be is seen to.
    pub fn extension(mut self, number: IpNumber, bytes: &[u8]) -> Self {
        self.extensions.push((number, bytes.to_vec()));
        self
    }

    pub fn dscp_and_ecn(mut self, dscp: u8, ecn: u8) -> Self {
        match &mut self.ip {
            Ip::V4(ip) => {
                ip.dscp = IpDscp::try_new(dscp).expect("6 bits");
                ip.ecn = IpEcn::try_new(ecn).expect("2 bits");
            }
            Ip::V6(ip) => ip.traffic_class = dscp << 2 | ecn,
        }
        self
    }

    /// Time to live, or hop limit.
    pub fn ttl(mut self, ttl: u8) -> Self {
        match &mut self.ip {
            Ip::V4(ip) => ip.time_to_live = ttl,
            Ip::V6(ip) => ip.hop_limit = ttl,
        }
        self
    }

    /// Bytes behind the packet.
    pub fn padded(mut self, bytes: usize) -> Self {
        self.padding = vec![PADDING; bytes];
        self
    }

    /// UDP that says that it has no checksum.
    pub fn without_checksum(mut self) -> Self {
        if let Transport::Udp { checksum, .. } = &mut self.transport {
            *checksum = false;
        }
        self
    }

    pub fn macs(mut self, source: [u8; 6], destination: [u8; 6]) -> Self {
        self.source_mac = source;
        self.destination_mac = destination;
        self
    }

    /// The same with its time to live one less.
    pub fn forwarded(self) -> Self {
        let ttl = match &self.ip {
            Ip::V4(ip) => ip.time_to_live,
            Ip::V6(ip) => ip.hop_limit,
        };
        self.ttl(ttl - 1)
    }

    /// The same from somebody else of the same family.
    pub fn from(mut self, from: impl Into<SocketAddr>) -> Self {
        let from = from.into();
        match (&mut self.ip, from.ip()) {
            (Ip::V4(ip), IpAddr::V4(from)) => ip.source = from.octets(),
            (Ip::V6(ip), IpAddr::V6(from)) => ip.source = from.octets(),
            _ => panic!("{from} is of the other family"),
        }
        match &mut self.transport {
            Transport::Tcp(header) => header.source_port = from.port(),
            Transport::Udp { ports, .. } => ports.0 = from.port(),
            Transport::Other => {}
        }
        self
    }

    /// The same to somebody else of the same family.
    pub fn to(mut self, to: impl Into<SocketAddr>) -> Self {
        let to = to.into();
        match (&mut self.ip, to.ip()) {
            (Ip::V4(ip), IpAddr::V4(to)) => ip.destination = to.octets(),
            (Ip::V6(ip), IpAddr::V6(to)) => ip.destination = to.octets(),
            _ => panic!("{to} is of the other family"),
        }
        match &mut self.transport {
            Transport::Tcp(header) => header.destination_port = to.port(),
            Transport::Udp { ports, .. } => ports.1 = to.port(),
            Transport::Other => {}
        }
        self
    }

    /// The same behind an outer header (RFC 2003, RFC 2473): DSCP and ECN copied, never fragmented, identification 0, time to live
    /// 64.
    pub fn in_tunnel(self, source: impl Into<IpAddr>, destination: impl Into<IpAddr>) -> Self {
        let outer = Some(Outer::around(&self.ip, source.into(), destination.into()));
        Self { outer, ..self }
    }

    /// The same with a UDP header to this port between (GUE variant 1). It has a checksum in IPv6, as the packet's own say what is
    /// in it: so not where it has none, nor has extension headers.
    pub fn in_gue(self, source: impl Into<IpAddr>, destination: impl Into<IpAddr>, port: u16) -> Self {
        let is_summed = match self.transport {
            Transport::Tcp(_) => true,
            Transport::Udp { checksum, .. } => checksum,
            Transport::Other => [ip_number::ICMP, ip_number::IPV6_ICMP].contains(&self.ip.protocol()),
        };
        let can_be_summed = is_summed && self.extensions.is_empty();
        let outer = Outer::around(&self.ip, source.into(), destination.into());
        let outer = Some(outer.with_udp(port, can_be_summed));
        Self { outer, ..self }
    }

    /// The same with what spreads flows, the outer header's flow label and the UDP header's source port, as in these bytes.
    pub fn spread_as(self, bytes: &[u8]) -> Self {
        let outer = self.outer.map(|outer| outer.spread_as(bytes));
        Self { outer, ..self }
    }

    /// The packet as it lies on the wire, from the IP header on.
    pub fn packet(&self) -> Vec<u8> {
        self.bytes()[14..].to_vec()
    }

    /// The frame as it lies on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut ip = self.ip.clone();
        let mut behind = self.chain(&mut ip);
        let segment = self.segment();
        if self.is_translated {
            ip = ip.of_translated(segment.len(), self.checksum(&segment));
        }
        behind.extend_from_slice(&segment);
        let mut packet = ip.sealed(behind.len());
        packet.extend_from_slice(&behind);
        if let Some(outer) = &self.outer {
            packet.splice(0..0, outer.in_front_of(&packet));
        }
        let ethernet = Ethernet2Header {
            source: self.source_mac,
            destination: self.destination_mac,
            ether_type: self.outer.as_ref().map_or(&self.ip, Outer::ip).ether_type(),
        };
        let mut bytes = ethernet.to_bytes().to_vec();
        bytes.extend_from_slice(&packet);
        bytes.extend_from_slice(&self.padding);
        bytes
    }

    /// The extension headers, each naming the next.
    fn chain(&self, ip: &mut Ip) -> Vec<u8> {
        let Ip::V6(ip) = ip else { return Vec::new() };
        let mut bytes = Vec::new();
        let mut next = ip.next_header;
        for (number, extension) in self.extensions.iter().rev() {
            let mut extension = extension.clone();
            extension[0] = next.0;
            bytes.splice(0..0, extension);
            next = *number;
        }
        ip.next_header = next;
        bytes
    }

    /// The TCP or UDP header and what follows it.
    fn segment(&self) -> Vec<u8> {
        let mut bytes = match &self.transport {
            Transport::Tcp(header) => {
                let mut header = header.clone();
                header.checksum = match &self.ip {
                    Ip::V4(ip) => header.calc_checksum_ipv4_raw(ip.source, ip.destination, &self.payload),
                    Ip::V6(ip) => header.calc_checksum_ipv6_raw(ip.source, ip.destination, &self.payload),
                }
                .expect("short enough");
                header.to_bytes().to_vec()
            }
            Transport::Udp { ports, checksum } => udp_header(&self.ip, *ports, *checksum, &self.payload),
            Transport::Other => Vec::new(),
        };
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}
