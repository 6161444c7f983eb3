//! What an operator set by hand: it goes before the base state until the operator clears it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::model::{AdminState, SetBy};

/// By `service/backend`, the names as they are in the model; see [`override_key`].
pub type Overrides = BTreeMap<String, Override>;

/// What was set by hand at one backend. At least one of the two is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AdminState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Who set the last of it.
    pub set_by: SetBy,
}

/// Key of a backend's override.
pub fn override_key(service: &str, backend: &str) -> String {
    format!("{service}/{backend}")
}
