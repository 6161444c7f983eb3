//! What the handlers share: problem documents (RFC 9457), `ETag` and `If-Match` with the revision, bodies.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Answer;
use super::listen::Peer;
use crate::core::duration;
use crate::core::edit::Format;
use crate::core::view::Problem;

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = HeaderValue::from_static("application/problem+json");
        (status, [(header::CONTENT_TYPE, kind)], Json(self)).into_response()
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        (revision_headers(self.revision), Json(self.value)).into_response()
    }
}

/// The revision as an entity tag. Counters change without it, so nothing may be kept by a cache.
pub(super) fn revision_headers(revision: u64) -> HeaderMap {
    let tag = HeaderValue::from_str(&format!("\"{revision}\"")).expect("digits in quotes are a header's value");
    HeaderMap::from_iter([
        (header::ETAG, tag),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ])
}

/// How a change is to be made.
#[derive(Debug)]
pub(super) struct Terms {
    pub who: String,
    pub dry_run: bool,
    /// How long the client waits for the change.
    pub wait: Option<Duration>,
    pub if_revision: Option<u64>,
}

/// A misspelt `dry_run` must not change anything, so unknown parameters are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteQuery {
    #[serde(default)]
    dry_run: bool,
    wait: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Terms {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query: Query<WriteQuery> =
            Query::try_from_uri(&parts.uri).map_err(|error| Problem::malformed(error.body_text()))?;
        let wait = query.wait.as_deref().map(duration::parse).transpose();
        let wait = wait.map_err(|error| Problem::malformed(format!("wait: {error}")))?;
        let peer = ConnectInfo::<Peer>::from_request_parts(parts, state).await;
        let ConnectInfo(peer) = peer.map_err(|error| Problem::failed(error.body_text()))?;
        Ok(Self {
            who: peer.who(),
            dry_run: query.dry_run,
            wait,
            if_revision: if_match(&parts.headers)?,
        })
    }
}

/// The revision of `If-Match`; `*` is any.
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let revision = number.parse().map_err(|_| {
        Problem::malformed(format!(
            "If-Match: {text:?} is no revision; give the ETag of an earlier answer, as \"41\""
        ))
    })?;
    Ok(Some(revision))
}

/// A body in JSON.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let language = media_type(request.headers());
        if !is_json(&language) {
            return Err(unsupported(&language, "JSON with Content-Type: application/json"));
        }
        let body = read_body(request, state).await?;
        serde_json::from_slice(&body)
            .map(Self)
            .map_err(|error| match error.classify() {
                serde_json::error::Category::Data => Problem::invalid(format!("the body does not fit: {error}")),
                _ => Problem::malformed(format!("the body is not JSON: {error}")),
            })
    }
}

/// A body in JSON that may be missing.
#[derive(Debug)]
pub(super) struct OptionalJsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(Self(T::default()));
        }
        JsonBody::from_request(request, state)
            .await
            .map(|JsonBody(body)| Self(body))
    }
}

/// A document, and its language.
#[derive(Debug)]
pub(super) struct Document {
    pub text: String,
    pub format: Format,
}

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let format = match media_type(request.headers()).as_str() {
            "text/toml" | "application/toml" | "text/x-toml" => Format::Toml,
            language if is_json(language) => Format::Json,
            language => return Err(unsupported(language, "Content-Type: text/toml or application/json")),
        };
        let body = read_body(request, state).await?;
        let text = String::from_utf8(body.into())
            .map_err(|error| Problem::malformed(format!("the document is not UTF-8: {error}")))?;
        Ok(Self { text, format })
    }
}

async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state)
        .await
        .map_err(|error: BytesRejection| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::too_large("the body is larger than this path takes (1 MiB, a document 64 MiB)")
            } else {
                Problem::malformed(format!("the body cannot be read: {error}"))
            }
        })
}

/// Type and subtype of the body, in lower case, without parameters; empty where the header is missing.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn unsupported(found: &str, wanted: &str) -> Problem {
    let found = if found.is_empty() {
        "a body without Content-Type"
    } else {
        found
    };
    Problem::unsupported_media_type(format!("{found} is not read here; send {wanted}"))
}
