//! What the programs and the daemon of `lb` must agree on.
//!
//! # Layout
//!
//! - [`abi`]: every struct that lies in a map
//! - [`maps`]: the names of the maps and the limits they are made with
//! - [`reason`]: every reason for which a packet is passed or dropped
//! - [`flow`]: the flow hash, the flow table's hash, and the range reduction
//! - [`checksum`]: the Internet checksum, incremental and whole
//! - [`encap`]: the outer header of `ipip`
//! - [`mod@bench`]: what the benchmark's programs and the benchmark agree on
//!
//! Everything here is pure and compiles for the host and for the BPF target. Addresses and ports that end in `_be`, or
//! whose docs say *as in the packet*, are integers whose bytes in memory are in network order: they are compared and
//! copied, never counted with.
#![cfg_attr(not(test), no_std)]

pub mod abi;
pub mod bench;
pub mod checksum;
pub mod encap;
pub mod flow;
pub mod maps;
pub mod reason;
