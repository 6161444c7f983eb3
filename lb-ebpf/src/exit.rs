//! How a packet ends: the one place that names XDP codes.

use core::{arch::asm, intrinsics::cold_path};

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_REDIRECT, XDP_TX},
    programs::XdpContext,
};
use lb_common::reason::{Reason, Verdict};

use crate::{
    count, handed,
    vlan::{self, Tagged},
};

/// A packet that leaves through an interface.
#[derive(Clone, Copy)]
pub enum Send {
    /// Through the one it came in by.
    Tx,
    /// Through another; the redirect is already noted with the kernel.
    Redirect,
}

/// A packet that does not, and why.
#[derive(Clone, Copy)]
pub struct Exit(pub Reason);

/// The outcome of a step.
pub type Step<T> = Result<T, Exit>;

/// Ends a packet for `reason`.
///
/// The way there is marked as rare, and holds an instruction that the compiler cannot see into, though it changes nothing: without
/// that it gets the reason ready before each check, on every packet's way and in registers that are wanted there. It is a real one, as
/// the kernel refuses two entries of the line table for the same place.
#[inline(always)]
pub fn exit<T>(reason: Reason) -> Step<T> {
    cold_path();
    // SAFETY: it gives a register the value that it has.
    unsafe { asm!("{0} = {0}", in(reg) reason as u64, options(nomem, nostack, preserves_flags)) };
    Err(Exit(reason))
}

/// The XDP code of the balancer's outcome. A packet that is sent has been counted by then; one that is not is counted here, unless another
/// program takes it over.
#[inline(always)]
pub fn verdict(ctx: &XdpContext, tagged: Tagged, outcome: Step<Send>) -> u32 {
    if let Err(Exit(reason)) = outcome {
        handed::to_icmp(ctx, tagged, reason);
        handed::to_fragments(ctx, tagged, reason);
        handed::to_across(ctx, tagged, reason);
    }
    last_verdict(ctx, tagged, outcome)
}

/// The XDP code of an outcome that nobody comes after. What the kernel or the sender gets has the tags again that it came with.
#[inline(always)]
pub fn last_verdict(ctx: &XdpContext, tagged: Tagged, outcome: Step<Send>) -> u32 {
    match outcome {
        Ok(Send::Tx) => XDP_TX,
        Ok(Send::Redirect) => XDP_REDIRECT,
        Err(Exit(reason)) => match vlan::put_back(ctx, tagged) {
            Ok(()) => end(reason),
            Err(Exit(fault)) => end(fault),
        },
    }
}

/// Counts a packet that is not sent, and gives its XDP code.
#[inline(always)]
pub fn end(reason: Reason) -> u32 {
    count::reason(reason);
    match reason.verdict() {
        Verdict::Pass => XDP_PASS,
        Verdict::Drop => XDP_DROP,
        Verdict::Answer => XDP_TX,
    }
}
