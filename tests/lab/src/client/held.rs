//! Connections that stay open, to see whether they survive.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::net::{AddressFamily, SocketType, bind, connect, ipproto, socket};

use super::http::{PATIENCE, SERVER_HEADER};

/// Open connections, over each of which request after request can be sent. None is ever opened anew.
pub struct Held {
    connections: Vec<TcpStream>,
}

impl Held {
    /// Opens them in the namespace of the calling thread.
    pub(super) fn open(target: SocketAddr, count: usize) -> Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(patient(TcpStream::connect_timeout(&target, PATIENCE)?)?);
        }
        Ok(Self { connections })
    }

    /// Opens one from this port, in the namespace of the calling thread.
    pub(super) fn open_from(port: u16, target: SocketAddr) -> Result<Self> {
        let (family, any): (_, IpAddr) = match target {
            SocketAddr::V4(_) => (AddressFamily::INET, Ipv4Addr::UNSPECIFIED.into()),
            SocketAddr::V6(_) => (AddressFamily::INET6, Ipv6Addr::UNSPECIFIED.into()),
        };
        let socket = socket(family, SocketType::STREAM, Some(ipproto::TCP))?;
        bind(&socket, &SocketAddr::new(any, port))?;
        connect(&socket, &target)?;
        let connections = vec![patient(socket.into())?];
        Ok(Self { connections })
    }

    /// Sends a request over each of them, all before the first answer is read; the servers that answered, in the order
    /// of the connections, or what went wrong.
    pub fn exchange(&mut self) -> Vec<Result<String>> {
        let request = b"GET / HTTP/1.1\r\nHost: lb-lab\r\n\r\n";
        let sent = self.connections.iter_mut();
        let sent: Vec<_> = sent.map(|open| open.write_all(request)).collect();
        let answers = self.connections.iter_mut().zip(sent);
        answers
            .map(|(connection, sent)| {
                sent.context("sending a request")?;
                read_answer(connection)
            })
            .collect()
    }
}

fn patient(connection: TcpStream) -> Result<TcpStream> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    connection.set_nodelay(true)?;
    Ok(connection)
}

/// Reads one response to its end and not beyond; the name of the server.
fn read_answer(connection: &mut TcpStream) -> Result<String> {
    let mut answer = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        let length = connection.read(&mut buffer).context("reading an answer")?;
        ensure!(length > 0, "the connection was closed");
        answer.extend_from_slice(&buffer[..length]);
        if let Some(server) = whole_answer(&answer)? {
            return Ok(server);
        }
    }
}

/// The name of the server, when the answer is whole.
fn whole_answer(answer: &[u8]) -> Result<Option<String>> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Ok(None);
    };
    ensure!(head.contains(" 200 "), "not a 200: {head}");
    let length: usize = header(head, "Content-Length")
        .context("an answer without a length")?
        .parse()?;
    if body.len() > length {
        bail!("more than one answer to one request");
    }
    let server = header(head, SERVER_HEADER).context("an answer without a name")?;
    Ok((body.len() == length).then(|| server.to_owned()))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_to_its_end() {
        let whole = b"HTTP/1.1 200 OK\r\nx-server: s1\r\ncontent-length: 3\r\n\r\ns1\n";
        for cut in 0..whole.len() {
            assert!(whole_answer(&whole[..cut]).unwrap().is_none());
        }
        assert_eq!(whole_answer(whole).unwrap().as_deref(), Some("s1"));
        let two = [whole.as_slice(), whole].concat();
        assert!(whole_answer(&two).is_err());
        assert!(whole_answer(b"HTTP/1.1 502 Bad\r\n\r\n").is_err());
    }
}
