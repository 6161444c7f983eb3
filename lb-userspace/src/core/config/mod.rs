//! The configuration document: read, checked, filled in, printed.
//!
//! # Layout
//!
//! - [`file`](mod@file): the document as it is written
//! - `source`: from TOML or JSON to values, and from a path back to its place in the text
//! - `shape`: which keys there are; what does not belong is found and taken out
//! - `words`: single values: addresses, ports, durations, names
//! - `resolve`: from the document to the [`Model`], every default filled in and every rule checked
//! - `finding`: what is wrong, and how it is shown
//! - `overrides`: what an operator set by hand

use serde::{Deserialize, Serialize};

use crate::core::capabilities::Capabilities;
use crate::core::model::Model;

pub mod file;
mod finding;
mod overrides;
mod resolve;
mod shape;
mod source;
mod words;

#[cfg(test)]
pub(super) mod arbitrary;
#[cfg(test)]
mod tests;

pub use file::File;
pub use finding::{Finding, Place, Severity, render};
pub use overrides::{Override, Overrides, override_key};
pub use resolve::resolve;
pub(super) use words::closest;
pub use words::show_duration;

pub(super) use shape::Shaped;
use shape::Walk;
use source::Places;

/// Language of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Toml,
    Json,
}

impl Format {
    /// The language of a file by its name: JSON where it ends in `.json`, else TOML.
    pub fn of_name(name: &str) -> Self {
        if name.ends_with(".json") {
            Self::Json
        } else {
            Self::Toml
        }
    }

    /// The language of a text that has no name: JSON where it begins with a brace, else TOML.
    pub fn of_text(text: &str) -> Self {
        if text.trim_start().starts_with('{') {
            Self::Json
        } else {
            Self::Toml
        }
    }
}

/// A document that is right.
#[derive(Clone, Debug)]
pub struct Checked {
    pub file: File,
    /// At revision 0, with nothing set by hand.
    pub model: Model,
    pub warnings: Vec<Finding>,
}

/// Reads a document: its syntax, its keys and the kinds of its values, not what they mean. All findings, in the order of
/// the text.
pub fn parse(text: &str, format: Format) -> Result<File, Vec<Finding>> {
    let (file, walk, places) = read(text, format)?;
    if walk.findings.is_empty() {
        Ok(file)
    } else {
        Err(placed(walk.findings, &places))
    }
}

/// Reads a document and everything it means, as `lb config check` does. All findings, warnings too, in the order of the
/// text.
pub fn check(text: &str, format: Format, capabilities: &Capabilities) -> Result<Checked, Vec<Finding>> {
    let (file, mut walk, places) = read(text, format)?;
    let resolved = resolve(&file, &Overrides::new(), 0, capabilities);
    match resolved {
        Ok((model, warnings)) if walk.findings.is_empty() => Ok(Checked {
            file,
            model,
            warnings: placed(warnings, &places),
        }),
        Ok((_, findings)) | Err(findings) => {
            let more: Vec<_> = findings.into_iter().filter(|finding| !walk.covers(finding)).collect();
            walk.findings.extend(more);
            Err(placed(walk.findings, &places))
        }
    }
}

/// The part of a document that a value holds: a service or a backend, as an edit brings it. `subject` begins the messages.
pub(super) fn decode<T>(value: serde_json::Value, path: &str, subject: &str) -> Result<T, Vec<Finding>>
where
    T: Shaped + serde::de::DeserializeOwned + Default,
{
    let mut walk = Walk::default();
    let part = walk.decode(value, path, subject);
    if walk.findings.is_empty() {
        Ok(part)
    } else {
        Err(walk.findings)
    }
}

/// The document as TOML. What the operator left out stays out.
pub fn to_toml(file: &File) -> String {
    // A document is tables, text and numbers, all of which TOML has.
    toml::to_string(file).expect("tables, text and numbers")
}

/// A commented example; it passes its own check.
pub fn example() -> &'static str {
    include_str!("example.toml")
}

/// A short digest of a text: 64-bit FNV-1a, 16 hexadecimal digits. It tells a changed text from an unchanged one; it does
/// not keep anybody from forging one.
pub fn digest(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn read(text: &str, format: Format) -> Result<(File, Walk, Places), Vec<Finding>> {
    let (value, places) = source::read(text, format)?;
    let mut walk = Walk::default();
    let file = walk.decode(value, "", "");
    Ok((file, walk, places))
}

fn placed(mut findings: Vec<Finding>, places: &Places) -> Vec<Finding> {
    for finding in &mut findings {
        places.fill(finding);
    }
    findings.sort_by_key(|finding| finding.place);
    findings
}
