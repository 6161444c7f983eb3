//! Frames, built by a crate that shares no code with ours: every length and checksum is computed anew, over the whole packet.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{EtherType, Ethernet2Header, IpDscp, IpEcn, Ipv4Header, Ipv4Options, TcpHeader, UdpHeader, ip_number};

use super::places::{BALANCER_MAC, ROUTER_MAC};

/// What trailing bytes of a frame are filled with: nothing that a balancer would write there.
const PADDING: u8 = 0xee;
/// Time to live of packets as they come in.
const TTL: u8 = 60;

/// An IPv4 packet in an Ethernet frame.
#[derive(Clone, Debug)]
pub struct Frame {
    pub source_mac: [u8; 6],
    pub destination_mac: [u8; 6],
    /// Its length and checksum are those of [`Frame::bytes`].
    pub ip: Ipv4Header,
    pub transport: Transport,
    pub payload: Vec<u8>,
    /// Bytes behind the packet: short frames are filled up.
    pub padding: Vec<u8>,
    /// Header in front of it, closest last.
    outer: Option<Ipv4Header>,
}

#[derive(Clone, Debug)]
pub enum Transport {
    Tcp(TcpHeader),
    Udp { ports: (u16, u16), checksum: bool },
}

impl Frame {
    /// A TCP packet without flags, from the router to the balancer.
    pub fn tcp(from: SocketAddrV4, to: SocketAddrV4) -> Self {
        let header = TcpHeader::new(from.port(), to.port(), 0x0123_4567, 0xfaf0);
        Self::new(from, to, Transport::Tcp(header))
    }

    /// A UDP packet, from the router to the balancer.
    pub fn udp(from: SocketAddrV4, to: SocketAddrV4) -> Self {
        let ports = (from.port(), to.port());
        Self::new(from, to, Transport::Udp { ports, checksum: true })
    }

    fn new(from: SocketAddrV4, to: SocketAddrV4, transport: Transport) -> Self {
        let protocol = match transport {
            Transport::Tcp(_) => ip_number::TCP,
            Transport::Udp { .. } => ip_number::UDP,
        };
        let ip = Ipv4Header {
            source: from.ip().octets(),
            destination: to.ip().octets(),
            identification: 0x1d0f,
            time_to_live: TTL,
            protocol,
            ..Ipv4Header::default()
        };
        Self {
            source_mac: ROUTER_MAC,
            destination_mac: BALANCER_MAC,
            ip,
            transport,
            payload: Vec::new(),
            padding: Vec::new(),
            outer: None,
        }
    }

    /// A frame that somebody else built: IPv4 with TCP or UDP, its lengths and checksums right; `None`: anything else.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (ethernet, rest) = Ethernet2Header::from_slice(bytes).ok()?;
        let (ip, rest) = Ipv4Header::from_slice(rest).ok()?;
        let (segment, padding) = rest.split_at_checked(ip.payload_len().ok()?.into())?;
        let (transport, payload) = match ip.protocol {
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
            transport,
            payload: payload.to_vec(),
            padding: padding.to_vec(),
            outer: None,
        };
        (frame.bytes() == bytes).then_some(frame)
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
        self.ip.options = Ipv4Options::try_from(options).expect("at most 40 bytes, a multiple of 4");
        self
    }

    pub fn dscp_and_ecn(mut self, dscp: u8, ecn: u8) -> Self {
        self.ip.dscp = IpDscp::try_new(dscp).expect("6 bits");
        self.ip.ecn = IpEcn::try_new(ecn).expect("2 bits");
        self
    }

    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ip.time_to_live = ttl;
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
        let ttl = self.ip.time_to_live - 1;
        self.ttl(ttl)
    }

    /// The same from somebody else.
    pub fn from(mut self, from: SocketAddrV4) -> Self {
        self.ip.source = from.ip().octets();
        match &mut self.transport {
            Transport::Tcp(header) => header.source_port = from.port(),
            Transport::Udp { ports, .. } => ports.0 = from.port(),
        }
        self
    }

    /// The same to somebody else.
    pub fn to(mut self, to: SocketAddrV4) -> Self {
        self.ip.destination = to.ip().octets();
        match &mut self.transport {
            Transport::Tcp(header) => header.destination_port = to.port(),
            Transport::Udp { ports, .. } => ports.1 = to.port(),
        }
        self
    }

    /// The same behind an outer header (RFC 2003): DSCP and ECN copied, never fragmented, identification 0, time to live 64.
    pub fn in_tunnel(mut self, source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        self.outer = Some(Ipv4Header {
            dscp: self.ip.dscp,
            ecn: self.ip.ecn,
            dont_fragment: true,
            time_to_live: 64,
            protocol: ip_number::IPV4,
            source: source.octets(),
            destination: destination.octets(),
            ..Ipv4Header::default()
        });
        self
    }

    /// The frame as it lies on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut ip = self.ip.clone();
        let segment = self.segment();
        sealed(&mut ip, segment.len());
        let ethernet = Ethernet2Header {
            source: self.source_mac,
            destination: self.destination_mac,
            ether_type: EtherType::IPV4,
        };
        let mut bytes = ethernet.to_bytes().to_vec();
        if let Some(outer) = &self.outer {
            let mut outer = outer.clone();
            sealed(&mut outer, ip.header_len() + segment.len());
            bytes.extend_from_slice(&outer.to_bytes());
        }
        bytes.extend_from_slice(&ip.to_bytes());
        bytes.extend_from_slice(&segment);
        bytes.extend_from_slice(&self.padding);
        bytes
    }

    /// The TCP or UDP header and what follows it.
    fn segment(&self) -> Vec<u8> {
        let mut bytes = match &self.transport {
            Transport::Tcp(header) => {
                let mut header = header.clone();
                header.checksum = header
                    .calc_checksum_ipv4(&self.ip, &self.payload)
                    .expect("short enough");
                header.to_bytes().to_vec()
            }
            Transport::Udp {
                ports: (from, to),
                checksum: true,
            } => {
                let header = UdpHeader::with_ipv4_checksum(*from, *to, &self.ip, &self.payload);
                header.expect("short enough").to_bytes().to_vec()
            }
            Transport::Udp {
                ports: (from, to),
                checksum: false,
            } => {
                let header = UdpHeader::without_ipv4_checksum(*from, *to, self.payload.len());
                header.expect("short enough").to_bytes().to_vec()
            }
        };
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

/// Gives a header its length and checksum.
fn sealed(ip: &mut Ipv4Header, payload: usize) {
    ip.set_payload_len(payload).expect("short enough");
    ip.header_checksum = ip.calc_header_checksum();
}
