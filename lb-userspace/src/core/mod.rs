//! What is decided: the model, the table, the plan. Pure: no I/O, no clock, no async.
//!
//! # Layout
//!
//! - [`model`]: the desired state, validated and with every default filled in
//! - [`observed`]: what health checks and netlink say, as values
//! - [`edit`]: a change to the desired state
//! - [`duration`]: lengths of time as people write and read them
//! - [`view`]: what people and scripts are shown of it all

pub mod duration;
pub mod edit;
pub mod model;
pub mod observed;
pub mod view;
