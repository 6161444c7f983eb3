//! HTTP requests to the daemon, by our own hand: what it answers to anybody who speaks HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use lb_lab::Netns;

use super::PATIENCE;

/// The body of what is answered with 200 at the unix socket.
pub fn over_unix(socket: &Path, path: &str) -> Result<String> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, path)
}

/// The same over TCP, in a namespace.
pub fn over_tcp(netns: &Netns, address: SocketAddr, path: &str) -> Result<String> {
    netns.run(|| {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        exchange(stream, path)
    })
}

fn exchange(mut stream: impl Read + Write, path: &str) -> Result<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the header")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    Ok(body.to_owned())
}
