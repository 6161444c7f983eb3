//! What is decided: the model, the table, the plan. Pure: no I/O, no clock, no async.
//!
//! # Layout
//!
//! From what is wanted to what is written:
//!
//! - [`capabilities`]: what the kernel can do for the data plane
//! - [`config`]: the configuration document: read, checked, filled in, printed
//! - [`edit`]: a change to the desired state
//! - [`model`]: the desired state, validated and with every default filled in
//! - [`observed`]: what health checks and netlink say, as values
//! - [`health`]: from results of checks to the health of a backend
//! - [`pool`]: who takes new flows, who keeps old ones, and why
//! - [`maglev`]: the table of a service
//! - [`image`]: what is in the maps, and the numbers given out
//! - [`roles`]: what addresses can be; [`ports`], [`groups`]: services with several ports, and with prefixes, as they are found
//! - [`plan`]: the difference between the two, as writes in a safe order
//! - [`sweep`]: when a flow is over
//! - [`view`]: what people and scripts are shown of it all
//! - [`prefix`]: addresses that begin alike
//! - [`duration`]: lengths of time as people write and read them

pub mod capabilities;
pub mod config;
pub mod duration;
pub mod edit;
pub mod groups;
pub mod health;
pub mod image;
pub mod maglev;
pub mod model;
pub mod observed;
pub mod plan;
pub mod pool;
pub mod ports;
pub mod prefix;
pub mod roles;
pub mod sweep;
pub mod view;
