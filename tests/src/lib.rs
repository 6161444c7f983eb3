//! Shared parts of the packet and net tests.

pub mod model;
pub mod net;
pub mod packet;
pub mod parsers;
