//! What is decided: the model, the table, the plan. Pure: no I/O, no clock, no async.
//!
//! # Layout
//!
//! - [`model`]: the desired state, validated and with every default filled in
//! - [`observed`]: what health checks and netlink say, as values
//! - [`config`]: the configuration document: read, checked, filled in, printed
//! - [`edit`]: a change to the desired state
//! - [`maglev`]: the table of a service
//! - [`health`]: from results of checks to the health of a backend
//! - [`view`]: what people and scripts are shown of it all

pub mod config;
pub mod edit;
pub mod health;
pub mod image;
pub mod maglev;
pub mod model;
pub mod observed;
pub mod plan;
pub mod pool;
pub mod sweep;
pub mod view;
