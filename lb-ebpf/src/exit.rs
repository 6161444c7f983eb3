//! How a packet ends: the one place that names XDP codes.

use core::{arch::asm, intrinsics::cold_path};

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_REDIRECT, XDP_TX};
use lb_common::reason::{Reason, Verdict};

use crate::count;

/// A packet that leaves through an interface.
pub enum Send {
    /// Through the one it came in by.
    Tx,
    /// Through another; the redirect is already noted with the kernel.
    Redirect,
}

/// A packet that does not, and why.
pub struct Exit(pub Reason);

/// The outcome of a step.
pub type Step<T> = Result<T, Exit>;

/// Ends a packet for `reason`.
///
/// The way there is marked as rare, and holds an instruction sequence that the compiler cannot see into, though it is empty:
/// without that it gets the reason ready before each check, on every packet's way and in registers that are wanted there.
#[inline(always)]
pub fn exit<T>(reason: Reason) -> Step<T> {
    cold_path();
    // SAFETY: it does nothing.
    unsafe { asm!("/* {0} */", in(reg) reason as u64, options(nomem, nostack, preserves_flags)) };
    Err(Exit(reason))
}

/// The XDP code of an outcome. A packet that is sent has been counted by then; one that is not is counted here.
#[inline(always)]
pub fn verdict(outcome: Step<Send>) -> u32 {
    match outcome {
        Ok(Send::Tx) => XDP_TX,
        Ok(Send::Redirect) => XDP_REDIRECT,
        Err(Exit(reason)) => {
            count::reason(reason);
            match reason.verdict() {
                Verdict::Pass => XDP_PASS,
                Verdict::Drop => XDP_DROP,
            }
        }
    }
}
