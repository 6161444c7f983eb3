//! A change to the desired state, as the CLI, the API and `lb apply` make it; and the document that holds that state.
//!
//! # Layout
//!
//! - `document`: the desired state as it is kept, and what a change comes to
//! - `apply`: a change, made on a copy, looked at whole, then kept or refused
//! - `parts`: changes to services, backends and interfaces
//! - `by_hand`: states and weights that an operator sets
//! - `find`: which service or backend is meant
//! - `difference`: what changes, in words
//! - `refusal`: why a change is not made

use serde::{Deserialize, Serialize};

mod apply;
mod by_hand;
mod difference;
mod document;
mod find;
mod parts;
mod refusal;

#[cfg(test)]
mod tests;

pub use super::config::Format;
pub use apply::{apply, reload};
pub use document::{Document, Origin, Outcome};
pub use find::{find_backend, find_service, split_reference};
pub use refusal::Refusal;

/// One change. Names of services are as the user gave them: a name or `VIP:PORT[/PROTOCOL]`; names of backends likewise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case")]
pub enum Edit {
    /// The base state becomes this document: TOML or JSON, as its text.
    Apply {
        text: String,
        format: Format,
    },
    /// A new service; its fields are those of `[[service]]`.
    ServiceAdd {
        service: serde_json::Value,
    },
    /// Fields of `[[service]]` that replace what is there; `null` removes a field.
    ServiceSet {
        service: String,
        fields: serde_json::Value,
    },
    ServiceRemove {
        service: String,
    },
    /// A new backend; its fields are those of `[[service.backend]]`.
    BackendAdd {
        service: String,
        backend: serde_json::Value,
    },
    /// Fields of `[[service.backend]]` that replace what is there; `null` removes a field.
    BackendSet {
        service: String,
        backend: String,
        fields: serde_json::Value,
    },
    BackendRemove {
        service: String,
        backend: String,
    },
    /// By hand; stays until it is set again. Ready clears what was set, where the configuration says ready.
    State {
        service: String,
        backend: String,
        state: super::model::AdminState,
    },
    /// By hand; stays until it is set again. 100 % of the configured weight clears it.
    Weight {
        service: String,
        backend: String,
        weight: WeightChange,
    },
    /// Attach to an interface, from now on and after a restart.
    Attach {
        interface: String,
        xdp: super::model::XdpMode,
    },
    /// Detach; `None`: from all.
    Detach {
        interface: Option<String>,
    },
}

/// A weight as an operator gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightChange {
    Absolute(u32),
    /// Of the configured weight.
    Percent(u32),
}
