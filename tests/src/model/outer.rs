//! Outer headers.

use std::net::IpAddr;

use lb_common::encap;
use lb_userspace::core::model::Mode;

use super::bytes::{RIGHT, Sums, pseudo, put16, sum, u16_at};
use super::forward::{Packet, checked, covered, readdress};
use super::frame::{Ends, Frame, Part, UDP};
use super::{Backend, Service};

/// Time to live, or hop limit, of outer headers.
const OUTER_TTL: u8 = 64;

/// A packet behind an outer header (RFC 2003, RFC 2473), for `gue` with UDP between.
pub fn in_outer(frame: &Frame, ends: &Ends, packet: Packet, service: &Service, backend: &Backend, hash: u32) -> Packet {
    let total = frame.total_length();
    let is_gue = service.mode == Mode::Gue;
    let inner = if frame.is_ipv6() { 41 } else { 4 };
    let protocol = if is_gue { UDP } else { inner };
    let mut behind = Vec::new();
    let mut sums = Sums::default();
    if is_gue {
        let source_port = u16::from_be(encap::source_port(hash));
        for word in [source_port, service.tunnel_port, (total + 8) as u16, 0] {
            behind.extend(word.to_be_bytes());
        }
        if backend.address.is_ipv6() {
            let pseudo = pseudo(backend.source, backend.address.ip(), UDP, total + 8);
            let right = match !sum(&[&pseudo, &behind, &packet.bytes[..total]]) {
                0 => 0xffff,
                checksum => checksum,
            };
            let (checksum, place) = match inside(&packet.bytes, ends) {
                Inside::Right => (right, None),
                Inside::Uncovered => (0, None),
                Inside::Wrong(1) => (right, Some(&mut sums.not_this)),
                Inside::Wrong(_) => (right, Some(&mut sums.unknown)),
            };
            put16(&mut behind, 6, checksum);
            if let Some(place) = place {
                *place = Some(40 + 6);
            }
        }
    }
    let source = match service.mode {
        Mode::Ipip => spread(backend, hash),
        _ => backend.source,
    };
    let class = frame.traffic_class();
    let length = total + behind.len();
    let mut outer = match backend.address.ip() {
        IpAddr::V4(_) => {
            let mut header = vec![0x45, class, 0, 0, 0, 0, 0x40, 0, OUTER_TTL, protocol, 0, 0];
            put16(&mut header, 2, (length + 20) as u16);
            header.extend([0; 8]);
            readdress(&mut header, source, backend.address.ip());
            let checksum = !sum(&[&header]);
            put16(&mut header, 10, checksum);
            header
        }
        IpAddr::V6(_) => {
            let first = 6 << 28 | u32::from(class) << 20 | hash & 0xf_ffff;
            let mut header = first.to_be_bytes().to_vec();
            header.extend((length as u16).to_be_bytes());
            header.extend([protocol, OUTER_TTL]);
            header.extend([0; 32]);
            readdress(&mut header, source, backend.address.ip());
            header
        }
    };
    outer.extend(behind);
    let mut all = packet.sums.behind(outer.len());
    all.not_this = sums.not_this;
    all.unknown = sums.unknown;
    Packet {
        bytes: [outer, packet.bytes].concat(),
        sums: all,
    }
}

/// The address of a flow among those that outer headers come from.
fn spread(backend: &Backend, hash: u32) -> IpAddr {
    // The hash's bytes as they lie in memory, the mask's as they lie in the packet.
    let own = u16::from_be_bytes((hash as u16).to_ne_bytes()) & backend.spread;
    match backend.source {
        IpAddr::V4(source) => (source | std::net::Ipv4Addr::from_bits(own.into())).into(),
        IpAddr::V6(source) => (source | std::net::Ipv6Addr::from_bits(own.into())).into(),
    }
}

/// What checksums inside say of a packet's bytes.
enum Inside {
    /// All of them are covered, and right.
    Right,
    /// So many are not.
    Wrong(usize),
    /// Some bytes are covered by none.
    Uncovered,
}

fn inside(packet: &[u8], ends: &Ends) -> Inside {
    let is_ipv6 = packet[0] >> 4 == 6;
    let checked = checked(packet, ends);
    let Some(transport) = checked.transport else {
        return Inside::Uncovered;
    };
    let total = match is_ipv6 {
        true => 40 + usize::from(u16_at(packet, 4).unwrap_or(0)),
        false => usize::from(u16_at(packet, 2).unwrap_or(0)),
    };
    let is_whole = covered(packet, ends).is_some_and(|(range, _)| range.end == total);
    if !is_whole || ends.part != Part::Whole || is_ipv6 && ends.header != 40 {
        return Inside::Uncovered;
    }
    let wrong = [checked.header.unwrap_or(RIGHT), transport];
    match wrong.iter().filter(|sum| **sum != RIGHT).count() {
        0 => Inside::Right,
        wrong => Inside::Wrong(wrong),
    }
}
