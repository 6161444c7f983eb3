//! What is decided: the model, the table, the plan. Pure: no I/O, no clock, no async.
//!
//! # Layout
//!
//! - [`model`]: the desired state, validated and with every default filled in
//! - [`edit`]: a change to the desired state
//! - [`maglev`]: the table of a service
//! - [`view`]: what people and scripts are shown of it all

pub mod edit;
pub mod maglev;
pub mod model;
pub mod observed;
pub mod view;
