//! The handlers that change something: each makes an [`Edit`] and hands it to the daemon's loop.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::http::{Document, JsonBody, OptionalJsonBody, Terms, revision_headers};
use super::read::{PathOf, from_path};
use super::{Owner, Request};
use crate::core::duration;
use crate::core::edit::{Edit, WeightChange};
use crate::core::model::{AdminState, XdpMode};
use crate::core::view::Problem;

type Fields = JsonBody<Map<String, Value>>;
type Made = Result<Response, Problem>;

/// Body of `PUT …/state`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateBody {
    state: AdminState,
}

/// Body of `PUT …/weight`: `{"weight": 50}` or `{"weight": "50%"}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WeightBody {
    weight: Value,
}

/// Body of `PUT /v1/interfaces/{interface}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttachBody {
    #[serde(default)]
    xdp: XdpMode,
}

pub(super) async fn apply(State(owner): State<Owner>, terms: Terms, document: Document) -> Made {
    make(
        &owner,
        terms,
        Edit::Apply {
            text: document.text,
            format: document.format,
        },
    )
    .await
}

pub(super) async fn service_add(State(owner): State<Owner>, terms: Terms, JsonBody(fields): Fields) -> Made {
    make(&owner, terms, Edit::ServiceAdd { service: fields.into() }).await
}

pub(super) async fn service_set(
    State(owner): State<Owner>,
    path: PathOf<String>,
    terms: Terms,
    JsonBody(fields): Fields,
) -> Made {
    make(
        &owner,
        terms,
        Edit::ServiceSet {
            service: from_path(path)?,
            fields: fields.into(),
        },
    )
    .await
}

pub(super) async fn service_remove(State(owner): State<Owner>, path: PathOf<String>, terms: Terms) -> Made {
    make(
        &owner,
        terms,
        Edit::ServiceRemove {
            service: from_path(path)?,
        },
    )
    .await
}

pub(super) async fn backend_add(
    State(owner): State<Owner>,
    path: PathOf<String>,
    terms: Terms,
    JsonBody(fields): Fields,
) -> Made {
    make(
        &owner,
        terms,
        Edit::BackendAdd {
            service: from_path(path)?,
            backend: fields.into(),
        },
    )
    .await
}

pub(super) async fn backend_set(
    State(owner): State<Owner>,
    path: PathOf<(String, String)>,
    terms: Terms,
    JsonBody(fields): Fields,
) -> Made {
    let (service, backend) = from_path(path)?;
    make(
        &owner,
        terms,
        Edit::BackendSet {
            service,
            backend,
            fields: fields.into(),
        },
    )
    .await
}

pub(super) async fn backend_remove(State(owner): State<Owner>, path: PathOf<(String, String)>, terms: Terms) -> Made {
    let (service, backend) = from_path(path)?;
    make(&owner, terms, Edit::BackendRemove { service, backend }).await
}

pub(super) async fn state(
    State(owner): State<Owner>,
    path: PathOf<(String, String)>,
    terms: Terms,
    JsonBody(StateBody { state }): JsonBody<StateBody>,
) -> Made {
    let (service, backend) = from_path(path)?;
    make(
        &owner,
        terms,
        Edit::State {
            service,
            backend,
            state,
        },
    )
    .await
}

pub(super) async fn weight(
    State(owner): State<Owner>,
    path: PathOf<(String, String)>,
    terms: Terms,
    JsonBody(body): JsonBody<WeightBody>,
) -> Made {
    let (service, backend) = from_path(path)?;
    let weight = weight_change(&body.weight).ok_or_else(|| {
        Problem::invalid(format!(
            "weight: {} is neither a number from 0 nor a percentage as \"50%\"",
            body.weight
        ))
    })?;
    make(
        &owner,
        terms,
        Edit::Weight {
            service,
            backend,
            weight,
        },
    )
    .await
}

fn weight_change(value: &Value) -> Option<WeightChange> {
    if let Some(number) = value.as_u64() {
        return number.try_into().ok().map(WeightChange::Absolute);
    }
    let percent = value.as_str()?.strip_suffix('%')?;
    percent.parse().ok().map(WeightChange::Percent)
}

pub(super) async fn attach(
    State(owner): State<Owner>,
    path: PathOf<String>,
    terms: Terms,
    OptionalJsonBody(AttachBody { xdp }): OptionalJsonBody<AttachBody>,
) -> Made {
    make(
        &owner,
        terms,
        Edit::Attach {
            interface: from_path(path)?,
            xdp,
        },
    )
    .await
}

pub(super) async fn detach(State(owner): State<Owner>, path: PathOf<String>, terms: Terms) -> Made {
    make(
        &owner,
        terms,
        Edit::Detach {
            interface: Some(from_path(path)?),
        },
    )
    .await
}

pub(super) async fn detach_all(State(owner): State<Owner>, terms: Terms) -> Made {
    make(&owner, terms, Edit::Detach { interface: None }).await
}

/// Has the change made. The answer comes when it is durable and in the maps, or when the client's patience ends.
async fn make(owner: &Owner, terms: Terms, edit: Edit) -> Made {
    let Terms {
        who,
        dry_run,
        wait,
        if_revision,
    } = terms;
    let request = |reply| Request::Edit {
        edit,
        who,
        dry_run,
        if_revision,
        reply,
    };
    let answer = match wait {
        None => owner.ask(request).await?,
        Some(limit) => owner.ask_within(limit, request).await.ok_or_else(|| {
            let limit = duration::show(limit);
            Problem::deadline(format!(
                "the change was not confirmed within {limit}; it may still be made, see lb status"
            ))
        })??,
    };
    let change = answer.value?;
    Ok((revision_headers(answer.revision), Json(change)).into_response())
}
