//! How a packet ends: the one place that names XDP codes.

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
#[inline(always)]
pub fn exit<T>(reason: Reason) -> Step<T> {
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
