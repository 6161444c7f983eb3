//! ICMP (RFC 792, RFC 1191) and ICMPv6 (RFC 4443): what is answered, and what is said about packets.

use std::net::{IpAddr, SocketAddr};

use lb_common::reason::Reason;
use lb_userspace::core::model::Mode;

use super::bytes::{pseudo, put16, sum, u16_at};
use super::forward::{self, largest, readdress, seal, sent};
use super::frame::{Ends, Frame, ICMP, ICMPV6, Part};
use super::outer::in_outer;
use super::quoted::Quoted;
use super::{Balancer, Fate, Step, Wanted, end};

/// How much of a packet an error quotes: the first of these that the packet has, if its IP header and eight bytes fit in.
const QUOTED: [usize; 5] = [512, 128, 68, 48, 28];

/// What is said to the sender of a packet that is not forwarded.
#[derive(Clone, Copy)]
pub enum Said {
    TooFar,
    /// This much would have fit.
    TooBig(usize),
}

impl Balancer {
    /// Tells a packet's sender what became of it, if it can be told.
    pub(super) fn say(frame: &Frame, said: Said) -> Fate {
        let (reason, else_) = match said {
            Said::TooFar => (Reason::TtlExpiredAnswered, Reason::TtlExpired),
            Said::TooBig(_) => (Reason::TooBigAnswered, Reason::TooBig),
        };
        let is_ipv6 = frame.is_ipv6();
        let (from, to) = ends(frame);
        let is_for_many = frame.destination_mac[0] & 1 != 0;
        // RFC 1122, section 3.2.2; RFC 4443 has no such rule.
        let is_later = !is_ipv6 && u16_at(frame.packet, 6).is_some_and(|word| word & 0x1fff != 0);
        let header = if is_ipv6 {
            40
        } else {
            usize::from(frame.packet[0] & 0xf) * 4
        };
        let total = frame.total_length();
        let quoted = QUOTED.into_iter().find(|bytes| *bytes <= total && header + 8 <= *bytes);
        let Some(quoted) = quoted.filter(|_| !is_for_many && !is_later && may_be_told(from)) else {
            return Fate::Dropped(else_);
        };
        let mut message = match (said, is_ipv6) {
            (Said::TooFar, false) => vec![11, 0],
            (Said::TooFar, true) => vec![3, 0],
            (Said::TooBig(_), false) => vec![3, 4],
            (Said::TooBig(_), true) => vec![2, 0],
        };
        let room = match said {
            Said::TooFar => 0,
            Said::TooBig(room) => room as u32,
        };
        message.extend([0, 0]);
        message.extend(room.to_be_bytes());
        message.extend(&frame.packet[..quoted]);
        let (protocol, pseudo) = match is_ipv6 {
            true => (ICMPV6, pseudo(to, from, ICMPV6, message.len())),
            false => (ICMP, Vec::new()),
        };
        let checksum = !sum(&[&pseudo, &message]);
        put16(&mut message, 2, checksum);
        let mut packet = match is_ipv6 {
            true => {
                let length = (message.len() as u16).to_be_bytes();
                let mut header = vec![0x60, 0, 0, 0, length[0], length[1], protocol, 64];
                header.extend([0; 32]);
                header
            }
            false => {
                let length = (message.len() as u16 + 20).to_be_bytes();
                let mut header = vec![0x45, 0xc0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
                header.extend([0; 8]);
                header
            }
        };
        readdress(&mut packet, to, from);
        if !is_ipv6 {
            let checksum = !sum(&[&packet]);
            put16(&mut packet, 10, checksum);
        }
        packet.extend(message);
        Fate::Answered {
            reason,
            else_,
            frame: Wanted::exactly(back(frame, &packet)),
        }
    }

    /// Whether it is an ICMP packet, and what becomes of that.
    pub(super) fn icmp(&self, frame: &Frame) -> Option<Step<Fate>> {
        Control::read(frame).map(|control| self.control(frame, &control))
    }

    fn control(&self, frame: &Frame, control: &Control) -> Step<Fate> {
        let is_ipv6 = frame.is_ipv6();
        let (request, reply) = if is_ipv6 { (128, 129) } else { (8, 0) };
        if (control.kind, control.code) == (request, 0) {
            return self.echo(frame, control, reply);
        }
        let is_error = match is_ipv6 {
            true => control.kind < 128,
            false => [3, 11, 12].contains(&control.kind),
        };
        if !is_error {
            return end(Reason::NotTcpUdp);
        }
        match self.has_address(control.to) {
            true => self.about_backend(frame, control),
            false => self.about_client(frame, control),
        }
    }

    fn echo(&self, frame: &Frame, control: &Control, reply: u8) -> Step<Fate> {
        if !self.has_address(control.to) || !may_be_told(control.from) {
            return end(Reason::NotTcpUdp);
        }
        let ends = control.ends();
        let came = forward::checked(frame.packet, &ends);
        let mut packet = frame.packet.to_vec();
        packet[control.header] = reply;
        readdress(&mut packet, control.to, control.from);
        packet[if frame.is_ipv6() { 7 } else { 8 }] = 64;
        let mut sums = seal(&mut packet, &ends.turned(), &came);
        // A reply of nothing but zeros has a sum of zero, which both stand for.
        sums.wrong.push(control.header + 2);
        let bytes = back(frame, &packet);
        let sums = sums.behind(bytes.len() - packet.len());
        Ok(Fate::Answered {
            reason: Reason::EchoAnswered,
            else_: Reason::EchoAnswered,
            frame: Wanted { bytes, sums },
        })
    }

    /// An error about a backend's packet.
    fn about_backend(&self, frame: &Frame, control: &Control) -> Step<Fate> {
        let quoted = Quoted::read(frame, control)?;
        let flow = quoted.turned(control.header);
        let Some(number) = self.find(&flow) else {
            return end(Reason::NotTcpUdp);
        };
        if frame.hops_left() <= 1 {
            return end(Reason::TtlExpired);
        }
        let service = &self.services[number];
        let (id, hash) = match service.mode {
            Mode::Fullnat if !self.flows.of_clients.contains_key(&(flow.from, number)) => return end(Reason::NoFlow),
            _ => self.owner(&flow, number)?,
        };
        let backend = service.backends[&id];
        let Some(hop) = backend.hop else {
            return end(Reason::NoNextHop);
        };
        if frame.total_length() > largest(service, &backend, &hop) {
            return end(Reason::TooBig);
        }
        let packet = match service.mode {
            Mode::Nat | Mode::Fullnat => {
                let peer = match service.mode {
                    Mode::Fullnat => self.flows.of_clients[&(flow.from, number)],
                    _ => flow.from,
                };
                let to = backend.address;
                // Who says so has no address of the other version: it is said by whom the backend knows.
                let from = match to.is_ipv6() == control.is_ipv6 {
                    true => control.from,
                    false => peer.ip(),
                };
                quoted.rewritten(frame, control, (from, to.ip()), (to, peer), &hop)?
            }
            Mode::L2 => forward::forwarded(frame, &control.ends()),
            Mode::Ipip | Mode::Gue => {
                let ends = control.ends();
                let packet = forward::forwarded(frame, &ends);
                in_outer(frame, &ends, packet, service, &backend, hash)
            }
        };
        Ok(sent(frame, packet, &hop, id))
    }

    /// An error about a client's packet.
    fn about_client(&self, frame: &Frame, control: &Control) -> Step<Fate> {
        let quoted = Quoted::read(frame, control)?;
        let Some((client, number, id)) = self.client(&quoted.turned(control.header)) else {
            return end(Reason::NotTcpUdp);
        };
        if frame.hops_left() <= 1 {
            return end(Reason::TtlExpired);
        }
        let vip = self.services[number].vip;
        let vip = SocketAddr::new(vip.address, vip.port);
        let ends = (vip.ip(), client.ip());
        let packet = quoted.rewritten(frame, control, ends, (client, vip), &self.clients)?;
        Ok(sent(frame, packet, &self.clients, id))
    }
}

/// Whether an error may be sent to such an address (RFC 1122, section 3.2.2; RFC 4443, section 2.4).
fn may_be_told(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(source) => {
            let [first, ..] = source.octets();
            first != 0 && first != 127 && first < 224
        }
        IpAddr::V6(source) => !source.is_multicast() && !source.is_unspecified(),
    }
}

/// Source and destination of a frame's packet.
fn ends(frame: &Frame) -> (IpAddr, IpAddr) {
    match frame.is_ipv6() {
        true => (frame.address(8), frame.address(24)),
        false => (frame.address(12), frame.address(16)),
    }
}

/// A frame back to where another one came from, with its tags.
fn back(frame: &Frame, packet: &[u8]) -> Vec<u8> {
    Frame::around(frame.source_mac, frame.destination_mac, frame.tags, packet)
}

/// An ICMP packet, whole.
pub struct Control {
    pub from: IpAddr,
    pub to: IpAddr,
    pub is_ipv6: bool,
    /// Bytes of its IP header.
    pub header: usize,
    pub kind: u8,
    pub code: u8,
}

impl Control {
    fn read(frame: &Frame) -> Option<Self> {
        let ip = frame.packet;
        let is_ipv6 = frame.is_ipv6();
        let header = if is_ipv6 { 40 } else { usize::from(ip[0] & 0xf) * 4 };
        let protocol = if is_ipv6 { ip[6] } else { ip[9] };
        let is_fragment = !is_ipv6 && u16_at(ip, 6)? & 0x3fff != 0;
        let total = frame.total_length();
        let is_icmp = protocol == if is_ipv6 { ICMPV6 } else { ICMP };
        if !is_icmp || is_fragment || header + 8 > total || total > ip.len() {
            return None;
        }
        let (from, to) = ends(frame);
        Some(Self {
            from,
            to,
            is_ipv6,
            header,
            kind: ip[header],
            code: ip[header + 1],
        })
    }

    /// As ends without ports.
    pub fn ends(&self) -> Ends {
        Ends {
            from: SocketAddr::new(self.from, 0),
            to: SocketAddr::new(self.to, 0),
            protocol: if self.is_ipv6 { ICMPV6 } else { ICMP },
            header: self.header,
            part: Part::Whole,
        }
    }
}

impl Ends {
    fn turned(&self) -> Self {
        Self {
            from: self.to,
            to: self.from,
            ..*self
        }
    }
}
