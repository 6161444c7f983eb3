//! What touches the world. Each part does one kind of I/O and turns it into values of [`crate::core`].
//!
//! # Layout
//!
//! - [`dataplane`]: BPF: programs, links, maps
//! - [`net`]: netlink: links, routes, neighbours, next hops
//! - [`probe`]: checks the backends
//! - [`state`]: the desired state on disk
//! - [`api`]: HTTP and JSON over a unix socket, for people and their scripts
//! - [`client`]: the other end of it
//! - [`metrics`]: the state as Prometheus reads it

pub mod api;
pub mod client;
pub mod dataplane;
pub mod metrics;
pub mod net;
pub mod probe;
pub mod state;
