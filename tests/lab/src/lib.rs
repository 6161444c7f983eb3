//! A laboratory of network namespaces with real servers and clients, for the demo and the net tests.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use lb_lab::{Load, Mode, Plan};
//!
//! let mut lab = Plan::for_mode(Mode::Ipip).servers(3).build()?;
//! lab.balancer.start()?;
//! lab.serve("web", "http,interval=200ms,timeout=100ms,rise=1,fall=2")?;
//! let report = lab.client.load(&Load::of(&lab.url("/")).requests(2000).connections(20))?;
//! assert!(report.failures().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! Needs root. What a lab makes has names of its own, so that labs stand side by side; all of it is gone when the lab is
//! dropped, and what a killed process left behind is cleared away by the next lab.
//!
//! # Layout
//!
//! - [`lab`]: plans and builds a whole lab; [`layout`] are its addresses and cables, [`mode`] the modes
//! - [`netns`], [`link`], [`process`]: what hosts are made of
//! - [`client`], [`server`], [`balancer`]: what runs on them; [`pattern`] is the content that is sent about
//! - [`scratch`]: the files of a lab, and clearing away what is left of others
//! - [`interrupt`]: ending in good order when a signal asks for it
//! - [`mod@skip`]: tests that cannot run here; [`mod@amount`]: those that do less here
//! - [`bpffs`], [`program`]: what a lab needs of the machine

pub mod amount;
pub mod balancer;
pub mod bpffs;
pub mod client;
pub mod interrupt;
pub mod lab;
mod layout;
pub mod link;
mod mode;
pub mod netns;
pub mod pattern;
pub mod process;
pub mod program;
mod scratch;
pub mod server;
mod skip;
mod wait;

pub use amount::amount;
pub use balancer::{Balancer, CliOutput};
pub use client::{Client, Load, LoadReport};
pub use lab::{Lab, Plan};
pub use layout::{Family, Layout, VIP};
pub use link::Device;
pub use mode::Mode;
pub use netns::Netns;
pub use scratch::{Scratch, clear_kept, what_is_left};
pub use server::{Server, ServerKind};
pub use skip::{Skipped, is_full, is_root, skip};
pub use wait::wait_until;
