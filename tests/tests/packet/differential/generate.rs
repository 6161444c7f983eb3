//! Packets of all sorts: for services, back from backends, about them, for others; whole and damaged.

use std::net::{IpAddr, SocketAddr};

use etherparse::ip_number;
use lb_tests::model::Flow;
use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, Family, STRANGER, STRANGER6};
use lb_tests::packet::tag::{Tag, tagged};
use lb_tests::packet::{Frame, Icmp, Random};
use lb_userspace::core::model::Mode;
use lb_userspace::edge::dataplane::run::MAX_FRAME;

use super::doors::{DOORS, Door, in_prefix};

/// Clients: few enough that flows are met again, and have room.
const CLIENTS: usize = 150;
/// The first port that a flow of `fullnat` gets, and how many will be given.
const FIRST_HELD: u16 = 20_000;
const HELD: usize = 400;

pub struct Generator {
    pub(super) random: Random,
    /// Fragments of datagrams that have begun.
    pub(super) parts: Vec<Vec<u8>>,
    /// Flows of `fullnat` that have begun.
    flows: Vec<Flow>,
}

impl Generator {
    pub fn new(random: Random) -> Self {
        Self {
            random,
            parts: Vec::new(),
            flows: Vec::new(),
        }
    }

    /// Flows that have begun, of which those are known that did before.
    pub fn meet(&mut self, flows: &[Flow]) {
        self.flows.extend(&flows[self.flows.len()..]);
    }

    /// One more.
    pub fn packet(&mut self) -> Vec<u8> {
        let mut packet = match self.random.below(18) {
            0..=7 => self.for_service().bytes(),
            8 | 9 => self.for_client().bytes(),
            10 => self.echo().bytes(),
            11 | 12 => self.error().bytes(),
            13 => self.for_stranger().bytes(),
            14..=16 => self.fragment(),
            _ => self.garbage(),
        };
        if self.one_in(3) {
            for _ in 0..=self.random.below(2) {
                self.damage(&mut packet);
            }
        }
        let mut packet = match self.random.below(4) {
            0 => tagged(&packet, &self.tags()),
            _ => packet,
        };
        packet.truncate(MAX_FRAME);
        packet
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.random.below(count) == 0
    }

    pub(super) fn family(&mut self) -> Family {
        *self.random.pick(&Family::BOTH)
    }

    pub(super) fn door(&mut self) -> Door {
        *self.random.pick(&DOORS)
    }

    /// A flow that there is, as a rule.
    pub(super) fn flow(&mut self) -> Option<Flow> {
        let has_one = !self.flows.is_empty() && !self.one_in(5);
        has_one.then(|| *self.random.pick(&self.flows))
    }

    pub(super) fn client(&mut self, family: Family) -> SocketAddr {
        family.client(self.random.below(CLIENTS) as u16)
    }

    /// A packet of some length, and with all that an IP header can have: as a rule with TCP or UDP.
    pub(super) fn between(&mut self, from: SocketAddr, to: SocketAddr) -> Frame {
        let protocol = self.random.below(12);
        let frame = if protocol == 0 {
            let chunk = *self.random.pick(&[0, 1, 1, 10]);
            Frame::sctp(from, to, chunk)
        } else if protocol == 1 {
            let number = *self.random.pick(&[0, 47, 50, 51, 89, 132, 1, 58, 255]);
            Frame::of_protocol(from.ip(), to.ip(), number)
        } else if self.one_in(3) {
            let udp = Frame::udp(from, to);
            if self.one_in(4) { udp.without_checksum() } else { udp }
        } else {
            let tcp = Frame::tcp(from, to);
            match self.random.below(6) {
                0 => tcp.syn().tcp_options(&[2, 4, 5, 0xb4]),
                1 => {
                    let options = self.tcp_options();
                    tcp.syn().tcp_options(&options)
                }
                2 => tcp.fin(),
                3 => tcp.rst(),
                4 => {
                    let options = self.tcp_options();
                    tcp.syn_ack().tcp_options(&options)
                }
                _ => tcp.ack(),
            }
        };
        let length = match self.random.below(8) {
            0 if self.one_in(3) => 1500 + self.random.below(1800),
            0 => 1360 + self.random.below(160),
            1 => 470 + self.random.below(120),
            2 => 0,
            _ => self.random.below(60),
        };
        let header = frame.payload.len();
        let mut payload = frame.payload.clone();
        payload.resize(header + length, 0);
        self.random.fill(&mut payload[header..]);
        let ttl = match self.random.below(12) {
            0 => self.random.below(3) as u8,
            _ => self.random.bits() as u8,
        };
        let (dscp, ecn) = (self.random.below(64) as u8, self.random.below(4) as u8);
        let mut frame = frame.payload(&payload).dscp_and_ecn(dscp, ecn).ttl(ttl);
        if self.one_in(6) {
            frame = frame.padded(self.random.below(24));
        }
        if from.is_ipv4() && self.one_in(5) {
            frame = frame.ip_options(&vec![1; 4 * (1 + self.random.below(10))]);
        }
        if from.is_ipv6() && self.one_in(4) {
            frame = self.with_extensions(frame);
        }
        frame
    }

    /// Some, in any order, and some that are none.
    fn tcp_options(&mut self) -> Vec<u8> {
        let kinds: [&[u8]; 8] = [
            &[2, 4, 5, 0xb4],
            &[2, 4, 0xff, 0xff],
            &[2, 4, 2, 0],
            &[1],
            &[4, 2],
            &[3, 3, 7],
            &[8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
            &[2, 3, 9],
        ];
        let mut options = Vec::new();
        for _ in 0..self.random.below(9) {
            let kind: &[u8] = self.random.pick::<&[u8]>(&kinds);
            options.extend_from_slice(kind);
        }
        if self.one_in(10) {
            options.extend([254, self.random.bits() as u8, 0]);
        }
        options.truncate(40);
        options.resize(options.len().next_multiple_of(4), 0);
        options
    }

    fn with_extensions(&mut self, mut frame: Frame) -> Frame {
        for _ in 0..=self.random.below(9) {
            frame = match self.random.below(8) {
                0..=2 => frame.extension(ip_number::IPV6_HEADER_HOP_BY_HOP, &[0, 0, 1, 4, 0, 0, 0, 0]),
                3 | 4 => frame.extension(ip_number::IPV6_DESTINATION_OPTIONS, &{
                    let units = self.random.below(4);
                    let mut bytes = vec![0; 8 * (units + 1)];
                    bytes[1] = units as u8;
                    bytes
                }),
                5 => {
                    let left = u8::from(self.one_in(4));
                    frame.extension(ip_number::IPV6_ROUTE_HEADER, &[0, 0, 4, left, 0, 0, 0, 0])
                }
                6 => {
                    let more = u8::from(self.one_in(2));
                    let offset = if self.one_in(3) { 0x10 } else { 0 };
                    frame.extension(
                        ip_number::IPV6_FRAGMENTATION_HEADER,
                        &[0, 0, 0, offset | more, 1, 2, 3, 4],
                    )
                }
                _ => frame.extension(ip_number::IPV6_FRAGMENTATION_HEADER, &[0, 9, 0, 6, 1, 2, 3, 4]),
            };
        }
        frame
    }

    pub(super) fn for_service(&mut self) -> Frame {
        let family = self.family();
        let (door, from) = (self.door(), self.client(family));
        let from = if self.one_in(60) {
            SocketAddr::new(unspecified(family), from.port())
        } else {
            from
        };
        let port = match self.random.below(8) {
            0 => 150 + self.random.below(200) as u16,
            1 => self.random.bits() as u16,
            _ => door.port,
        };
        let address = match door.prefix {
            Some(_) => in_prefix(family, self.random.bits() as u8 & 0x3f),
            None => family.service().ip(),
        };
        self.between(from, SocketAddr::new(address, port))
    }

    /// From a backend of a mode that translates, to whom it would answer.
    pub(super) fn for_client(&mut self) -> Frame {
        let family = self.family();
        let (backend, to) = self.backend_and_peer(family);
        self.between(backend, to).macs(BACKEND_MAC, BALANCER_MAC)
    }

    /// Of a service of this family; of a flow of `fullnat`, of any.
    pub(super) fn backend_and_peer(&mut self, family: Family) -> (SocketAddr, SocketAddr) {
        let door = match self.one_in(4) {
            true => self.door(),
            false => self.translating(),
        };
        if door.mode == Mode::Fullnat
            && let Some(flow) = self.flow()
        {
            return (flow.backend, flow.source);
        }
        let family = door.backend_family(family);
        let (first, count) = door.backends;
        let backend = family.backend(first + self.random.below(usize::from(count.max(1))) as u8);
        let held = FIRST_HELD + self.random.below(HELD) as u16;
        let to = match door.mode {
            Mode::Fullnat => SocketAddr::new(family.source(), held),
            _ => self.client(family),
        };
        (backend, to)
    }

    /// A service whose backends answer this way.
    pub(super) fn translating(&mut self) -> Door {
        let doors: Vec<_> = DOORS.iter().filter(|door| door.mode.translates()).collect();
        **self.random.pick(&doors)
    }

    pub(super) fn for_stranger(&mut self) -> Frame {
        let family = self.family();
        let to = match (self.random.below(3), family) {
            (0, _) => SocketAddr::new(family.service().ip(), 9),
            (_, Family::V4) => STRANGER.into(),
            (_, Family::V6) => STRANGER6.into(),
        };
        let from = self.client(family);
        self.between(from, to)
    }

    fn echo(&mut self) -> Icmp {
        let family = self.family();
        let kind = match (self.random.below(6), family) {
            (0, Family::V4) => (0, 0),
            (0, Family::V6) => (129, 0),
            (1, _) => (self.random.bits() as u8, 0),
            (_, Family::V4) => (8, 0),
            (_, Family::V6) => (128, 0),
        };
        let mut payload = vec![0; self.random.below(80)];
        self.random.fill(&mut payload);
        let from = self.client(family).ip();
        let from = if self.one_in(20) { unspecified(family) } else { from };
        Icmp::new(from, family.service().ip(), kind).payload(&payload)
    }

    /// Anything that says of itself that it is IP.
    fn garbage(&mut self) -> Vec<u8> {
        let mut frame = vec![0; 14 + self.random.below(120)];
        self.random.fill(&mut frame);
        let ethertype = self
            .random
            .pick(&[[0x08, 0x00], [0x86, 0xdd], [0x08, 0x06], [0x81, 0x00]]);
        frame[12..14].copy_from_slice(ethertype);
        if let Some(first) = frame.get_mut(14) {
            *first = *self.random.pick(&[0x45, 0x46, 0x4f, 0x60, 0x65, 0x44]);
        }
        frame
    }

    fn tags(&mut self) -> Vec<Tag> {
        let protocols = [0x8100, 0x8100, 0x8100, 0x88a8, 0x88a8, 0x9100];
        let count = 1 + self.random.below(3);
        (0..count)
            .map(|_| Tag(*self.random.pick(&protocols), self.random.bits() as u16))
            .collect()
    }

    fn damage(&mut self, packet: &mut Vec<u8>) {
        match self.random.below(6) {
            0 => {
                let length = 14 + self.random.below(packet.len() - 13);
                packet.truncate(length);
            }
            1 => {
                // Near the front, where everything is that counts.
                let length = 14 + self.random.below(packet.len().min(100) - 13);
                packet.truncate(length);
            }
            2 | 3 => {
                let place = self.random.below(packet.len().min(90));
                packet[place] = self.random.bits() as u8;
            }
            4 => {
                let place = self.random.below(packet.len());
                packet[place] ^= 1 << self.random.below(8);
            }
            _ => packet.extend(vec![0xee; self.random.below(40)]),
        }
    }
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::V4 => [0, 0, 0, 0].into(),
        Family::V6 => [0u16; 8].into(),
    }
}
