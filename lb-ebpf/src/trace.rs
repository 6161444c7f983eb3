//! The trace record: what was decided, for `lb replay`. Off, nothing of it is left in the verified program.

use lb_common::abi::{FEATURE_TRACE, Slot, Trace, trace_flags};

use crate::{config, maps::TRACE};

#[inline(always)]
fn record(write: impl FnOnce(&mut Trace)) {
    if config::features() & FEATURE_TRACE != 0
        && let Some(record) = TRACE.get_ptr_mut(0)
    {
        // SAFETY: whoever traces runs one packet at a time and reads when it is through.
        write(unsafe { &mut *record });
    }
}

/// The service of a packet on its way to a backend.
#[inline(always)]
pub fn service(id: u32) {
    record(|trace| trace.service = id);
}

/// The slot that steered it.
#[inline(always)]
pub fn slot(index: u32, slot: Slot) {
    record(|trace| {
        trace.slot = slot.0;
        trace.slot_index = index;
        trace.flags |= trace_flags::SLOT;
    });
}

/// The backend it goes to.
#[inline(always)]
pub fn backend(id: u32) {
    record(|trace| trace.backend = id);
}

/// Its flow was known.
#[inline(always)]
pub fn flow() {
    record(|trace| trace.flags |= trace_flags::FLOW);
}

/// It comes from a backend and goes to a client.
#[inline(always)]
pub fn back(service: u32, backend: u32) {
    record(|trace| {
        trace.service = service;
        trace.backend = backend;
        trace.flags |= trace_flags::BACK;
    });
}
