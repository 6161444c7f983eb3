//! Shared parts of the packet and net tests.

pub mod net;
pub mod packet;
