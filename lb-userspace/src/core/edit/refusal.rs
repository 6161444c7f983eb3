//! Why a change is not made.

use std::fmt;

use crate::core::config::Finding;

/// A change that is refused. Its `Display` is one line: what, why, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The document would not be right.
    #[error("{}", Summary(.0))]
    Invalid(Vec<Finding>),
    /// What the change is about is not there.
    #[error("{0}")]
    NotFound(String),
    /// The change does not fit what is there.
    #[error("{0}")]
    Conflict(String),
}

impl Refusal {
    /// All findings, a line each; empty where the message says it all.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Invalid(findings) => findings,
            Self::NotFound(_) | Self::Conflict(_) => &[],
        }
    }
}

/// The first finding, and how many more there are.
struct Summary<'a>(&'a [Finding]);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::core::config::Severity::Error;
        let errors = || self.0.iter().filter(|finding| finding.severity == Error);
        let Some(first) = errors().next() else {
            return f.write_str("the document is not right");
        };
        write!(f, "{first}")?;
        match errors().count() - 1 {
            0 => Ok(()),
            1 => f.write_str(" (and one more error)"),
            more => write!(f, " (and {more} more errors)"),
        }
    }
}
