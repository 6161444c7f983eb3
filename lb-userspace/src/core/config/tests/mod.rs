//! The document from the outside: what is accepted, what is refused, and how that reads.

use super::*;
use crate::core::capabilities::Capabilities;

mod accepted;
mod across;
mod kernel;
mod properties;
mod refused;
mod shown;

/// The configuration of the interface's contract, word for word.
const CONTRACT: &str = include_str!("../../../../tests/fixtures/contract.toml");

/// A right document; each test adds to it or breaks it.
const WEB: &str = r#"
[[service]]
name = "web"
address = "192.0.2.10"
port = 80
[[service.backend]]
name = "web-1"
address = "10.0.1.1"
"#;

fn accepted(text: &str) -> Checked {
    check(text, Format::Toml, &Capabilities::all())
        .unwrap_or_else(|findings| panic!("{}", render(&findings, "test.toml", text, false)))
}

/// The errors, a line each.
fn refused(text: &str) -> Vec<String> {
    let Err(findings) = check(text, Format::Toml, &Capabilities::all()) else {
        panic!("accepted: {text}")
    };
    errors(&findings)
}

fn errors(findings: &[Finding]) -> Vec<String> {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(ToString::to_string).collect()
}

fn warnings(text: &str) -> Vec<String> {
    accepted(text).warnings.iter().map(ToString::to_string).collect()
}

/// The right document with one line replaced.
fn web_with(old: &str, new: &str) -> String {
    assert!(WEB.contains(old), "{old}");
    WEB.replacen(old, new, 1)
}
