//! One check of one backend.

use std::io;
use std::net::{IpAddr, SocketAddr};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use crate::core::model::{Check, CheckKind};
use crate::core::observed::{CheckCode, CheckResult};

/// As much of a body is read, in bytes, as it takes to find what is looked for, and no more than this.
const BODY_MAX: usize = 64 * 1024;

/// As much of an answer's head is read, in bytes.
const HEAD_MAX: usize = 64 * 1024;

/// What came of it.
pub type Outcome = (CheckCode, String);

/// Runs a check. Its timeout counts from here to the end, the connection included.
pub async fn run(address: IpAddr, port: u16, check: &Check) -> CheckResult {
    let server = SocketAddr::new(address, port);
    let started = Instant::now();
    let deadline = started + check.timeout;
    let (code, detail) = match timeout_at(deadline, connect(server)).await {
        Err(_) => (
            CheckCode::L4TOUT,
            format!("no answer to the connection within {:?}", check.timeout),
        ),
        Ok(Err(error)) => connect_failed(&error),
        Ok(Ok(stream)) => match &check.kind {
            CheckKind::None | CheckKind::Tcp => (CheckCode::L4OK, "connected".to_owned()),
            CheckKind::Http {
                path,
                host,
                status,
                body,
            } => {
                let host = host.clone().unwrap_or_else(|| server.to_string());
                let exchange = ask(stream, path, &host, status, body.as_deref());
                timeout_at(deadline, exchange).await.unwrap_or_else(|_| {
                    (
                        CheckCode::L7TOUT,
                        format!("connected, but no whole answer within {:?}", check.timeout),
                    )
                })
            }
        },
    };
    CheckResult {
        code,
        detail,
        duration: started.elapsed(),
    }
}

/// A connection that ends with a reset when it is dropped: a thousand checks per second would otherwise leave tens of
/// thousands of ports in TIME_WAIT.
async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = match server {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_zero_linger()?;
    socket.connect(server).await
}

fn connect_failed(error: &io::Error) -> Outcome {
    let detail = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        _ => error.to_string(),
    };
    let ours = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::ENOMEM,
        libc::EADDRNOTAVAIL,
        // No IPv6 in this kernel.
        libc::EAFNOSUPPORT,
    ];
    let code = match error.raw_os_error() {
        Some(errno) if ours.contains(&errno) => CheckCode::SOCKERR,
        _ => CheckCode::L4CON,
    };
    (code, detail)
}

/// Sends a request over a connection and judges the answer: by its status, and by whether `body` is in its body.
pub async fn ask(
    connection: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
    host: &str,
    status: &[(u16, u16)],
    body: Option<&str>,
) -> Outcome {
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("lb/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new());
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            return (
                CheckCode::SOCKERR,
                format!("GET {path} from {host} cannot be asked: {error}"),
            );
        }
    };
    let handshake = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake(TokioIo::new(connection))
        .await;
    let (mut sender, connection) = match handshake {
        Ok(parts) => parts,
        Err(error) => return unreadable(&error),
    };
    let exchange = async {
        match sender.send_request(request).await {
            Ok(response) => judge(response, status, body).await,
            Err(error) => unreadable(&error),
        }
    };
    // The connection does the reading and writing, but what it has read may still wait to be judged when it ends.
    let drive = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        outcome = exchange => outcome,
        outcome = drive => outcome,
    }
}

async fn judge(response: Response<Incoming>, status: &[(u16, u16)], wanted: Option<&str>) -> Outcome {
    let is = response.status().as_u16();
    if !status.iter().any(|(low, high)| (*low..=*high).contains(&is)) {
        return (CheckCode::L7STS, format!("status {is}"));
    }
    let Some(wanted) = wanted else {
        return (CheckCode::L7OK, format!("status {is}"));
    };
    match contains(response.into_body(), wanted.as_bytes()).await {
        Ok(true) => (CheckCode::L7OK, format!("status {is}, body has {wanted:?}")),
        Ok(false) => (
            CheckCode::L7STS,
            format!("status {is}, but {wanted:?} is not in the body"),
        ),
        Err(error) => unreadable(&error),
    }
}

/// Whether the first [`BODY_MAX`] bytes of a body contain something.
async fn contains(mut body: Incoming, wanted: &[u8]) -> hyper::Result<bool> {
    if wanted.is_empty() {
        return Ok(true);
    }
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let searched = (read.len() + 1).saturating_sub(wanted.len());
        read.extend_from_slice(&data[..data.len().min(BODY_MAX - read.len())]);
        if read[searched..].windows(wanted.len()).any(|window| window == wanted) {
            return Ok(true);
        }
        if read.len() == BODY_MAX {
            break;
        }
    }
    Ok(false)
}

fn unreadable(error: &hyper::Error) -> Outcome {
    let cause = std::error::Error::source(error);
    let detail = match cause {
        _ if error.is_parse() => "the answer is not HTTP".to_owned(),
        _ if error.is_incomplete_message() => "the connection was closed before the whole answer".to_owned(),
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    (CheckCode::L7RSP, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full table of files or ports on this host must not take every backend down.
    #[test]
    fn what_is_missing_here_is_not_the_backends_fault() {
        for errno in [libc::EMFILE, libc::EADDRNOTAVAIL, libc::ENOBUFS, libc::EAFNOSUPPORT] {
            assert_eq!(
                connect_failed(&io::Error::from_raw_os_error(errno)).0,
                CheckCode::SOCKERR
            );
        }
        for (errno, detail) in [
            (libc::ECONNREFUSED, "connection refused"),
            (libc::EHOSTUNREACH, "no route to host"),
            (libc::ENETUNREACH, "network is unreachable"),
            (libc::ECONNRESET, "connection reset"),
        ] {
            let outcome = connect_failed(&io::Error::from_raw_os_error(errno));
            assert_eq!(outcome, (CheckCode::L4CON, detail.to_owned()));
        }
    }
}
