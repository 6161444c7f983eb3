//! Counters, per CPU: a packet is counted once, under its backend or under its reason. A service's are its backends' added up.

use lb_common::{abi::Counters, reason::Reason};

use crate::maps::{BACKEND_STATS, REASONS};

/// A packet that is passed or dropped.
#[inline(always)]
pub fn reason(reason: Reason) {
    if let Some(counter) = REASONS.get_ptr_mut(reason as u32) {
        // SAFETY: this CPU's counter; nobody else writes to it.
        unsafe { *counter += 1 };
    }
}

/// A packet that goes to a backend.
#[inline(always)]
pub fn forward(backend: u32, bytes: usize, new_flow: bool) {
    if let Some(counters) = of(backend) {
        counters.packets += 1;
        counters.bytes += bytes as u64;
        if new_flow {
            counters.new_flows += 1;
        }
    }
}

/// A packet of a backend that goes to a client.
#[inline(always)]
pub fn back(backend: u32, bytes: usize) {
    if let Some(counters) = of(backend) {
        counters.back_packets += 1;
        counters.back_bytes += bytes as u64;
    }
}

#[inline(always)]
fn of(backend: u32) -> Option<&'static mut Counters> {
    // SAFETY: this CPU's counters; nobody else writes to them.
    BACKEND_STATS
        .get_ptr_mut(backend)
        .map(|counters| unsafe { &mut *counters })
}
