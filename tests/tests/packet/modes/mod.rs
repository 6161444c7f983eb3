//! Every mode, in both directions, byte for byte.
//!
//! What is expected is built from the same description as the packet that goes in, by a crate that computes every length and
//! checksum anew; the program changes them step by step.

mod back;
mod flows;
mod forward;
mod kernel_routes;
mod spread;
