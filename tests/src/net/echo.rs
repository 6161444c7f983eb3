//! Services that send back what they get.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_lab::Netns;

/// How often a service looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// What a UDP service answers with in front of what it got: its name and this.
const SEPARATOR: u8 = b'|';

/// A service in a namespace. It ends when this is dropped.
pub struct Echo {
    is_over: Arc<AtomicBool>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Answers datagrams to a port with `name`, and what was in them.
pub fn serve_udp(netns: &Netns, port: u16, name: &str) -> Result<Echo> {
    let socket = netns.run(|| Ok(UdpSocket::bind(("0.0.0.0", port))?))?;
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    let is_over = Arc::new(AtomicBool::new(false));
    let (end, name) = (Arc::clone(&is_over), name.as_bytes().to_vec());
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while !end.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            let answer = [&name[..], &[SEPARATOR], &buffer[..length]].concat();
            // Whoever asked may be gone.
            let _ = socket.send_to(&answer, from);
        }
    });
    Ok(Echo { is_over })
}

/// A client's UDP socket, that takes answers from anybody and sees who they are from.
pub struct UdpClient(UdpSocket);

impl UdpClient {
    /// Opens one in a namespace.
    pub fn open(netns: &Netns) -> Result<Self> {
        let socket = netns.run(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self(socket))
    }

    /// Sends `content` to a service, whose answer has to come from where it was sent to; the name of the server.
    pub fn ask(&self, target: SocketAddr, content: &[u8]) -> Result<String> {
        self.0.send_to(content, target)?;
        let mut buffer = [0; 2048];
        let (length, from) = self
            .0
            .recv_from(&mut buffer)
            .with_context(|| format!("no answer from {target}"))?;
        ensure!(from == target, "sent to {target}, the answer came from {from}");
        let answer = &buffer[..length];
        let end = answer.iter().position(|byte| *byte == SEPARATOR);
        let (name, rest) = answer.split_at(end.context("an answer without a name")?);
        ensure!(rest[1..] == *content, "other content came back than was sent");
        Ok(String::from_utf8(name.to_vec())?)
    }
}

/// Sends back what comes over TCP connections to a port, a thread each.
pub fn serve_tcp(netns: &Netns, port: u16) -> Result<Echo> {
    let listener = netns.run(|| Ok(TcpListener::bind(("0.0.0.0", port))?))?;
    listener.set_nonblocking(true)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&is_over);
    std::thread::spawn(move || {
        while !end.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((connection, _)) => drop(std::thread::spawn(move || send_back(connection))),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK_EVERY),
                Err(_) => return,
            }
        }
    });
    Ok(Echo { is_over })
}

fn send_back(connection: TcpStream) -> io::Result<()> {
    connection.set_nonblocking(false)?;
    io::copy(&mut connection.try_clone()?, &mut &connection)?;
    connection.shutdown(std::net::Shutdown::Both)
}
