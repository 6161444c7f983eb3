//! ICMP errors, as the other family says them (RFC 7915, sections 4.2, 4.3, 5.2 and 5.3): about a packet that looks to who gets the error like the
//! one that it sent.

use aya_ebpf::{helpers::bpf_csum_diff, programs::XdpContext};
use lb_common::{
    checksum::{change16, change32, fold, halves, update},
    reason::Reason,
};

use super::{
    Course,
    header::{DIFFERENCE, Said, Translated, pseudo_of_icmp},
    packet::reheaded,
};
use crate::{
    exit::{Step, exit},
    icmp::correct_quoted_checksum,
    packet::Window,
    parse::{Fragment, L3, Packet},
    rewrite::{self, Ends},
    wire::{ICMP_BYTES, Icmp, Ports},
};

/// Type and code.
mod v4 {
    pub const UNREACHABLE: u8 = 3;
    pub const TIME_EXCEEDED: u8 = 11;
    pub const PARAMETER_PROBLEM: u8 = 12;
    pub const UNREACHABLE_HOST: u8 = 1;
    pub const UNREACHABLE_PROTOCOL: u8 = 2;
    pub const UNREACHABLE_PORT: u8 = 3;
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    pub const PROHIBITED: u8 = 10;
}

/// Type and code.
mod v6 {
    pub const UNREACHABLE: u8 = 1;
    pub const TOO_BIG: u8 = 2;
    pub const TIME_EXCEEDED: u8 = 3;
    pub const PARAMETER_PROBLEM: u8 = 4;
    pub const NO_ROUTE: u8 = 0;
    pub const PROHIBITED: u8 = 1;
    pub const UNREACHABLE_PORT: u8 = 4;
    pub const BAD_FIELD: u8 = 0;
    pub const BAD_NEXT_HEADER: u8 = 1;
    /// Where the header says what comes next.
    pub const NEXT_HEADER: u32 = 6;
    /// What every link takes (RFC 8200, section 5).
    pub const LEAST_MTU: u32 = 1280;
}

/// Sizes that links have (RFC 1191, section 7.1), for a router that does not say its own.
const PLATEAUS: [u32; 9] = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296];
const LEAST_PLATEAU: u32 = 68;

/// What an error says: type and code, and the word behind the checksum as a number.
#[derive(Clone, Copy)]
struct Kind {
    kind: u8,
    code: u8,
    word: u32,
}

impl Kind {
    const fn plain(kind: u8, code: u8) -> Option<Self> {
        Some(Self { kind, code, word: 0 })
    }

    const fn with(kind: u8, code: u8, word: u32) -> Option<Self> {
        Some(Self { kind, code, word })
    }

    /// An error of IPv4's, about a packet of so many bytes, in IPv6.
    #[inline(always)]
    fn of_v4(self, quoted: u32) -> Option<Self> {
        match (self.kind, self.code) {
            (v4::UNREACHABLE, 0 | 1 | 5..=8 | 11 | 12) => Self::plain(v6::UNREACHABLE, v6::NO_ROUTE),
            (v4::UNREACHABLE, v4::UNREACHABLE_PROTOCOL) => {
                Self::with(v6::PARAMETER_PROBLEM, v6::BAD_NEXT_HEADER, v6::NEXT_HEADER)
            }
            (v4::UNREACHABLE, v4::UNREACHABLE_PORT) => Self::plain(v6::UNREACHABLE, v6::UNREACHABLE_PORT),
            (v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED) => {
                let said = match self.word & 0xffff {
                    0 => plateau(quoted),
                    said => said,
                };
                let fits = said + DIFFERENCE;
                Self::with(v6::TOO_BIG, 0, if fits < v6::LEAST_MTU { v6::LEAST_MTU } else { fits })
            }
            (v4::UNREACHABLE, 9 | 10 | 13 | 15) => Self::plain(v6::UNREACHABLE, v6::PROHIBITED),
            (v4::TIME_EXCEEDED, code) => Self::plain(v6::TIME_EXCEEDED, code),
            (v4::PARAMETER_PROBLEM, 0 | 2) => {
                let place = match self.word >> 24 {
                    0 => 0,
                    1 => 1,
                    2 | 3 => 4,
                    8 => 7,
                    9 => 6,
                    12..=15 => 8,
                    16..=19 => 24,
                    _ => return None,
                };
                Self::with(v6::PARAMETER_PROBLEM, v6::BAD_FIELD, place)
            }
            _ => None,
        }
    }

    /// An error of IPv6's in IPv4.
    #[inline(always)]
    fn of_v6(self) -> Option<Self> {
        match (self.kind, self.code) {
            (v6::UNREACHABLE, 0 | 2 | 3) => Self::plain(v4::UNREACHABLE, v4::UNREACHABLE_HOST),
            (v6::UNREACHABLE, v6::PROHIBITED) => Self::plain(v4::UNREACHABLE, v4::PROHIBITED),
            (v6::UNREACHABLE, v6::UNREACHABLE_PORT) => Self::plain(v4::UNREACHABLE, v4::UNREACHABLE_PORT),
            (v6::TOO_BIG, _) => {
                let fits = self.word.saturating_sub(DIFFERENCE);
                let fits = if fits > u16::MAX as u32 { u16::MAX as u32 } else { fits };
                Self::with(v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED, fits)
            }
            (v6::TIME_EXCEEDED, code) => Self::plain(v4::TIME_EXCEEDED, code),
            (v6::PARAMETER_PROBLEM, v6::BAD_FIELD) => {
                let place = match self.word {
                    0 => 0,
                    1 => 1,
                    4 | 5 => 2,
                    6 => 9,
                    7 => 8,
                    8..=23 => 12,
                    24..=39 => 16,
                    _ => return None,
                };
                Self::with(v4::PARAMETER_PROBLEM, 0, place << 24)
            }
            (v6::PARAMETER_PROBLEM, v6::BAD_NEXT_HEADER) => Self::plain(v4::UNREACHABLE, v4::UNREACHABLE_PROTOCOL),
            _ => None,
        }
    }
}

/// The largest plateau below so many bytes.
#[inline(always)]
fn plateau(bytes: u32) -> u32 {
    for plateau in PLATEAUS {
        if plateau < bytes {
            return plateau;
        }
    }
    LEAST_PLATEAU
}

/// Writes the error, and the packet that it quotes as one from the far end of `ends` to the near one. It is longer by two headers' difference:
/// `room` is for one.
#[inline(always)]
pub fn translate<F: Translated, T: Translated>(
    ctx: &XdpContext,
    window: &Window,
    packet: &Packet<F>,
    course: &Course<T>,
) -> Step<()> {
    let ends = &course.ends;
    let grows = (T::BYTES as u32).saturating_sub(F::BYTES as u32);
    rewrite::fits(packet, course.room.saturating_sub(grows))?;
    let l4 = packet.l4();
    let inside = l4 + ICMP_BYTES;
    let (Some(icmp), Some(quoted), Some(header)) = (
        window.at::<Icmp>(l4),
        F::read(window, inside),
        F::header_bytes(window, inside),
    ) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame.
    let (kind, word, checksum) = unsafe { ((*icmp).kind, (*icmp).rest, (*icmp).checksum) };
    let [number, code] = kind.to_ne_bytes();
    let said = Kind {
        kind: number,
        code,
        word: u32::from_be(word),
    };
    let said = if F::VERSION == 4 {
        said.of_v4(quoted.payload + F::BYTES as u32)
    } else {
        said.of_v6()
    };
    let Some(said) = said else {
        return exit(Reason::NotTranslated);
    };
    let (new_kind, new_word) = (u16::from_ne_bytes([said.kind, said.code]), said.word.to_be());
    // SAFETY: as many bytes were checked to lie in the frame.
    let old_header = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, header, F::BYTES as u32, 0) } as u32;
    let mut change = change16(kind, new_kind) + change32(word, new_word) + !fold(halves(old_header)) as u32;
    change += ports(window, packet, &quoted, ends, inside + F::BYTES)?;
    let old_payload = packet.total_length - packet.header_length as u32;
    let payload = old_payload - F::BYTES as u32 + T::BYTES as u32;
    let old_pseudo = pseudo_of_icmp::<F>(packet.source, packet.destination, old_payload);
    change += !fold(old_pseudo) as u32 + pseudo_of_icmp::<T>(ends.source, ends.destination, payload);
    let hops_left = F::length(window)?.hops_left;
    let old = packet.header_length as usize + ICMP_BYTES + F::BYTES;
    let window = reheaded::<T>(ctx, window, old, T::BYTES + ICMP_BYTES + T::BYTES)?;
    let inner = Said {
        source: ends.destination,
        destination: ends.source,
        traffic_class: quoted.traffic_class,
        hops: quoted.hops,
        protocol: quoted.protocol,
        payload: quoted.payload,
        fragment: Fragment::NONE,
        identification: 0,
    };
    change += T::write(&window, L3 + T::BYTES + ICMP_BYTES, &inner)?;
    let checksum = update(checksum, change);
    let Some(icmp) = window.at::<Icmp>(L3 + T::BYTES) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe {
        (*icmp).kind = new_kind;
        (*icmp).checksum = checksum;
        (*icmp).rest = new_word;
    }
    let outer = Said {
        source: ends.source,
        destination: ends.destination,
        traffic_class: packet.traffic_class,
        hops: course.hops(hops_left),
        protocol: T::ICMP,
        payload,
        fragment: Fragment::NONE,
        identification: checksum,
    };
    T::write(&window, L3, &outer)?;
    Ok(())
}

/// Writes the ports of the quoted packet and what is there of its checksum; what that adds to the sum of its bytes.
#[inline(always)]
fn ports<F: Translated, T: Translated>(
    window: &Window,
    packet: &Packet<F>,
    quoted: &Said<F>,
    ends: &Ends<T>,
    offset: usize,
) -> Step<u32> {
    let Some(ports) = window.at::<Ports>(offset) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame; only this run has the frame.
    let ports = unsafe { &mut *ports };
    let (source, destination) = (ports.source, ports.destination);
    ports.source = ends.destination_port;
    ports.destination = ends.source_port;
    let change = change16(source, ends.destination_port) + change16(destination, ends.source_port);
    let old = fold(F::address_sum(quoted.source) + F::address_sum(quoted.destination));
    let addresses = !old as u32 + T::address_sum(ends.source) + T::address_sum(ends.destination);
    let end = L3 + packet.total_length as usize;
    Ok(change + correct_quoted_checksum(window, end, quoted.protocol, offset, addresses + change))
}
