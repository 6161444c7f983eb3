//! What has to hold of every parser of bytes from outside, whatever the bytes are.
//!
//! Each target is a function that takes any bytes and panics where something does not hold. `tests/fuzz` looks for such bytes, and
//! the test `parsers` goes through those that are kept.
//!
//! # Layout
//!
//! - [`capture`]: what `lb replay` reads
//! - [`document`]: the configuration, TOML and JSON
//! - [`request`]: what is sent to the API
//! - [`answer`]: what servers answer to checks
//! - [`argument`]: values on the command line
//!
//! Netlink is not among them: its messages are the kernel's, and `netlink-packet-route` takes them apart.

use std::path::PathBuf;

pub mod answer;
pub mod argument;
pub mod capture;
pub mod document;
pub mod request;

/// Takes any bytes, and panics where something does not hold.
pub type Target = fn(&[u8]);

/// Every target, by the name of its directory of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("answer", answer::any),
    ("argument", argument::any),
    ("capture", capture::any),
    ("document", document::any),
    ("request", request::any),
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    let found = TARGETS.iter().find(|(of, _)| *of == name);
    found.map(|(_, target)| *target)
}

/// Where the seeds are, a directory for each target: examples to begin with, and what was found.
pub fn seeds() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

/// What is said in one line has to be one, on a terminal and in a log, whatever is quoted in it.
fn is_one_line(text: &str) {
    let found = text.chars().find(|c| c.is_control());
    assert_eq!(found, None, "in {text:?}");
}
