//! Protocols without ports, by sockets that see IP itself.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_lab::Netns;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketType, bind, recvfrom, sendto, socket};

/// For experiments (RFC 3692).
pub const PROTOCOL: NonZeroU32 = NonZeroU32::new(253).unwrap();

const ANSWER_LIMIT: Duration = Duration::from_secs(5);

fn open(address: Ipv4Addr) -> Result<OwnedFd> {
    let protocol = Protocol::from_raw(PROTOCOL);
    let socket = socket(AddressFamily::INET, SocketType::RAW, Some(protocol))?;
    bind(&socket, &SocketAddrV4::new(address, 0))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_LIMIT))?;
    Ok(socket)
}

/// What is behind the IPv4 header of a packet, and who it is from.
fn receive(socket: &OwnedFd) -> Result<Option<(Vec<u8>, Ipv4Addr)>> {
    let mut buffer = [0; 2048];
    let (length, _, from) = match recvfrom(socket, &mut buffer, RecvFlags::empty()) {
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        received => received?,
    };
    let packet = &buffer[..length];
    let header_bytes = usize::from(packet.first().context("an empty packet")? & 0xf) * 4;
    let from = SocketAddr::try_from(from.context("nobody sent it")?)?;
    let SocketAddr::V4(from) = from else {
        anyhow::bail!("{from} is no IPv4 address");
    };
    Ok(Some((packet[header_bytes..].to_vec(), *from.ip())))
}

/// A server that answers the next packet to this address with `name`, and what was in it.
pub fn answer_one(netns: &Netns, address: Ipv4Addr, name: &str) -> Result<std::thread::JoinHandle<Result<()>>> {
    let socket = netns.run(|| open(address))?;
    let name = name.to_owned();
    Ok(std::thread::spawn(move || {
        if let Some((content, from)) = receive(&socket)? {
            let answer = [name.as_bytes(), b"|", &content].concat();
            sendto(&socket, &answer, SendFlags::empty(), &SocketAddrV4::new(from, 0))?;
        }
        Ok(())
    }))
}

/// Sends `content`, whose answer has to come from where it was sent to; the name of the server.
pub fn ask(netns: &Netns, target: Ipv4Addr, content: &[u8]) -> Result<String> {
    let socket = netns.run(|| open(Ipv4Addr::UNSPECIFIED))?;
    sendto(&socket, content, SendFlags::empty(), &SocketAddrV4::new(target, 0))?;
    let (answer, from) = receive(&socket)?.with_context(|| format!("no answer from {target}"))?;
    ensure!(from == target, "sent to {target}, the answer came from {from}");
    let end = answer.iter().position(|byte| *byte == b'|');
    let (name, rest) = answer.split_at(end.context("an answer without a name")?);
    ensure!(rest[1..] == *content, "other content came back than was sent");
    Ok(String::from_utf8(name.to_vec())?)
}
