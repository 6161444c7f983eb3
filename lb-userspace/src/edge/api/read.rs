//! The handlers that only look.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::http::revision_headers;
use super::{Answer, Owner, Request};
use crate::core::view::{self, Problem};
use crate::edge::metrics;

/// How long the daemon's loop may take to show that it lives.
const ALIVE_WITHIN: Duration = Duration::from_secs(2);

/// Parameters of a path. What cannot be read gets a problem document.
pub(super) type PathOf<T> = Result<Path<T>, PathRejection>;

pub(super) fn from_path<T>(path: PathOf<T>) -> Result<T, Problem> {
    path.map(|Path(parameters)| parameters)
        .map_err(|error| Problem::malformed(error.body_text()))
}

pub(super) async fn status(State(owner): State<Owner>) -> Result<Answer<view::Status>, Problem> {
    owner.ask(Request::Status).await
}

pub(super) async fn services(State(owner): State<Owner>) -> Result<Answer<Vec<view::Service>>, Problem> {
    owner.ask(Request::Services).await
}

pub(super) async fn interfaces(State(owner): State<Owner>) -> Result<Answer<Vec<view::Interface>>, Problem> {
    owner.ask(Request::Interfaces).await
}

pub(super) async fn drops(State(owner): State<Owner>) -> Result<Answer<Vec<view::ReasonCount>>, Problem> {
    owner.ask(Request::Reasons).await
}

pub(super) async fn service(
    State(owner): State<Owner>,
    path: PathOf<String>,
) -> Result<Answer<view::Service>, Problem> {
    one_service(&owner, from_path(path)?).await
}

pub(super) async fn backends(
    State(owner): State<Owner>,
    path: PathOf<String>,
) -> Result<Answer<Vec<view::Backend>>, Problem> {
    let Answer { revision, value } = one_service(&owner, from_path(path)?).await?;
    Ok(Answer {
        revision,
        value: value.backends,
    })
}

pub(super) async fn backend(
    State(owner): State<Owner>,
    path: PathOf<(String, String)>,
) -> Result<Answer<view::Backend>, Problem> {
    let (service, name) = from_path(path)?;
    let Answer { revision, value } = one_service(&owner, service).await?;
    Ok(Answer {
        revision,
        value: value.into_backend(&name)?,
    })
}

async fn one_service(owner: &Owner, name: String) -> Result<Answer<view::Service>, Problem> {
    let Answer { revision, value } = owner.ask(|reply| Request::Service { name, reply }).await?;
    Ok(Answer {
        revision,
        value: value?,
    })
}

/// The base state, as TOML unless JSON alone is wanted.
pub(super) async fn config(State(owner): State<Owner>, headers: HeaderMap) -> Result<Response, Problem> {
    let Answer { revision, value: text } = owner.ask(Request::Config).await?;
    let mut revision = revision_headers(revision);
    revision.insert(header::VARY, HeaderValue::from_static("accept"));
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if accept.contains("json") && !accept.contains("toml") {
        let document: serde_json::Value = toml::from_str(&text)
            .map_err(|error| Problem::failed(format!("the base state cannot be shown as JSON: {error}")))?;
        return Ok((revision, Json(document)).into_response());
    }
    let kind = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/toml; charset=utf-8"),
    )];
    Ok((revision, kind, text).into_response())
}

pub(super) async fn metrics(State(owner): State<Owner>) -> Result<Response, Problem> {
    let snapshot = owner.ask(Request::Snapshot).await?.value;
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE))];
    Ok((kind, metrics::render(&snapshot)).into_response())
}

/// Whether the daemon's loop answers.
pub(super) async fn healthz(State(owner): State<Owner>) -> Result<&'static str, Problem> {
    alive(&owner).await.map(|_| "ok\n")
}

/// Whether packets that reach this balancer would be served: it is attached, and some backend is not down.
pub(super) async fn readyz(State(owner): State<Owner>) -> Result<&'static str, Problem> {
    let status = alive(&owner).await?;
    if !status.interfaces.iter().any(|interface| interface.attached.is_some()) {
        return Err(Problem::unavailable(
            "not attached to any interface; attach with: lb attach IFACE",
        ));
    }
    if status.backends > 0 && status.backends_up == 0 && status.backends_down > 0 {
        return Err(Problem::unavailable("no backend is up; see lb list"));
    }
    Ok("ok\n")
}

async fn alive(owner: &Owner) -> Result<view::Status, Problem> {
    match owner.ask_within(ALIVE_WITHIN, Request::Status).await {
        Some(answer) => Ok(answer?.value),
        None => Err(Problem::unavailable(format!(
            "the daemon did not answer within {ALIVE_WITHIN:?}"
        ))),
    }
}
