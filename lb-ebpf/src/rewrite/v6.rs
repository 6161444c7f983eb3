//! IPv6: a header without a checksum.

use lb_common::reason::Reason;

use super::{Ends, Rewrite};
use crate::{
    exit::{Step, exit},
    family::V6,
    packet::Window,
    parse::L3,
    wire::Ipv6,
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
}
