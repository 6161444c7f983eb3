//! What touches the world. Each part does one kind of I/O and turns it into values of [`crate::core`].
//!
//! # Layout
//!
//! - [`probe`]: checks the backends

pub mod dataplane;
pub mod probe;
