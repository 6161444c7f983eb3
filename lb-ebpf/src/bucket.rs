//! Entries of the hash tables, as they are read and written while other CPUs and the daemon do the same.

use lb_common::abi::{self, BUCKET_ENTRIES, Bucket};

use crate::atomic::Word;

/// Both words of an entry.
#[derive(Clone, Copy)]
pub struct Entry {
    pub key: Word,
    pub value: Word,
}

impl Entry {
    /// # Safety
    ///
    /// `entry` lies in a map's value that was looked up by this run of the program.
    #[inline(always)]
    pub unsafe fn new(entry: *mut abi::Entry) -> Self {
        // SAFETY: the caller's; both words of an entry are aligned.
        unsafe {
            Self {
                key: Word::new(&raw mut (*entry).key),
                value: Word::new(&raw mut (*entry).value),
            }
        }
    }
}

/// An entry of a bucket that was looked up by this run.
#[inline(always)]
pub fn entry(bucket: *mut Bucket, place: usize) -> Entry {
    // SAFETY: `place` is less than the number of entries, and the bucket was looked up by this run.
    unsafe { Entry::new((&raw mut (*bucket).entries).cast::<abi::Entry>().add(place)) }
}

/// The entry of a bucket that has this key.
#[inline(always)]
pub fn find(bucket: *mut Bucket, key: u64) -> Option<Entry> {
    for place in 0..BUCKET_ENTRIES {
        let entry = entry(bucket, place);
        if entry.key.load() == key {
            return Some(entry);
        }
    }
    None
}
