//! The building block of hash tables that programs and the daemon share: a cache line of entries, a word of key and a word of value
//! each, so that whoever looks while another writes sees each half whole.

/// A key that is free when 0, and a value. 16 bytes.
///
/// In the flow table of `fullnat` and among its ports a [`super::FlowKey`] and a [`super::FlowValue`], which is 0 while the entry is
/// being made or being deleted; in the table of what clients connect to a [`super::VipKey`] and the number of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Entry {
    pub key: u64,
    pub value: u64,
}

/// Entries of a [`Bucket`].
pub const BUCKET_ENTRIES: usize = 4;

/// Candidates for one hash: one cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Bucket {
    pub entries: [Entry; BUCKET_ENTRIES],
}

super::assert_layout! {
    Entry: 16, 16;
    Bucket: 64, 64;
}
