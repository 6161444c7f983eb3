//! Atomic operations on words that several CPUs and the daemon share.
//!
//! The BPF target has no `core::sync::atomic` compare-and-exchange, and its atomic loads crash the code generator; a volatile
//! access of an aligned 64-bit word is one instruction there.

use core::{
    intrinsics::{AtomicOrdering, atomic_cxchg},
    ptr::{read_volatile, write_volatile},
};

/// A pointer to an aligned 64-bit word in a map.
#[derive(Clone, Copy)]
pub struct Word(*mut u64);

impl Word {
    /// # Safety
    ///
    /// `word` is an aligned word of a map's value that was looked up by this run of the program.
    #[inline(always)]
    pub unsafe fn new(word: *mut u64) -> Self {
        Self(word)
    }

    #[inline(always)]
    pub fn load(self) -> u64 {
        // SAFETY: see `new`.
        unsafe { read_volatile(self.0) }
    }

    #[inline(always)]
    pub fn store(self, value: u64) {
        // SAFETY: see `new`.
        unsafe { write_volatile(self.0, value) };
    }

    /// Puts `new` where `old` is. `Err`: what is there instead.
    #[inline(always)]
    pub fn exchange(self, old: u64, new: u64) -> Result<(), u64> {
        // SAFETY: see `new`.
        let (seen, done) =
            unsafe { atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(self.0, old, new) };
        if done { Ok(()) } else { Err(seen) }
    }
}
