//! `lb`: the daemon that keeps the data plane in step with the healthy backends, and the command line that talks to it.
//!
//! # Layout
//!
//! - [`core`]: what is decided, as pure functions and state machines: no I/O, no clock, no async
//! - [`edge`]: what touches the world: BPF, netlink, probes, the API, the state on disk
//! - [`daemon`]: the loop that owns everything
//! - [`replay`]: captures through the real program, offline; [`trace`]: one packet through what is pinned
//! - [`fate`]: what is said of such packets
//! - [`cli`]: a file per subcommand

pub mod cli;
pub mod core;
pub mod daemon;
pub mod edge;
pub mod fate;
pub mod replay;
pub mod trace;
