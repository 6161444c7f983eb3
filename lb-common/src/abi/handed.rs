//! What is told by the program that hands a packet over.

use super::Tags;

/// What the balancer tells its ICMP program of a packet that it hands over, and what that one remembers of its CPU. 28 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Handed {
    /// What the packet would be counted under, a [`crate::reason::Reason`].
    pub reason: u32,
    /// How large it could have been, in bytes, if it was too large.
    pub largest: u32,
    /// Number of the current window of time in which errors are counted.
    pub window: u32,
    /// Errors sent in it.
    pub sent: u32,
    /// 0 where the packet came without tags.
    pub tagged: u32,
    /// The tags that the last tagged packet came with.
    pub tags: Tags,
}

super::assert_layout! {
    Handed: 28, 4;
}
