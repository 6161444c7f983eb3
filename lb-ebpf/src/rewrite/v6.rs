//! IPv6: a header without a checksum.

use lb_common::{checksum::halves, reason::Reason};

use super::{Rewrite, transport_sum};
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
    fn set_source(window: &Window, source: [u64; 2]) -> Step<()> {
        let Some(ip) = window.at::<Ipv6>(L3) else {
            return exit(Reason::Internal);
        };
        let [first, second] = source;
        // SAFETY: checked to lie in the frame; only this run has the frame. Word by word: copied as an array it would become a call of
        // `memmove`.
        unsafe {
            (*ip).source[0] = first;
            (*ip).source[1] = second;
        }
        Ok(())
    }

    #[inline(always)]
    fn redirect(window: &Window, destination: [u64; 2], _: u32, forwarded: bool) -> Step<()> {
        let Some(ip) = window.at::<Ipv6>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        let ip = unsafe { &mut *ip };
        // As above.
        let [first, second] = destination;
        ip.destination[0] = first;
        ip.destination[1] = second;
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
