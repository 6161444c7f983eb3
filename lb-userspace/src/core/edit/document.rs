//! The desired state as it is kept, and what a change to it comes to.

use serde::{Deserialize, Serialize};

use crate::core::capabilities::Capabilities;
use crate::core::config::{self, File, Finding, Overrides};
use crate::core::model::{Model, SetBy};

/// The desired state: the base state, and what operators set by hand on top of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Grows by one with each accepted change; 0: nothing was ever asked for.
    pub revision: u64,
    /// The base state.
    pub file: File,
    #[serde(default)]
    pub overrides: Overrides,
    /// The configuration file that the base state was last read from, if it was.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// Whether the base state has been changed since by other means than that file.
    #[serde(default)]
    pub edited: bool,
    /// Who made this revision, and when.
    #[serde(default)]
    pub changed_by: Option<SetBy>,
}

/// A configuration file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    pub path: String,
    /// [`config::digest`] of its text.
    pub digest: String,
}

/// A change that is accepted.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The document after the change; the one before, with its revision, if nothing changes.
    pub document: Document,
    pub model: Model,
    pub changed: bool,
    /// What changes, a line each: `+ backend web/web-3 10.0.1.3:80 weight 100`.
    pub plan: Vec<String>,
    /// What does not stop the change, but should be known.
    pub warnings: Vec<Finding>,
}

impl Document {
    /// Nothing asked for yet.
    pub fn empty() -> Self {
        Self {
            revision: 0,
            file: File {
                version: Some(1),
                ..File::default()
            },
            overrides: Overrides::new(),
            origin: None,
            edited: false,
            changed_by: None,
        }
    }

    /// The model at this revision, with warnings; or all findings, what the kernel cannot do among them.
    pub fn resolve(&self, capabilities: &Capabilities) -> Result<(Model, Vec<Finding>), Vec<Finding>> {
        config::resolve(&self.file, &self.overrides, self.revision, capabilities)
    }

    /// Whether a configuration file says something else than when it was last read.
    pub fn is_outdated_by(&self, origin: &Origin) -> bool {
        self.origin.as_ref() != Some(origin)
    }
}

impl Origin {
    /// A file that holds this text.
    pub fn new(path: impl Into<String>, text: &str) -> Self {
        Self {
            path: path.into(),
            digest: config::digest(text),
        }
    }
}
