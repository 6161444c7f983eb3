//! IPv6: a header without a checksum.

use lb_common::{checksum::halves, reason::Reason};

use super::{Ends, Rewrite, transport_sum};
use crate::{
    exit::{Step, exit},
    family::V6,
    packet::Window,
    parse::{L3, Packet},
    wire::{self, Ipv6},
};

impl Rewrite for V6 {
    #[inline(always)]
    fn decrement_hops(window: &Window) -> Step<()> {
        let Some(ip) = window.at::<Ipv6>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        unsafe { (*ip).hop_limit = (*ip).hop_limit.wrapping_sub(1) };
        Ok(())
    }

    #[inline(always)]
    fn readdress(window: &Window, ends: &Ends<V6>, _: u32, forwarded: bool) -> Step<()> {
        let Some(ip) = window.at::<Ipv6>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        let ip = unsafe { &mut *ip };
        ip.source = ends.source;
        ip.destination = ends.destination;
        if forwarded {
            ip.hop_limit = ip.hop_limit.wrapping_sub(1);
        }
        Ok(())
    }

    /// The addresses are in the header and in what the checksum covers, and so cancel. Extension headers are covered by nothing.
    #[inline(always)]
    fn sum(window: &Window, packet: &Packet<V6>) -> Step<Option<u32>> {
        if packet.header_length as usize != wire::IPV6_BYTES {
            return Ok(None);
        }
        let Some(ip) = window.at::<Ipv6>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        let ends = u16::from_ne_bytes([ip.next_header, ip.hop_limit]);
        let header = halves(ip.version_class_label) + ip.payload_length as u32 + ends as u32;
        Ok(transport_sum(window, packet, 0)?.map(|transport| header + transport))
    }
}
