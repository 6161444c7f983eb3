//! ICMPv6 (RFC 4443).

use lb_common::{abi::protocol, checksum::sum_of_address, encap, reason::Reason};

use super::{Control, ControlPacket, answer::PacketEnds, kind, quoted::Quoted};
use crate::{
    exit::{Step, exit},
    family::V6,
    packet::Window,
    parse::L3,
    wire::{self, Icmp, Ipv6, next_header},
};

/// Errors are the types below this.
const FIRST_INFORMATION: u8 = 128;

impl Control for V6 {
    const ECHO: (u16, u16) = (kind(128, 0), kind(129, 0));
    const HEADER: usize = wire::IPV6_BYTES;
    const TOO_BIG: u16 = kind(2, 0);
    const TIME_EXCEEDED: u16 = kind(3, 0);

    /// Without extension headers.
    #[inline(always)]
    fn control(window: &Window) -> Option<ControlPacket<V6>> {
        let ip = window.at::<Ipv6>(L3)?;
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        let payload_length = u16::from_be(ip.payload_length) as usize;
        if ip.next_header != protocol::ICMPV6 {
            return None;
        }
        let is_whole = wire::ICMP_BYTES <= payload_length && payload_length + wire::IPV6_BYTES + L3 <= window.length();
        let icmp = window.at::<Icmp>(L3 + wire::IPV6_BYTES)?;
        is_whole.then_some(ControlPacket {
            source: ip.source,
            destination: ip.destination,
            header_length: wire::IPV6_BYTES as u8,
            traffic_class: ip.traffic_class(),
            hops_left: ip.hop_limit,
            total_length: (payload_length + wire::IPV6_BYTES) as u32,
            // SAFETY: checked to lie in the frame.
            kind: unsafe { (*icmp).kind },
            icmp,
        })
    }

    #[inline(always)]
    fn is_error(kind: u16) -> bool {
        let [kind, _] = kind.to_ne_bytes();
        kind < FIRST_INFORMATION
    }

    #[inline(always)]
    fn turn_round(window: &Window, packet: &ControlPacket<V6>) -> Step<()> {
        let Some(ip) = window.at::<Ipv6>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        unsafe {
            (*ip).source = packet.destination;
            (*ip).destination = packet.source;
            (*ip).hop_limit = encap::OUTER_TTL;
        }
        Ok(())
    }

    #[inline(always)]
    fn quoted(window: &Window, offset: usize) -> Option<Quoted<V6>> {
        let ip = window.at::<Ipv6>(offset)?;
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        if ip.version() != 6 {
            return None;
        }
        let (from, to, protocol) = (ip.source, ip.destination, ip.next_header);
        // With extension headers, what tells whose it is, is elsewhere.
        if matches!(
            protocol,
            next_header::HOP_BY_HOP | next_header::ROUTING | next_header::FRAGMENT | next_header::DESTINATION
        ) {
            return None;
        }
        Quoted::with_ports_at(window, offset + wire::IPV6_BYTES, from, to, protocol)
    }

    #[inline(always)]
    fn readdress_quoted(
        window: &Window,
        offset: usize,
        source: [u64; 2],
        destination: [u64; 2],
        change: u32,
    ) -> Step<u32> {
        let Some(ip) = window.at::<Ipv6>(offset) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        unsafe {
            (*ip).source[0] = source[0];
            (*ip).source[1] = source[1];
            (*ip).destination[0] = destination[0];
            (*ip).destination[1] = destination[1];
        }
        Ok(change)
    }

    #[inline(always)]
    fn ends(window: &Window) -> Option<PacketEnds<V6>> {
        let ip = window.at::<Ipv6>(L3)?;
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        Some(PacketEnds {
            source: ip.source,
            destination: ip.destination,
            header_length: wire::IPV6_BYTES as u8,
            total_length: u16::from_be(ip.payload_length).saturating_add(wire::IPV6_BYTES as u16),
        })
    }

    #[inline(always)]
    fn write_error(window: &Window, from: [u64; 2], to: [u64; 2], payload: u16) -> Option<u32> {
        let ip = window.at::<Ipv6>(L3)?;
        // SAFETY: checked to lie in the frame; only this run has the frame.
        unsafe {
            (*ip).version_class_label = (6u32 << 28).to_be();
            (*ip).payload_length = payload.to_be();
            (*ip).next_header = protocol::ICMPV6;
            (*ip).hop_limit = encap::OUTER_TTL;
            (*ip).source[0] = from[0];
            (*ip).source[1] = from[1];
            (*ip).destination[0] = to[0];
            (*ip).destination[1] = to[1];
        }
        let addresses = sum_of_address(from) + sum_of_address(to);
        let next = u16::from_ne_bytes([0, protocol::ICMPV6]);
        Some(addresses + payload.to_be() as u32 + next as u32)
    }

    #[inline(always)]
    fn mtu_word(largest: u32) -> u32 {
        largest.to_be()
    }

    #[inline(always)]
    fn may_be_told(source: [u64; 2]) -> bool {
        let [first, ..] = source[0].to_ne_bytes();
        first != 0xff && source != [0; 2]
    }
}
