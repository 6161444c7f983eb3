//! ICMP errors in the other version (RFC 7915, sections 4.2, 4.3, 5.2 and 5.3).

use std::net::{IpAddr, SocketAddr};

use lb_common::reason::Reason;
use lb_userspace::core::observed::ResolvedHop;

use super::super::bytes::{Sums, put16, u16_at};
use super::super::forward::{Checked, Packet, checked, seal};
use super::super::frame::{Ends, Frame, ICMP, ICMPV6};
use super::super::icmp::Control;
use super::super::quoted::Quoted;
use super::super::{Step, end};
use super::{Header, SMALL, finish, finish_checksum, header_bytes};

/// What IPv6 links take at least (RFC 8200, section 5).
const IPV6_MIN_MTU: u32 = 1280;
/// What links of old took (RFC 1191, section 7).
const PLATEAUS: [u16; 10] = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

/// What an error says: type, code, and what stands behind the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Says(u8, u8, u32);

impl Says {
    /// The same in ICMPv6, about a packet of which IPv4 said that it has so many bytes (RFC 7915, section 4.2).
    fn in_icmpv6(self, total: u16) -> Option<Self> {
        let Self(kind, code, word) = self;
        Some(match (kind, code) {
            (3, 0 | 1 | 5 | 6 | 7 | 8 | 11 | 12) => Self(1, 0, 0),
            // The next header is what its receiver does not know.
            (3, 2) => Self(4, 1, 6),
            (3, 3) => Self(1, 4, 0),
            (3, 4) => {
                let mtu = match word & 0xffff {
                    0 => plateau(total).into(),
                    mtu => mtu,
                };
                Self(2, 0, (mtu + 20).max(IPV6_MIN_MTU))
            }
            (3, 9 | 10 | 13 | 15) => Self(1, 1, 0),
            (11, code) => Self(3, code, 0),
            (12, 0 | 2) => Self(4, 0, pointer_in_ipv6(word >> 24)?),
            _ => return None,
        })
    }

    /// The same in ICMP (RFC 7915, section 5.2).
    fn in_icmp(self) -> Option<Self> {
        let Self(kind, code, word) = self;
        Some(match (kind, code) {
            (1, 0 | 2 | 3) => Self(3, 1, 0),
            (1, 1) => Self(3, 10, 0),
            (1, 4) => Self(3, 3, 0),
            (2, _) => Self(3, 4, word.saturating_sub(20).min(0xffff)),
            (3, code) => Self(11, code, 0),
            (4, 0) => Self(12, 0, pointer_in_ipv4(word)? << 24),
            (4, 1) => Self(3, 2, 0),
            _ => return None,
        })
    }
}

/// A guess for routers that do not say what their link takes (RFC 1191, section 5).
fn plateau(total: u16) -> u16 {
    PLATEAUS.into_iter().find(|plateau| *plateau < total).unwrap_or(68)
}

/// Where in an IPv6 header is what IPv4's has there (RFC 7915, figure 3).
fn pointer_in_ipv6(pointer: u32) -> Option<u32> {
    Some(match pointer {
        0 => 0,
        1 => 1,
        2 | 3 => 4,
        8 => 7,
        9 => 6,
        12..=15 => 8,
        16..=19 => 24,
        _ => return None,
    })
}

/// The other way round (RFC 7915, figure 6).
fn pointer_in_ipv4(pointer: u32) -> Option<u32> {
    Some(match pointer {
        0 => 0,
        1 => 1,
        4 | 5 => 2,
        6 => 9,
        7 => 8,
        8..=23 => 12,
        24..=39 => 16,
        _ => return None,
    })
}

impl Quoted {
    /// The error in the version of these addresses, about a packet with those addresses and ports.
    pub fn across(
        &self,
        frame: &Frame,
        control: &Control,
        (from, to): (IpAddr, IpAddr),
        inside: (SocketAddr, SocketAddr),
        hop: &ResolvedHop,
    ) -> Step<Packet> {
        let (total, to_ipv6) = (frame.total_length(), to.is_ipv6());
        // Two headers grow.
        if to_ipv6 && total + 40 > usize::from(hop.mtu) {
            return end(Reason::TooBig);
        }
        let message = &frame.packet[control.header..total];
        let word = u32::from_be_bytes([message[4], message[5], message[6], message[7]]);
        let says = Says(control.kind, control.code, word);
        let quoted = u16_at(&message[8..], 2).expect("the quoted header is there");
        let says = if to_ipv6 {
            says.in_icmpv6(quoted)
        } else {
            says.in_icmp()
        };
        let Some(Says(kind, code, word)) = says else {
            return end(Reason::NotTranslated);
        };
        let mut sums = Sums::default();
        let packet = self.packet_across(&message[8..], inside, &mut sums);
        let message = [&[kind, code, message[2], message[3]], &word.to_be_bytes()[..], &packet].concat();
        let header = Header {
            class: frame.traffic_class(),
            protocol: if to_ipv6 { ICMPV6 } else { ICMP },
            hops: frame.hops_left() - 1,
            from,
            to,
        };
        let came = control.ends();
        let ends = Ends {
            from: SocketAddr::new(from, 0),
            to: SocketAddr::new(to, 0),
            protocol: header.protocol,
            header: header_bytes(to_ipv6),
            ..came
        };
        let header = header.bytes(message.len());
        let mut packet = [&header, &message[..], &frame.packet[total..]].concat();
        let came = checked(frame.packet, &came);
        let sums = sums.behind(ends.header + 8);
        let mut all = seal(&mut packet, &ends, &Checked { header: None, ..came });
        if !to_ipv6 {
            let at = ends.header + 2;
            let checksum = u16_at(&packet, at).expect("it is there");
            finish(&mut packet, ends.header + message.len(), checksum);
            all.wrong.extend(all.wrong.contains(&at).then_some(4));
        }
        all.wrong.extend(sums.wrong);
        Ok(Packet {
            bytes: packet,
            sums: all,
        })
    }

    /// The packet that is quoted, in the version of these addresses. It has come as far as it has.
    fn packet_across(&self, came: &[u8], (from, to): (SocketAddr, SocketAddr), sums: &mut Sums) -> Vec<u8> {
        let to_ipv6 = from.is_ipv6();
        let (field, class, hops) = match to_ipv6 {
            true => (2, came[1], came[8]),
            false => (4, came[0] << 4 | came[1] >> 4, came[7]),
        };
        let length = u16_at(came, field).expect("it is there");
        let behind = if to_ipv6 { length.saturating_sub(20) } else { length };
        let header = Header {
            class,
            protocol: self.protocol,
            hops,
            from: from.ip(),
            to: to.ip(),
        };
        let mut header = header.bytes(behind.into());
        if !to_ipv6 {
            if usize::from(behind.wrapping_add(20)) > SMALL {
                put16(&mut header, 6, 0x4000);
            }
            finish_checksum(&mut header);
        }
        let bytes = header.len();
        let mut packet = [&header, &came[header_bytes(!to_ipv6)..]].concat();
        self.put_ports(&mut packet, bytes, (from, to), sums);
        packet
    }
}
