//! HTTP/1.1 and JSON over a unix socket, and what may be read of it over TCP.
//!
//! # Layout
//!
//! - [`request`]: what is asked of the daemon's loop, which owns everything
//! - `listen`: the unix socket: its place, its rights, who is at the other end
//! - `read`, `write`: the handlers
//! - `http`: what they share: problem documents, `ETag`, `If-Match`, bodies

mod http;
mod listen;
mod read;
pub mod request;
mod write;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::routing::{get, post, put};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub use listen::UnixSocket;
pub use request::{Answer, Reply, Request};

use crate::core::view::Problem;

/// Largest body of a change.
const BODY_LIMIT_BYTES: usize = 1 << 20;
/// Largest document.
const CONFIG_LIMIT_BYTES: usize = 64 << 20;

/// Why the API cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("another lb daemon listens at {0}; stop it, or name another socket with --socket")]
    InUse(PathBuf),
    #[error("{0} exists and is not a socket; move it away, or name another socket with --socket")]
    NotASocket(PathBuf),
    #[error("cannot {action} {path}: {source}")]
    Socket {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "cannot listen at {address} for metrics: {source}; set metrics.listen to an address and port that are free"
    )]
    Metrics { address: String, source: io::Error },
}

/// The way to the daemon's loop.
#[derive(Clone)]
struct Owner(mpsc::Sender<Request>);

impl Owner {
    /// Asks and waits for the answer.
    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<Answer<T>, Problem> {
        let gone = || Problem::unavailable("the daemon is ending; try again when it is back");
        let (reply, answer) = Reply::new();
        self.0.send(request(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
    /// Asks and waits for the answer so long.
    async fn ask_within<T>(
        &self,
        limit: Duration,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Option<Result<Answer<T>, Problem>> {
        tokio::time::timeout(limit, self.ask(request)).await.ok()
    }
}

/// Serves everything on the unix socket until it is dropped.
pub async fn serve(socket: UnixSocket, requests: mpsc::Sender<Request>) -> io::Result<()> {
    // The guard removes the socket when this future ends or is dropped.
    let (listener, _guard) = socket.into_parts();
    let router = control(Owner(requests)).into_make_service_with_connect_info::<listen::Peer>();
    axum::serve(listener, router).await
}

/// Listens for [`serve_metrics`].
pub async fn bind_metrics(address: &str) -> Result<TcpListener, ApiError> {
    TcpListener::bind(address).await.map_err(|source| ApiError::Metrics {
        address: address.to_owned(),
        source,
    })
}

/// Serves on TCP what anybody may read, until it is dropped.
pub async fn serve_metrics(listener: TcpListener, requests: mpsc::Sender<Request>) -> io::Result<()> {
    axum::serve(listener, complete(public(), Owner(requests))).await
}

/// What anybody may read.
fn public() -> Router<Owner> {
    Router::new()
        .route("/metrics", get(read::metrics))
        .route("/healthz", get(read::healthz))
        .route("/readyz", get(read::readyz))
}

/// What may be read and changed over the unix socket.
fn control(owner: Owner) -> Router {
    let config = get(read::config)
        .put(write::apply)
        .layer(DefaultBodyLimit::max(CONFIG_LIMIT_BYTES));
    let service = get(read::service)
        .patch(write::service_set)
        .delete(write::service_remove);
    let backend = get(read::backend)
        .patch(write::backend_set)
        .delete(write::backend_remove);
    let routes = public()
        .route("/v1/status", get(read::status))
        .route("/v1/services", get(read::services).post(write::service_add))
        .route("/v1/services/{service}", service)
        .route(
            "/v1/services/{service}/backends",
            post(write::backend_add).get(read::backends),
        )
        .route("/v1/services/{service}/backends/{backend}", backend)
        .route("/v1/services/{service}/backends/{backend}/state", put(write::state))
        .route("/v1/services/{service}/backends/{backend}/weight", put(write::weight))
        .route("/v1/config", config)
        .route("/v1/interfaces", get(read::interfaces).delete(write::detach_all))
        .route("/v1/interfaces/{interface}", put(write::attach).delete(write::detach))
        .route("/v1/drops", get(read::drops));
    complete(routes, owner)
}

/// Adds what every router has: problem documents for what is not there, and a limit of bodies.
fn complete(routes: Router<Owner>, owner: Owner) -> Router {
    routes
        .fallback(|uri: Uri| async move {
            Problem::not_found(format!("there is nothing at {}; the API is under /v1", uri.path()))
        })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            Problem::method_not_allowed(format!("{} does not take {method}; see the header Allow", uri.path()))
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(owner)
}
