//! Numbers that the verifier is to know nothing of: it would otherwise look at what follows anew for each that leads there.

/// The same number by way of `word`, which lies in a map's memory.
///
/// # Safety
///
/// `word` is this CPU's, and nobody reads or writes it meanwhile: a run is not interrupted by another one on its CPU.
#[inline(always)]
pub unsafe fn number(word: *mut u32, number: u32) -> u32 {
    // SAFETY: the caller's.
    unsafe {
        word.write_volatile(number);
        word.read_volatile()
    }
}
