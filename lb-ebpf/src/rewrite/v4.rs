//! IPv4: a header with a checksum of its own.

use lb_common::{
    checksum::{TTL_ONE_LESS, decremented_ttl, halves, update},
    reason::Reason,
};

use super::{Rewrite, transport_sum};
use crate::{
    exit::{Step, exit},
    family::V4,
    packet::Window,
    parse::{L3, Packet},
    wire::{self, Ipv4},
};

impl Rewrite for V4 {
    #[inline(always)]
    fn decrement_hops(window: &Window) -> Step<()> {
        let Some(ip) = window.at::<Ipv4>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame. Both fields that lie between are the word's.
        unsafe {
            let word = (&raw mut (*ip).ttl).cast::<u32>();
            *word = decremented_ttl(*word);
        }
        Ok(())
    }

    #[inline(always)]
    fn set_source(window: &Window, source: u32) -> Step<()> {
        let Some(ip) = window.at::<Ipv4>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        unsafe { (*ip).source = source };
        Ok(())
    }

    #[inline(always)]
    fn redirect(window: &Window, destination: u32, change: u32, forwarded: bool) -> Step<()> {
        let Some(ip) = window.at::<Ipv4>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        let ip = unsafe { &mut *ip };
        ip.destination = destination;
        let hop = if forwarded {
            ip.ttl = ip.ttl.wrapping_sub(1);
            TTL_ONE_LESS
        } else {
            0
        };
        ip.checksum = update(ip.checksum, change + hop);
        Ok(())
    }

    /// A header adds up to zero with its checksum. The one behind it in a first fragment is of more than that.
    #[inline(always)]
    fn sum(window: &Window, packet: &Packet<V4>) -> Step<Option<u32>> {
        let Some(ip) = window.at::<Ipv4>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame.
        if unsafe { (*ip).fragment } & (wire::MORE_FRAGMENTS | wire::FRAGMENT_OFFSET) != 0 {
            return Ok(None);
        }
        transport_sum(window, packet, halves(packet.source) + halves(packet.destination))
    }
}
