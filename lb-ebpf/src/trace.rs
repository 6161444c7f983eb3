//! The trace record: what was decided, for `lb replay` and `lb trace`. A program of its own writes it (`TRACED`): in the one that is attached
//! not even a look at a switch is left.

use lb_common::abi::{Slot, Trace, trace_flags};

use crate::maps::TRACE;

#[inline(always)]
fn record<const TRACED: bool>(write: impl FnOnce(&mut Trace)) {
    if TRACED && let Some(record) = TRACE.get_ptr_mut(0) {
        // SAFETY: whoever traces runs one packet at a time and reads when it is through.
        write(unsafe { &mut *record });
    }
}

/// The service of a packet on its way to a backend.
#[inline(always)]
pub fn service<const TRACED: bool>(id: u32) {
    record::<TRACED>(|trace| trace.service = id);
}

/// The slot that steered it.
#[inline(always)]
pub fn slot<const TRACED: bool>(index: u32, slot: Slot) {
    record::<TRACED>(|trace| {
        trace.slot = slot.0;
        trace.slot_index = index;
        trace.flags |= trace_flags::SLOT;
    });
}

/// The backend it goes to.
#[inline(always)]
pub fn backend<const TRACED: bool>(id: u32) {
    record::<TRACED>(|trace| trace.backend = id);
}

/// It goes to no backend after all: its sender gets an answer, or nobody anything.
#[inline(always)]
pub fn no_backend<const TRACED: bool>() {
    record::<TRACED>(|trace| trace.backend = 0);
}

/// Its flow was known.
#[inline(always)]
pub fn flow<const TRACED: bool>() {
    record::<TRACED>(|trace| trace.flags |= trace_flags::FLOW);
}

/// It comes from a backend and goes to a client.
#[inline(always)]
pub fn back<const TRACED: bool>(service: u32, backend: u32) {
    record::<TRACED>(|trace| {
        trace.service = service;
        trace.backend = backend;
        trace.flags |= trace_flags::BACK;
    });
}
