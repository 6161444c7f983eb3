//! ICMP (RFC 792).

use lb_common::{
    abi::protocol,
    checksum::{change16, fold, halves, update},
    encap,
    reason::Reason,
};

use super::{Control, ControlPacket, answer::PacketEnds, kind, quoted::Quoted};
use crate::{
    exit::{Step, exit},
    family::V4,
    packet::Window,
    parse::L3,
    wire::{self, Icmp, Ipv4},
};

const UNREACHABLE: u8 = 3;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
const FRAGMENTATION_NEEDED: u8 = 4;
/// Type of service of errors: internetwork control (RFC 1812, section 4.3.2.5).
const CONTROL: u8 = 0xc0;

impl Control for V4 {
    const ECHO: (u16, u16) = (kind(8, 0), kind(0, 0));
    const HEADER: usize = wire::IPV4_BYTES;
    const TOO_BIG: u16 = kind(UNREACHABLE, FRAGMENTATION_NEEDED);
    const TIME_EXCEEDED: u16 = kind(TIME_EXCEEDED, 0);

    #[inline(always)]
    fn control(window: &Window) -> Option<ControlPacket<V4>> {
        let ip = window.at::<Ipv4>(L3)?;
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        let header_length = (ip.version_ihl() & 0xf) * 4;
        let total_length = u16::from_be(ip.total_length);
        let is_fragment = ip.fragment & (wire::MORE_FRAGMENTS | wire::FRAGMENT_OFFSET) != 0;
        if (header_length as usize) < wire::IPV4_BYTES || ip.protocol != protocol::ICMP || is_fragment {
            return None;
        }
        let is_whole = header_length as usize + wire::ICMP_BYTES <= total_length as usize
            && total_length as usize + L3 <= window.length();
        let icmp = window.at::<Icmp>(L3 + header_length as usize)?;
        is_whole.then_some(ControlPacket {
            source: ip.source,
            destination: ip.destination,
            header_length,
            traffic_class: ip.tos(),
            hops_left: ip.ttl,
            total_length: total_length as u32,
            // SAFETY: checked to lie in the frame.
            kind: unsafe { (*icmp).kind },
            icmp,
        })
    }

    #[inline(always)]
    fn is_error(kind: u16) -> bool {
        let [kind, _] = kind.to_ne_bytes();
        matches!(kind, UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM)
    }

    #[inline(always)]
    fn turn_round(window: &Window, packet: &ControlPacket<V4>) -> Step<()> {
        let Some(ip) = window.at::<Ipv4>(L3) else {
            return exit(Reason::Internal);
        };
        let word = |ttl| u16::from_ne_bytes([ttl, 0]);
        // SAFETY: checked to lie in the frame; only this run has the frame.
        unsafe {
            (*ip).source = packet.destination;
            (*ip).destination = packet.source;
            (*ip).ttl = encap::OUTER_TTL;
            (*ip).checksum = update((*ip).checksum, change16(word(packet.hops_left), word(encap::OUTER_TTL)));
        }
        Ok(())
    }

    #[inline(always)]
    fn quoted(window: &Window, offset: usize) -> Option<Quoted<V4>> {
        let ip = window.at::<Ipv4>(offset)?;
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        // With options, which nobody sends any more, the ports are elsewhere.
        if ip.version_ihl() != encap::VERSION_IHL || ip.fragment & wire::FRAGMENT_OFFSET != 0 {
            return None;
        }
        let (from, to, protocol) = (ip.source, ip.destination, ip.protocol);
        Quoted::with_ports_at(window, offset + wire::IPV4_BYTES, from, to, protocol)
    }

    /// The header's own checksum makes up for what changes in it.
    #[inline(always)]
    fn readdress_quoted(window: &Window, offset: usize, source: u32, destination: u32, change: u32) -> Step<u32> {
        let Some(ip) = window.at::<Ipv4>(offset) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        unsafe {
            (*ip).source = source;
            (*ip).destination = destination;
            (*ip).checksum = update((*ip).checksum, change);
        }
        Ok(0)
    }

    #[inline(always)]
    fn ends(window: &Window) -> Option<PacketEnds<V4>> {
        let ip = window.at::<Ipv4>(L3)?;
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        // Nobody is told of a later fragment (RFC 1122, section 3.2.2).
        (ip.fragment & wire::FRAGMENT_OFFSET == 0).then(|| PacketEnds {
            source: ip.source,
            destination: ip.destination,
            header_length: (ip.version_ihl() & 0xf) * 4,
            total_length: u16::from_be(ip.total_length),
        })
    }

    #[inline(always)]
    fn write_error(window: &Window, from: u32, to: u32, payload: u16) -> Option<u32> {
        let ip = window.at::<Ipv4>(L3)?;
        let version_tos = u16::from_ne_bytes([encap::VERSION_IHL, CONTROL]);
        let total_length = (payload + wire::IPV4_BYTES as u16).to_be();
        let ttl = u16::from_ne_bytes([encap::OUTER_TTL, protocol::ICMP]);
        let sum = version_tos as u32 + total_length as u32 + ttl as u32 + halves(from) + halves(to);
        // SAFETY: checked to lie in the frame; only this run has the frame.
        unsafe {
            *ip = Ipv4 {
                version_tos,
                total_length,
                id: 0,
                fragment: 0,
                ttl: encap::OUTER_TTL,
                protocol: protocol::ICMP,
                checksum: !fold(sum),
                source: from,
                destination: to,
            };
        }
        Some(0)
    }

    #[inline(always)]
    fn mtu_word(largest: u32) -> u32 {
        // RFC 1191, section 4: the lower half.
        (largest & 0xffff).to_be()
    }

    #[inline(always)]
    fn may_be_told(source: u32) -> bool {
        let [first, ..] = source.to_ne_bytes();
        first != 0 && first != 127 && first < 224
    }
}
