//! The first process of the virtual machines in which `cargo xtask vm` tests lb on other kernels, and what the host needs to
//! know of it.
//!
//! # Layout
//!
//! - [`plan`]: what a guest is told to do
//! - [`said`]: what it says of it
//! - [`places`]: where in the guest's file system things lie
//! - [`verdict`]: how it ends

pub mod places;
pub mod plan;
pub mod said;
pub mod verdict;
