//! An array map in this process's memory: read and written without a system call.

use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::Pod;
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// Words of the largest value that is mapped.
const MAX_WORDS: usize = 16;

/// The values of an mmap-able array, each on the stride that the kernel gives it: its size rounded up to 8 bytes.
///
/// Programs read and write the same memory at the same time. So it is touched only in aligned 64-bit words, each of which is
/// seen whole or not at all.
pub struct Mapped<T> {
    base: NonNull<u64>,
    len: usize,
    bytes: usize,
    value: PhantomData<T>,
}

// SAFETY: the memory is only touched through atomic words.
unsafe impl<T> Send for Mapped<T> {}
// SAFETY: the memory is only touched through atomic words.
unsafe impl<T> Sync for Mapped<T> {}

impl<T: Pod> Mapped<T> {
    const WORDS: usize = {
        assert!(size_of::<T>() <= MAX_WORDS * 8);
        size_of::<T>().div_ceil(8)
    };

    /// Maps the array behind `map`, which has `len` values.
    ///
    /// # Errors
    ///
    /// Whatever `mmap(2)` says; `EPERM`: the array was not made mmap-able.
    pub fn new(map: impl AsFd, len: u32) -> std::io::Result<Self> {
        Self::with(map, len, ProtFlags::READ | ProtFlags::WRITE)
    }

    /// The same, only to be read: a store ends this process.
    ///
    /// # Errors
    ///
    /// As [`Mapped::new`].
    pub fn read_only(map: impl AsFd, len: u32) -> std::io::Result<Self> {
        Self::with(map, len, ProtFlags::READ)
    }

    fn with(map: impl AsFd, len: u32, access: ProtFlags) -> std::io::Result<Self> {
        let len = len as usize;
        let bytes = (len * Self::WORDS * 8).next_multiple_of(rustix::param::page_size());
        // SAFETY: a new mapping at an address that the kernel chooses.
        let base = unsafe { mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, map.as_fd(), 0)? };
        let base = NonNull::new(base.cast()).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(Self {
            base,
            len,
            bytes,
            value: PhantomData,
        })
    }

    /// Number of values; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Word `word` of value `index`.
    ///
    /// # Panics
    ///
    /// If there is no such word.
    pub fn word(&self, index: usize, word: usize) -> &AtomicU64 {
        assert!(
            index < self.len && word < Self::WORDS,
            "value {index} word {word} of {} values",
            self.len
        );
        // SAFETY: within the mapping by the assertion, aligned, and never touched but atomically.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(index * Self::WORDS + word)) }
    }

    /// The value at `index`; whole in each of its words.
    pub fn load(&self, index: usize) -> T {
        let mut words = [0u64; MAX_WORDS];
        for (place, word) in words.iter_mut().take(Self::WORDS).enumerate() {
            *word = self.word(index, place).load(Ordering::Acquire);
        }
        // SAFETY: `T` is valid for every bit pattern, and the words are at least as many bytes.
        unsafe { words.as_ptr().cast::<T>().read_unaligned() }
    }

    /// Writes the value at `index`, a word at a time, and only the words that differ.
    pub fn store(&self, index: usize, value: &T) {
        let mut words = [0u64; MAX_WORDS];
        // SAFETY: the words are at least as many bytes as the value.
        unsafe { words.as_mut_ptr().cast::<T>().write_unaligned(*value) };
        for (place, new) in words.into_iter().take(Self::WORDS).enumerate() {
            let word = self.word(index, place);
            if word.load(Ordering::Relaxed) != new {
                word.store(new, Ordering::Release);
            }
        }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; no reference into it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
