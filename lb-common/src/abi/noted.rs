//! What the programs note of a packet while they look at it, for each CPU.

use super::Tags;

/// What the balancer tells the program that it hands a packet over to, and what that one remembers of its CPU. 40 bytes.
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
    /// Of a packet between families, whose it is.
    pub across: Across,
}

/// What was decided about a packet between a service and a backend of different families. 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Across {
    /// The backend that it goes to, or comes from.
    pub backend: u32,
    /// Place of the flow's source address and port in [`crate::maps::PORTS`].
    pub index: u32,
    /// Bits of [`across_flags`].
    pub flags: u32,
}

/// Flags of an [`Across`].
pub mod across_flags {
    /// It comes from its backend.
    pub const BACK: u32 = 1 << 0;
    /// It begins a flow.
    pub const NEW_FLOW: u32 = 1 << 1;
}

/// What is noted of an IPv6 packet's extension headers while it is looked at. 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Found {
    /// How far the chain is known, or the place in TCP's options.
    pub word: u32,
    /// Of the fragment header, as in the packet.
    pub identification: u32,
}

super::assert_layout! {
    Handed: 40, 4;
    Across: 12, 4;
    Found: 8, 4;
}
