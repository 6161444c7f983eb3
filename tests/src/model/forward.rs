//! To a backend by its mode, and back to a client.

use std::net::{IpAddr, SocketAddr};

use lb_common::abi::Tags;
use lb_common::reason::Reason;
use lb_userspace::core::model::Mode;
use lb_userspace::core::observed::ResolvedHop;

use super::across;
use super::bytes::{RIGHT, Sums, octets, pseudo, put16, sealed, sum, u16_at};
use super::fragments::Way;
use super::frame::{Ends, Frame, ICMP, ICMPV6, Part, TCP, UDP};
use super::icmp::Said;
use super::outer::in_outer;
use super::{Backend, Balancer, End, Fate, Service, Step, Wanted, end};

const SYN: u8 = 2;
const BEGINS_NOT: u8 = 1 | 4 | 16;

/// A packet from the IP header on, padding included, and the places of sums that are not known.
#[derive(Clone)]
pub struct Packet {
    pub bytes: Vec<u8>,
    pub sums: Sums,
}

/// What the sums over all that checksums cover are.
pub struct Checked {
    /// Of IPv4's header.
    pub header: Option<u16>,
    /// Of what is behind the header, if it has one.
    pub transport: Option<u16>,
}

impl Balancer {
    /// To a backend of the service with this number.
    pub(super) fn forward(&mut self, frame: &Frame, ends: &Ends, number: usize) -> Step<Fate> {
        let flags = match frame.whole(ends) {
            Ok(flags) => flags,
            Err(End(Reason::TtlExpired)) => return Ok(Self::say(frame, Said::TooFar)),
            Err(end) => return Err(end),
        };
        let service = &self.services[number];
        let (mode, is_fullnat) = (service.mode, service.mode == Mode::Fullnat);
        if is_fullnat && ends.from.ip().is_unspecified() {
            return end(Reason::BadSource);
        }
        let begins = ends.protocol != TCP || flags & (SYN | BEGINS_NOT) == SYN;
        let (id, source) = match is_fullnat {
            true => self.source(ends, number, begins)?,
            false => (self.owner(ends, number)?.0, ends.from),
        };
        let service = &self.services[number];
        let backend = service.backends[&id];
        let Some(hop) = backend.hop else {
            return end(Reason::NoNextHop);
        };
        let largest = largest(service, &backend, &hop);
        if frame.total_length() > largest {
            return Ok(Self::say(frame, Said::TooBig(largest)));
        }
        let hash = self.owner(ends, number)?.1;
        let way = Way::ToBackend {
            service: number,
            backend: id,
            from: source.ip(),
            hash,
        };
        self.remember(ends, way);
        let service = &self.services[number];
        let clamped = clamped(frame, ends, flags, service.mss_clamp);
        let frame = &Frame {
            packet: &clamped.bytes,
            ..*frame
        };
        let packet = match mode {
            Mode::L2 | Mode::Ipip | Mode::Gue => {
                let mut packet = forwarded(frame, ends);
                packet.sums.wrong.extend(&clamped.sums.wrong);
                match mode {
                    Mode::L2 => packet,
                    _ => in_outer(frame, ends, packet, service, &backend, hash),
                }
            }
            Mode::Nat | Mode::Fullnat => return rewritten(frame, ends, (source, backend.address), &hop, id),
        };
        Ok(sent(frame, packet, &hop, id))
    }

    /// From a backend to a client, if it is that.
    pub(super) fn back(&mut self, frame: &Frame, ends: &Ends) -> Step<Fate> {
        let Some((client, number, id)) = self.client(ends) else {
            return end(Reason::NoService);
        };
        let flags = match frame.whole(ends) {
            Ok(flags) => flags,
            Err(End(Reason::TtlExpired)) => return Ok(Self::say(frame, Said::TooFar)),
            Err(end) => return Err(end),
        };
        let largest = across::largest(self.clients.mtu, frame.is_ipv6(), client.is_ipv6());
        if frame.total_length() > largest {
            return Ok(Self::say(frame, Said::TooBig(largest)));
        }
        let way = Way::ToClient {
            service: number,
            backend: id,
            client: client.ip(),
        };
        self.remember(ends, way);
        let service = &self.services[number];
        let vip = SocketAddr::new(service.vip.address, service.vip.port);
        let clamped = clamped(frame, ends, flags, service.mss_clamp);
        let frame = &Frame {
            packet: &clamped.bytes,
            ..*frame
        };
        rewritten(frame, ends, (vip, client), &self.clients, id)
    }

    /// The client, service and backend of a backend's packet.
    pub(super) fn client(&self, ends: &Ends) -> Option<(SocketAddr, usize, u32)> {
        if let Some(held) = self.flows.by_source.get(&ends.to) {
            let service = &self.services[held.service];
            if service.number() == Some(ends.protocol) && service.backends[&held.backend].address == ends.from {
                return Some((held.client, held.service, held.backend));
            }
        }
        let services = self.services.iter().enumerate();
        let nat = services.filter(|(_, service)| service.mode == Mode::Nat && service.number() == Some(ends.protocol));
        nat.flat_map(|(number, service)| service.backends.iter().map(move |(id, backend)| (number, *id, backend)))
            .find(|(_, _, backend)| backend.address == ends.from)
            .map(|(number, id, _)| (ends.to, number, id))
    }
}

/// Bytes of the largest packet, as it comes in, that the next hop takes.
pub fn largest(service: &Service, backend: &Backend, hop: &ResolvedHop) -> usize {
    let outer = if backend.address.is_ipv6() { 40 } else { 20 };
    let added = match service.mode {
        Mode::Ipip => outer,
        Mode::Gue => outer + 8,
        Mode::Fullnat => return across::largest(hop.mtu, service.vip.address.is_ipv6(), backend.address.is_ipv6()),
        Mode::Nat | Mode::L2 => 0,
    };
    usize::from(hop.mtu).saturating_sub(added)
}

/// The frame to a next hop.
pub fn sent(frame: &Frame, packet: Packet, hop: &ResolvedHop, backend: u32) -> Fate {
    let tags = match hop.tags {
        Tags::KEPT => frame.tags.to_vec(),
        tags => {
            let bytes = tags.bytes();
            let count = [tags.outer(), tags.inner()].iter().filter(|tag| **tag != 0).count();
            bytes[..4 * count].to_vec()
        }
    };
    let in_front = 14 + tags.len();
    let frame = Wanted {
        bytes: Frame::around(hop.destination_mac, hop.source_mac, &tags, &packet.bytes),
        sums: packet.sums.behind(in_front),
    };
    Fate::Sent { backend, frame }
}

/// The sums of a packet as it came.
pub fn checked(packet: &[u8], ends: &Ends) -> Checked {
    let header = (packet[0] >> 4 == 4).then(|| sum(&[&packet[..ends.header]]));
    let transport = covered(packet, ends).map(|(range, _)| {
        let pseudo = match ends.protocol {
            ICMP => Vec::new(),
            _ => pseudo(ends.from.ip(), ends.to.ip(), ends.protocol, range.len()),
        };
        sum(&[&pseudo, &packet[range]])
    });
    Checked { header, transport }
}

/// What the checksum behind the IP header covers, and where it is; none if there is none.
pub fn covered(packet: &[u8], ends: &Ends) -> Option<(std::ops::Range<usize>, usize)> {
    let total = match packet[0] >> 4 {
        4 => usize::from(u16_at(packet, 2)?),
        _ => 40 + usize::from(u16_at(packet, 4)?),
    };
    if let Part::Later(_) = ends.part {
        return None;
    }
    match ends.protocol {
        TCP => Some((ends.header..total, ends.header + 16)),
        UDP => {
            let length = usize::from(u16_at(packet, ends.header + 4)?);
            let at = ends.header + 6;
            // Of a first fragment what is in it; all else stays as it is.
            let end = match ends.part {
                Part::First(_) => total,
                _ => ends.header + length,
            };
            (u16_at(packet, at)? != 0).then_some((ends.header..end, at))
        }
        ICMP if packet[0] >> 4 == 4 => Some((ends.header..total, ends.header + 2)),
        ICMPV6 if packet[0] >> 4 == 6 => Some((ends.header..total, ends.header + 2)),
        _ => None,
    }
}

/// Makes the sums of a changed packet what they were.
pub fn seal(packet: &mut [u8], ends: &Ends, came: &Checked) -> Sums {
    let mut sums = Sums::default();
    if let Some(all) = came.header {
        put16(packet, 10, 0);
        let checksum = sealed(&[&packet[..ends.header]], all);
        put16(packet, 10, checksum);
        if all != RIGHT {
            sums.wrong.push(10);
        }
    }
    if let (Some(all), Some((range, at))) = (came.transport, covered(packet, ends)) {
        put16(packet, at, 0);
        let pseudo = match ends.protocol {
            ICMP => Vec::new(),
            _ => pseudo(ends.from.ip(), ends.to.ip(), ends.protocol, range.len()),
        };
        let checksum = match sealed(&[&pseudo, &packet[range]], all) {
            // RFC 768: that would say that there is none.
            0 if ends.protocol == UDP => 0xffff,
            checksum => checksum,
        };
        put16(packet, at, checksum);
        if all != RIGHT {
            sums.wrong.push(at);
        }
    }
    sums
}

/// Options of a SYN that are looked at for the largest segment.
const OPTIONS: usize = 6;

/// The packet, which if it is a SYN names no larger segments than this (RFC 9293, sections 3.1 and 3.7.1).
fn clamped(frame: &Frame, ends: &Ends, flags: u8, most: Option<u16>) -> Packet {
    let mut packet = Packet {
        bytes: frame.packet.to_vec(),
        sums: Sums::default(),
    };
    let Some(most) = most.filter(|_| ends.protocol == TCP && flags & SYN != 0) else {
        return packet;
    };
    let came = checked(&packet.bytes, ends);
    let end = ends.header + usize::from(packet.bytes[ends.header + 12] >> 4) * 4;
    let mut at = ends.header + 20;
    for _ in 0..OPTIONS {
        let Some(option) = packet.bytes.get(at..end).filter(|option| option.len() >= 4) else {
            return packet;
        };
        match *option {
            [2, 4, high, low, ..] => {
                if u16::from_be_bytes([high, low]) > most {
                    put16(&mut packet.bytes, at + 2, most);
                    packet.sums = seal(&mut packet.bytes, ends, &came);
                }
                return packet;
            }
            [0, ..] | [2..=255, 0 | 1, ..] => return packet,
            [1, ..] => at += 1,
            [_, length, ..] => at += usize::from(length),
            [] | [_] => return packet,
        }
    }
    packet
}

/// One hop less to go.
pub fn one_hop_less(packet: &mut [u8]) {
    let at = if packet[0] >> 4 == 6 { 7 } else { 8 };
    packet[at] -= 1;
}

/// The packet with one hop less to go.
pub fn forwarded(frame: &Frame, ends: &Ends) -> Packet {
    let came = checked(frame.packet, ends);
    let mut bytes = frame.packet.to_vec();
    one_hop_less(&mut bytes);
    // Its transport's sum does not cover that.
    let sums = seal(&mut bytes, ends, &came);
    Packet { bytes, sums }
}

/// The packet with other addresses and ports to a next hop; in the version that those have.
pub fn rewritten(
    frame: &Frame,
    ends: &Ends,
    (from, to): (SocketAddr, SocketAddr),
    hop: &ResolvedHop,
    backend: u32,
) -> Step<Fate> {
    if to.is_ipv6() == frame.is_ipv6() {
        return Ok(sent(frame, translated(frame, ends, from, to), hop, backend));
    }
    if let Some(most) = across::too_big(frame, ends, hop) {
        return Ok(across::said(frame, ends, most));
    }
    let packet = across::translated(frame, ends, from, to)?;
    Ok(sent(frame, packet, hop, backend))
}

/// The packet with other addresses and ports, and one hop less to go.
fn translated(frame: &Frame, ends: &Ends, from: SocketAddr, to: SocketAddr) -> Packet {
    let came = checked(frame.packet, ends);
    let mut bytes = frame.packet.to_vec();
    one_hop_less(&mut bytes);
    readdress(&mut bytes, from.ip(), to.ip());
    if !matches!(ends.part, Part::Later(_)) {
        put16(&mut bytes, ends.header, from.port());
        put16(&mut bytes, ends.header + 2, to.port());
    }
    let ends = Ends { from, to, ..*ends };
    let sums = seal(&mut bytes, &ends, &came);
    Packet { bytes, sums }
}

/// Writes addresses into an IP header.
pub fn readdress(packet: &mut [u8], from: IpAddr, to: IpAddr) {
    let (at, length) = if packet[0] >> 4 == 6 { (8, 16) } else { (12, 4) };
    packet[at..at + length].copy_from_slice(&octets(from));
    packet[at + length..at + 2 * length].copy_from_slice(&octets(to));
}
