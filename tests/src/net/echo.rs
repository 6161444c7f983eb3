//! Services that send back what they get.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_lab::Netns;

/// How often a service looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Bytes of the largest datagram.
const LARGEST: usize = 65_535;

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
    serve_udp_at(netns, (Ipv6Addr::UNSPECIFIED, port).into(), name)
}

/// The same at one address, from which it answers.
pub fn serve_udp_at(netns: &Netns, address: SocketAddr, name: &str) -> Result<Echo> {
    let socket = netns.run(|| Ok(UdpSocket::bind(address)?))?;
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    let is_over = Arc::new(AtomicBool::new(false));
    let (end, name) = (Arc::clone(&is_over), name.as_bytes().to_vec());
    std::thread::spawn(move || {
        let mut buffer = vec![0; LARGEST];
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
pub struct UdpClient {
    socket: UdpSocket,
    target: SocketAddr,
}

impl UdpClient {
    /// Opens one in a namespace, to ask a service.
    pub fn open(netns: &Netns, target: SocketAddr) -> Result<Self> {
        let any: IpAddr = match target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = netns.run(|| Ok(UdpSocket::bind((any, 0))?))?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self { socket, target })
    }

    /// How long an answer may take.
    pub fn wait_at_most(&self, limit: Duration) -> Result<()> {
        Ok(self.socket.set_read_timeout(Some(limit))?)
    }

    /// Sends `content` to the service, whose answer has to come from where it was sent to; the name of the server.
    pub fn ask(&self, content: &[u8]) -> Result<String> {
        let target = self.target;
        self.socket.send_to(content, target)?;
        let mut buffer = vec![0; LARGEST];
        let (length, from) = self
            .socket
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
    let listener = netns.run(|| Ok(TcpListener::bind(("::", port))?))?;
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
