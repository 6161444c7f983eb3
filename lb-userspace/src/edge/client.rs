//! The other end of the API: one request over the daemon's unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, ETAG, HOST, HeaderMap, IF_MATCH};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::core::duration;
use crate::core::view::Problem;

/// How long a daemon may take to show what it knows.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// What a segment of a path may hold as it is (RFC 3986, section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("lb daemon is not reachable at {} ({}); {}", socket.display(), words(cause), remedy(cause))]
    NotReachable { socket: PathBuf, cause: io::Error },
    #[error("{}", .0.detail)]
    Refused(Problem),
    #[error("lb daemon at {} did not answer within {}; see its log", socket.display(), duration::show(*limit))]
    Silent { socket: PathBuf, limit: Duration },
    #[error("lb daemon at {} broke off its answer ({reason}); see its log, and whether it is running with: lb status", socket.display())]
    Broken { socket: PathBuf, reason: String },
    #[error("lb daemon at {} answers {path} with what this lb does not understand ({reason}); are both of the same version?", socket.display())]
    NotUnderstood {
        socket: PathBuf,
        path: String,
        reason: String,
    },
}

/// A daemon's socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// Path and query, encoded; see [`segment`].
    pub path: String,
    /// Content type and body.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// The change is for this revision only.
    pub if_revision: Option<u64>,
    /// Wanted content type.
    pub accept: &'static str,
    /// Give up after so long.
    pub limit: Option<Duration>,
}

/// A good answer.
#[derive(Clone, Debug)]
pub struct Fetched<T> {
    /// Revision of the desired state that it speaks of, where it speaks of any.
    pub revision: Option<u64>,
    pub value: T,
}

impl Call {
    /// Looks.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: None,
            if_revision: None,
            accept: "application/json",
            limit: Some(READ_LIMIT),
        }
    }
    /// Changes something.
    pub fn change(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            limit: None,
            ..Self::get(path)
        }
    }
    /// The same with a body in JSON.
    pub fn json(self, body: &serde_json::Value) -> Self {
        Self {
            body: Some(("application/json", body.to_string().into_bytes())),
            ..self
        }
    }
}

/// A name as one segment of a path.
pub fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

impl Client {
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Asks for something in JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Fetched<T>, ClientError> {
        self.call(Call::get(path)).await
    }

    /// Makes a request whose answer is JSON.
    pub async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<Fetched<T>, ClientError> {
        let path = call.path.clone();
        let Fetched { revision, value: body } = self.call_bytes(call).await?;
        let value = serde_json::from_slice(&body).map_err(|error| self.not_understood(&path, error.to_string()))?;
        Ok(Fetched { revision, value })
    }

    /// Makes a request whose answer is text.
    pub async fn call_text(&self, call: Call) -> Result<Fetched<String>, ClientError> {
        let path = call.path.clone();
        let Fetched { revision, value: body } = self.call_bytes(call).await?;
        let value = String::from_utf8(body.into()).map_err(|error| self.not_understood(&path, error.to_string()))?;
        Ok(Fetched { revision, value })
    }

    async fn call_bytes(&self, call: Call) -> Result<Fetched<Bytes>, ClientError> {
        let Some(limit) = call.limit else {
            return self.exchange(call).await;
        };
        let answer = tokio::time::timeout(limit, self.exchange(call)).await;
        answer.unwrap_or_else(|_| {
            Err(ClientError::Silent {
                socket: self.socket.clone(),
                limit,
            })
        })
    }

    async fn exchange(&self, call: Call) -> Result<Fetched<Bytes>, ClientError> {
        let path = call.path.clone();
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|cause| self.not_reachable(cause))?;
        let broken = |error: hyper::Error| self.broken(&error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let exchange = async {
            let response = sender.send_request(call.into_request()).await?;
            let (head, body) = response.into_parts();
            Ok((head, body.collect().await?.to_bytes()))
        };
        // The connection only moves while it is polled; it ends by itself after the exchange.
        let (head, body) = tokio::select! {
            answer = exchange => answer.map_err(broken)?,
            Err(error) = connection => return Err(broken(error)),
        };
        if head.status.is_success() {
            return Ok(Fetched {
                revision: revision(&head.headers),
                value: body,
            });
        }
        match serde_json::from_slice(&body) {
            Ok(problem) => Err(ClientError::Refused(problem)),
            Err(_) => Err(self.not_understood(&path, format!("HTTP status {}", head.status))),
        }
    }

    fn not_reachable(&self, cause: io::Error) -> ClientError {
        ClientError::NotReachable {
            socket: self.socket.clone(),
            cause,
        }
    }
    fn broken(&self, error: &hyper::Error) -> ClientError {
        ClientError::Broken {
            socket: self.socket.clone(),
            reason: error.to_string(),
        }
    }
    fn not_understood(&self, path: &str, reason: String) -> ClientError {
        ClientError::NotUnderstood {
            socket: self.socket.clone(),
            path: path.to_owned(),
            reason,
        }
    }
}

impl Call {
    fn into_request(self) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(self.method).uri(self.path).header(HOST, "lb");
        request = request.header(ACCEPT, self.accept);
        if let Some(revision) = self.if_revision {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        let body = match self.body {
            Some((kind, body)) => {
                request = request.header(CONTENT_TYPE, kind);
                Full::from(body)
            }
            None => Full::default(),
        };
        request
            .body(body)
            .expect("paths are made of encoded segments, and the rest is fixed")
    }
}

fn revision(headers: &HeaderMap) -> Option<u64> {
    headers.get(ETAG)?.to_str().ok()?.trim_matches('"').parse().ok()
}

/// An error of the system in its own words, without the number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// What to do when the socket cannot be connected to.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "run this as root, or as a member of the socket's group",
        _ => "start it with: lb daemon --config /etc/lb/lb.toml, or name another socket with --socket",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vip_is_one_segment() {
        assert_eq!(segment("192.0.2.10:443/tcp"), "192.0.2.10%3A443%2Ftcp");
        assert_eq!(segment("web-1"), "web-1");
    }

    #[tokio::test]
    async fn a_daemon_that_says_nothing_is_given_up() {
        let socket = std::env::temp_dir().join(format!("lb-silent-{}.sock", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let call = Call {
            limit: Some(Duration::from_millis(20)),
            ..Call::get("/v1/status")
        };
        let error = Client::new(&socket).call::<()>(call).await.unwrap_err();
        drop(listener);
        std::fs::remove_file(&socket).unwrap();
        assert!(matches!(error, ClientError::Silent { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_missing_socket_says_how_to_start_the_daemon() {
        let error = Client::new(Path::new("/nonexistent/lb.sock"))
            .get::<()>("/v1/status")
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "lb daemon is not reachable at /nonexistent/lb.sock (No such file or directory); start it with: \
             lb daemon --config /etc/lb/lb.toml, or name another socket with --socket"
        );
    }
}
