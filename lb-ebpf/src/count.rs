//! Counters, per CPU: a packet is counted once, under its service and backend or under its reason.

use lb_common::reason::Reason;

use crate::maps::{BACKEND_STATS, REASONS, SERVICE_STATS};

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
pub fn forward(service: u32, backend: u32, bytes: usize, new_flow: bool) {
    if let Some(counters) = SERVICE_STATS.get_ptr_mut(service) {
        // SAFETY: this CPU's counters; nobody else writes to them.
        let counters = unsafe { &mut *counters };
        counters.packets += 1;
        counters.bytes += bytes as u64;
        if new_flow {
            counters.new_flows += 1;
        }
    }
    if let Some(counters) = BACKEND_STATS.get_ptr_mut(backend) {
        // SAFETY: this CPU's counters; nobody else writes to them.
        let counters = unsafe { &mut *counters };
        counters.packets += 1;
        counters.bytes += bytes as u64;
        if new_flow {
            counters.new_flows += 1;
        }
    }
}

/// A packet that goes back to a client.
#[inline(always)]
pub fn back(service: u32, bytes: usize) {
    if let Some(counters) = SERVICE_STATS.get_ptr_mut(service) {
        // SAFETY: this CPU's counters; nobody else writes to them.
        let counters = unsafe { &mut *counters };
        counters.back_packets += 1;
        counters.back_bytes += bytes as u64;
    }
}
