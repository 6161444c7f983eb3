//! Edits from the outside.

use serde_json::{Value, json};

use super::*;
use crate::core::capabilities::Capabilities;
use crate::core::config::{Overrides, to_toml};
use crate::core::model::{AdminState, SetBy, XdpMode};

mod by_hand;
mod kernel;
mod parts;
mod properties;
mod refused;

const WEB: &str = r#"
version = 1
[[service]]
name = "web"
address = "192.0.2.10"
port = 80
  [[service.backend]]
  name = "web-1"
  address = "10.0.1.1"
  [[service.backend]]
  name = "web-2"
  address = "10.0.1.2"
  weight = 50
[[service]]
name = "dns"
address = "192.0.2.53"
port = 53
protocol = "udp"
check = { type = "none" }
  [[service.backend]]
  address = "10.0.1.3"
"#;

fn anna() -> SetBy {
    SetBy {
        who: "anna".to_owned(),
        at: 1_700_000_000,
    }
}

fn start() -> Document {
    let edit = Edit::Apply {
        text: WEB.to_owned(),
        format: Format::Toml,
    };
    apply(&Document::empty(), &edit, &anna(), &Capabilities::all())
        .unwrap()
        .document
}

/// Makes a change that must succeed; the document after it and the plan.
#[track_caller]
fn done(document: &Document, edit: Edit) -> (Document, Vec<String>) {
    let outcome =
        apply(document, &edit, &anna(), &Capabilities::all()).unwrap_or_else(|refusal| panic!("{edit:?}: {refusal}"));
    assert!(outcome.changed, "{edit:?}");
    assert_eq!(outcome.document.revision, document.revision + 1);
    assert_eq!(outcome.model, outcome.document.resolve(&Capabilities::all()).unwrap().0);
    (outcome.document, outcome.plan)
}

#[track_caller]
fn unchanged(document: &Document, edit: Edit) {
    let outcome =
        apply(document, &edit, &anna(), &Capabilities::all()).unwrap_or_else(|refusal| panic!("{edit:?}: {refusal}"));
    assert!(
        !outcome.changed && outcome.plan.is_empty(),
        "{edit:?}: {:?}",
        outcome.plan
    );
    assert_eq!(&outcome.document, document);
    assert_eq!(outcome.model.revision, document.revision);
}

#[track_caller]
fn refused(document: &Document, edit: Edit) -> String {
    apply(document, &edit, &anna(), &Capabilities::all())
        .expect_err("accepted")
        .to_string()
}

fn service_add(service: Value) -> Edit {
    Edit::ServiceAdd { service }
}

fn service_set(service: &str, fields: Value) -> Edit {
    Edit::ServiceSet {
        service: service.to_owned(),
        fields,
    }
}

fn backend_add(service: &str, backend: Value) -> Edit {
    Edit::BackendAdd {
        service: service.to_owned(),
        backend,
    }
}

fn backend_set(service: &str, backend: &str, fields: Value) -> Edit {
    Edit::BackendSet {
        service: service.to_owned(),
        backend: backend.to_owned(),
        fields,
    }
}

fn state(service: &str, backend: &str, state: AdminState) -> Edit {
    Edit::State {
        service: service.to_owned(),
        backend: backend.to_owned(),
        state,
    }
}

fn weight(service: &str, backend: &str, weight: WeightChange) -> Edit {
    Edit::Weight {
        service: service.to_owned(),
        backend: backend.to_owned(),
        weight,
    }
}

fn own_save(document: &Document) -> Edit {
    Edit::Apply {
        text: to_toml(&document.file),
        format: Format::Toml,
    }
}
