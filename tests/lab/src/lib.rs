//! A laboratory of network namespaces with real servers and clients, for the demo and the net tests.

pub mod bpffs;
mod skip;

pub use skip::{Skipped, is_full, is_root, skip};
