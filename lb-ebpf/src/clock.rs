//! The daemon's clock.

use crate::{atomic::Word, maps::CLOCK};

/// Seconds that a daemon has been running for, modulo 2^32.
#[inline(always)]
pub fn seconds() -> u32 {
    CLOCK.get_ptr_mut(0).map_or(0, |clock| {
        // SAFETY: an aligned word that was looked up by this run.
        unsafe { Word::new(clock) }.load() as u32
    })
}
