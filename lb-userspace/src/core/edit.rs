//! A change to the desired state, as the CLI, the API and `lb apply` make it.

use serde::{Deserialize, Serialize};

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
    /// By hand; stays until it is set again.
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

/// Language of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Toml,
    Json,
}

/// A weight as an operator gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightChange {
    Absolute(u32),
    /// Of the configured weight.
    Percent(u32),
}
