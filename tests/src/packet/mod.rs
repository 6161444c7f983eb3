//! One packet through the loaded program by test-run, and what it should look like afterwards.
//!
//! # Layout
//!
//! - [`frame`]: frames, built by a crate that shares no code with ours
//! - `ip`: their IP headers; `outer`: those of tunnels
//! - [`fragment`]: fragments of them
//! - [`icmp`]: the same of ICMP
//! - [`check`]: checksums computed anew by that crate
//! - [`world`]: the program with its maps, filled by the daemon's own plan
//! - [`loaded`]: loaded programs, to be used again
//! - [`objects`]: with a flow table and without
//! - [`flows`]: the flow table of `fullnat` as it lies in the maps
//! - [`places`]: addresses and MACs that the tests use
//! - [`tag`]: VLAN tags
//! - [`random`]: pseudo-random numbers whose seed a failing test prints

pub mod check;
pub mod flows;
pub mod fragment;
pub mod frame;
pub mod icmp;
mod ip;
pub mod loaded;
pub mod objects;
mod outer;
pub mod places;
pub mod random;
pub mod tag;
pub mod world;

pub use check::{assert_same, bad_checksum};
pub use flows::Flows;
pub use frame::Frame;
pub use icmp::Icmp;
pub use random::Random;
pub use world::{Setup, World, pool, service};

/// Bits of `linux/capability.h`.
const CAP_NET_ADMIN: u32 = 12;
const CAP_BPF: u32 = 39;

/// Whether we may load and run XDP programs.
pub fn can_bpf() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    let wanted = 1 << CAP_NET_ADMIN | 1 << CAP_BPF;
    effective.is_some_and(|bits: u64| bits & wanted == wanted)
}

/// Skips the test it stands in unless we may use BPF.
#[macro_export]
macro_rules! needs_bpf {
    () => {
        lb_lab::needs!($crate::packet::can_bpf(), "needs CAP_BPF and CAP_NET_ADMIN")
    };
}
