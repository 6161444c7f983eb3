//! Between IP versions (RFC 7915): what `fullnat` sends on with another one than it came with.
//!
//! Ports and transport are changed as they are within a version. What is particular: the IP header is made anew, a fragment's header goes from
//! the one place to the other, and what cannot be said in the other version ends here. Where RFC 7915 leaves a choice, it is named.

mod errors;

use std::net::{IpAddr, SocketAddr};

use lb_common::reason::Reason;
use lb_userspace::core::observed::ResolvedHop;

use super::bytes::{pseudo, put16, sum, u16_at};
use super::forward::{Checked, Packet, checked, readdress, seal};
use super::frame::{Ends, Frame, Part, TCP, UDP};
use super::icmp::Said;
use super::{Balancer, Fate, Step, end};

/// Bytes of the IPv6 fragment header (RFC 8200, section 4.5), and its number.
const FRAGMENT_BYTES: usize = 8;
const FRAGMENT: u8 = 44;
/// IPv4 packets of no more bytes may be fragmented on their way (RFC 7915, section 5.1).
const SMALL: usize = 1260;
/// The longest UDP datagram that a checksum is computed for: of what is longer, nobody reads all on the way.
const SUMMED: usize = 9216;

/// Bytes of an IP header without options or extension headers.
fn header_bytes(is_ipv6: bool) -> usize {
    if is_ipv6 { 40 } else { 20 }
}

/// Bytes of the largest packet, as it comes in with the one version, that a link takes with the other.
pub fn largest(mtu: u16, from_ipv6: bool, to_ipv6: bool) -> usize {
    let added = header_bytes(to_ipv6) as i16 - header_bytes(from_ipv6) as i16;
    mtu.saturating_sub_signed(added).into()
}

/// What a fragment may have at most, if it has more: as an IPv6 one it has a fragment header, too.
pub fn too_big(frame: &Frame, ends: &Ends, hop: &ResolvedHop) -> Option<usize> {
    let added = header_bytes(true) - header_bytes(false) + FRAGMENT_BYTES;
    let most = usize::from(hop.mtu).saturating_sub(added);
    let grows = !frame.is_ipv6() && ends.part != Part::Whole;
    (grows && frame.total_length() > most).then_some(most)
}

/// What a fragment's sender is told of that. What it quotes may be a segment that was clamped before, whose checksum is that of a part alone.
pub fn said(frame: &Frame, ends: &Ends, most: usize) -> Fate {
    let mut fate = Balancer::say(frame, Said::TooBig(most));
    if let Fate::Answered { frame: answer, .. } = &mut fate {
        let quoted = 14 + frame.tags.len() + header_bytes(false) + 8;
        let at = quoted + ends.header + 16;
        let is_there = ends.protocol == TCP && at + 2 <= answer.bytes.len();
        answer.sums.wrong.extend(is_there.then_some(at));
    }
    fate
}

/// What is kept of an IP header (RFC 7915, sections 4.1 and 5.1).
struct Header {
    class: u8,
    protocol: u8,
    hops: u8,
    from: IpAddr,
    to: IpAddr,
}

impl Header {
    /// It in front of so many bytes: in IPv4 with identification, flags and checksum to be written, in IPv6 with flow label 0.
    fn bytes(&self, behind: usize) -> Vec<u8> {
        let mut header = match self.from {
            IpAddr::V4(_) => {
                let [high, low] = ((20 + behind) as u16).to_be_bytes();
                let header = [0x45, self.class, high, low, 0, 0, 0, 0, self.hops, self.protocol];
                [&header[..], &[0; 10]].concat()
            }
            IpAddr::V6(_) => {
                let first = 6 << 28 | u32::from(self.class) << 20;
                let length = (behind as u16).to_be_bytes();
                let header = [&first.to_be_bytes()[..], &length, &[self.protocol, self.hops]].concat();
                [&header[..], &[0; 32]].concat()
            }
        };
        readdress(&mut header, self.from, self.to);
        header
    }
}

/// Identification and flags of an IPv4 header for a packet that is whole, and the header's checksum. The identification, which RFC 7915 only
/// wants to be fit for putting fragments together again (RFC 6864), is the checksum of what is behind the header.
fn finish(header: &mut [u8], total: usize, checksum: u16) {
    match total <= SMALL {
        true => put16(header, 4, checksum),
        false => put16(header, 6, 0x4000),
    }
    finish_checksum(header);
}

fn finish_checksum(header: &mut [u8]) {
    let checksum = !sum(&[&header[..20]]);
    put16(header, 10, checksum);
}

/// What a fragment says of its datagram.
#[derive(Clone, Copy)]
struct Fragment {
    /// In units of 8 bytes.
    offset: u16,
    has_more: bool,
    identification: u32,
}

impl Fragment {
    /// None of a whole packet.
    fn of(frame: &Frame, ends: &Ends) -> Step<Option<Self>> {
        let (Part::First(identification) | Part::Later(identification)) = ends.part else {
            return Ok(None);
        };
        let word = |at| u16_at(frame.packet, at).expect("the header is there");
        let (offset, has_more) = if frame.is_ipv6() {
            // What lies between it and the transport is part of the datagram, and has no equal in IPv4.
            if last_header(frame.packet, ends.header) != FRAGMENT || ![TCP, UDP].contains(&ends.protocol) {
                return end(Reason::NotTranslated);
            }
            let word = word(ends.header - FRAGMENT_BYTES + 2);
            (word >> 3, word & 1 != 0)
        } else {
            (word(6) & 0x1fff, word(6) & 0x2000 != 0)
        };
        Ok(Some(Self {
            offset,
            has_more,
            identification,
        }))
    }

    /// As the header of IPv6.
    fn header(&self, protocol: u8) -> Vec<u8> {
        let word = self.offset << 3 | u16::from(self.has_more);
        [
            &[protocol, 0][..],
            &word.to_be_bytes(),
            &self.identification.to_be_bytes(),
        ]
        .concat()
    }

    /// Into the header of IPv4.
    fn put(&self, header: &mut [u8]) {
        put16(header, 4, self.identification as u16);
        put16(header, 6, self.offset | u16::from(self.has_more) << 13);
        finish_checksum(header);
    }
}

/// The number of the last of an IPv6 packet's headers, which have so many bytes.
fn last_header(packet: &[u8], bytes: usize) -> u8 {
    let (mut last, mut next, mut at) = (0, packet[6], 40);
    while at < bytes {
        last = next;
        next = packet[at];
        at += match last {
            FRAGMENT => FRAGMENT_BYTES,
            _ => (usize::from(packet[at + 1]) + 1) * 8,
        };
    }
    last
}

/// The packet in the version of these addresses, with these ports and one hop less to go.
pub fn translated(frame: &Frame, ends: &Ends, from: SocketAddr, to: SocketAddr) -> Step<Packet> {
    let fragment = Fragment::of(frame, ends)?;
    let came = checked(frame.packet, ends);
    let to_ipv6 = from.is_ipv6();
    let (behind, padding) = frame.packet[ends.header..].split_at(frame.total_length() - ends.header);
    let has_ports = !matches!(ends.part, Part::Later(_));
    let is_unchecked = has_ports && ends.protocol == UDP && u16_at(behind, 6) == Some(0);
    let datagram = match is_unchecked && to_ipv6 {
        true => Some(summed(behind, fragment)?),
        false => None,
    };
    let between = match fragment {
        Some(fragment) if to_ipv6 => fragment.header(ends.protocol),
        _ => Vec::new(),
    };
    let header = Header {
        class: frame.traffic_class(),
        protocol: if between.is_empty() { ends.protocol } else { FRAGMENT },
        hops: frame.hops_left() - 1,
        from: from.ip(),
        to: to.ip(),
    };
    let header = header.bytes(between.len() + behind.len());
    let mut packet = [&header, &between, behind, padding].concat();
    let ends = Ends {
        from,
        to,
        header: header.len() + between.len(),
        ..*ends
    };
    if has_ports {
        put16(&mut packet, ends.header, from.port());
        put16(&mut packet, ends.header + 2, to.port());
    }
    if let Some(length) = datagram {
        put_checksum(&mut packet, &ends, length);
    }
    // Of what had no checksum there is nothing to seal.
    let mut sums = match is_unchecked {
        true => Default::default(),
        false => seal(&mut packet, &ends, &Checked { header: None, ..came }),
    };
    if !to_ipv6 {
        match fragment {
            Some(fragment) => fragment.put(&mut packet),
            None => {
                let at = ends.header + if ends.protocol == TCP { 16 } else { 6 };
                let checksum = u16_at(&packet, at).expect("the transport's header is whole");
                finish(&mut packet, header.len() + behind.len(), checksum);
                // It is as unknown as what it is a copy of.
                sums.wrong.extend(sums.wrong.contains(&at).then_some(4));
            }
        }
    }
    Ok(Packet { bytes: packet, sums })
}

/// Bytes of a datagram without a checksum, which in IPv6 it is to have (RFC 8200, section 8.1). Of one in fragments nobody sees them all
/// (RFC 7915, section 4.5).
fn summed(datagram: &[u8], fragment: Option<Fragment>) -> Step<usize> {
    let length = usize::from(u16_at(datagram, 4).expect("the header is whole"));
    if fragment.is_some() || length > SUMMED {
        return end(Reason::NotTranslated);
    }
    Ok(length)
}

/// Gives a UDP datagram of so many bytes a checksum (RFC 768).
fn put_checksum(packet: &mut [u8], ends: &Ends, length: usize) {
    let pseudo = pseudo(ends.from.ip(), ends.to.ip(), UDP, length);
    let checksum = match !sum(&[&pseudo, &packet[ends.header..ends.header + length]]) {
        0 => 0xffff,
        checksum => checksum,
    };
    put16(packet, ends.header + 6, checksum);
}
