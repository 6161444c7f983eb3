//! Step 5: back out, or through another interface.

use lb_common::reason::Reason;

use crate::{
    exit::{Send, Step, exit},
    maps::EGRESS,
};

/// How a packet that came in by the interface `ingress` gets out of the interface `egress`; 0 is none. Only notes a redirect, so it may come before the rewriting.
#[inline(always)]
pub fn way(ingress: u32, egress: u32) -> Step<Send> {
    if egress == ingress {
        return Ok(Send::Tx);
    }
    if egress == 0 {
        return exit(Reason::NoNextHop);
    }
    match EGRESS.redirect(egress, 0) {
        Ok(_) => Ok(Send::Redirect),
        Err(_) => exit(Reason::NoNextHop),
    }
}
