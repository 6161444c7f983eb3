//! `lb`: the daemon that keeps the data plane in step with the healthy backends, and the command line that talks to it.
//!
//! # Layout
//!
//! - [`core`]: what is decided, as pure functions and state machines: no I/O, no clock, no async
//! - [`edge`]: what touches the world: BPF, netlink, probes, the API, the state on disk
//! - `daemon`: the loop that owns everything
//! - `cli`: a file per subcommand

pub mod core;
pub mod edge;
