//! Entries of the hash tables, as they are read and written while other CPUs and the daemon do the same.

use aya_ebpf::btf_maps::Array;
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

/// A bucket that was looked up by this run of the program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Line(*mut Bucket);

impl Line {
    #[inline(always)]
    pub fn of<const FLAGS: usize>(map: &Array<Bucket, 1, FLAGS>, index: u32) -> Option<Self> {
        map.get_ptr_mut(index).map(Self)
    }

    #[inline(always)]
    pub fn entries(self) -> impl Iterator<Item = Entry> {
        // SAFETY: each place is less than the number of entries, and the bucket was looked up by this run.
        (0..BUCKET_ENTRIES)
            .map(move |place| unsafe { Entry::new((&raw mut (*self.0).entries).cast::<abi::Entry>().add(place)) })
    }

    /// The entry that has this key.
    #[inline(always)]
    pub fn find(self, key: u64) -> Option<Entry> {
        self.entries().find(|entry| entry.key.load() == key)
    }
}
