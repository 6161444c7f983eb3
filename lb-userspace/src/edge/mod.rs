//! What touches the world. Each part does one kind of I/O and turns it into values of [`crate::core`].
//!
//! # Layout
//!
//! - [`state`]: the desired state on disk

pub mod state;
