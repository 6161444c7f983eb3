//! The API over a real socket, the command line that talks to it, and the metrics; the daemon's loop behind them is a fake
//! with fixed answers.

mod api;
mod cli;
mod errors;
mod fake;
mod golden;
mod metrics;
mod problems;
mod sample;
mod wire;
