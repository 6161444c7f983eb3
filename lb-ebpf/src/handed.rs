//! Packets that the balancer hands over to another program by a tail call, instead of passing or dropping them: so nothing that those do
//! costs a packet that is forwarded.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::{Across, Handed},
    maps::programs,
    reason::Reason,
};

use crate::{
    maps::{HANDED, PROGRAMS},
    packet::Window,
    vlan::{Tagged, Untagged},
    wire::Ethernet,
};

/// Notes how large a packet could have been.
#[inline(always)]
pub fn note_largest(largest: u32) {
    if let Some(handed) = HANDED.get_ptr_mut(0) {
        // SAFETY: this CPU's; nobody else writes to it.
        unsafe { (*handed).largest = largest };
    }
}

/// Notes whose a packet between families is.
#[inline(always)]
pub fn note_across(across: Across) {
    if let Some(handed) = HANDED.get_ptr_mut(0) {
        // SAFETY: this CPU's; nobody else writes to it.
        unsafe { (*handed).across = across };
    }
}

/// Hands a packet over to [`crate::across`], of which that was noted. Comes back if `reason` is another one, or that is not there.
#[inline(always)]
pub fn to_across(ctx: &XdpContext, tagged: Tagged, reason: Reason) {
    if reason as u32 == Reason::NotTranslated as u32 {
        over(ctx, tagged, reason as u32, programs::ACROSS);
    }
}

/// Hands a packet over to [`crate::icmp`] if that may have something to say of one that is passed or dropped for `reason`. Comes back if it
/// has not, or is not there.
#[inline(always)]
pub fn to_icmp(ctx: &XdpContext, tagged: Tagged, reason: Reason) {
    const NOT_TCP_UDP: u32 = Reason::NotTcpUdp as u32;
    const TOO_BIG: u32 = Reason::TooBig as u32;
    const TTL_EXPIRED: u32 = Reason::TtlExpired as u32;
    let reason = reason as u32;
    if reason == NOT_TCP_UDP || reason == TOO_BIG || reason == TTL_EXPIRED {
        over(ctx, tagged, reason, programs::ICMP);
    }
}

/// Hands a later fragment over to [`crate::fragments`]. Comes back if `reason` is none of one's, or that is not there.
#[inline(always)]
pub fn to_fragments(ctx: &XdpContext, tagged: Tagged, reason: Reason) {
    let reason = reason as u32;
    if reason == Reason::Fragment as u32 || reason == Reason::OtherFragment as u32 {
        over(ctx, tagged, reason, programs::FRAGMENTS);
    }
}

#[inline(always)]
fn over(ctx: &XdpContext, tagged: Tagged, reason: u32, program: u32) {
    if let Some(handed) = HANDED.get_ptr_mut(0) {
        // SAFETY: this CPU's; nobody else writes to it.
        unsafe {
            (*handed).reason = reason;
            (*handed).tagged = tagged.note();
        }
        // SAFETY: the context is the kernel's. Returns only when there is no program to go on with.
        unsafe { PROGRAMS.tail_call(ctx, program) };
    }
}

/// The packet that was handed over, and what was noted of it.
#[inline(always)]
pub fn take(ctx: &XdpContext) -> Option<(Untagged, &'static mut Handed)> {
    let handed = HANDED.get_ptr_mut(0)?;
    // SAFETY: this CPU's; nobody else writes to it.
    let handed = unsafe { &mut *handed };
    let window = Window::of(ctx);
    let ethernet = window.at::<Ethernet>(0)?;
    let frame = Untagged {
        window,
        // SAFETY: checked to lie in the frame.
        ethertype: unsafe { (*ethernet).ethertype },
        tagged: Tagged::noted(handed.tagged),
    };
    Some((frame, handed))
}
