//! Echo requests, by our own hand: `ping` is not on every machine.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_lab::Netns;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto, recv, sendto, socket};

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ICMP_HEADER_BYTES: usize = 8;
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Sends an echo request with `content`, and waits for the reply, which has to hold the same.
pub fn ping(netns: &Netns, target: Ipv4Addr, identifier: u16, content: &[u8]) -> Result<()> {
    netns
        .run(|| exchange(target, identifier, content))
        .with_context(|| format!("pinging {target}"))
}

fn exchange(target: Ipv4Addr, identifier: u16, content: &[u8]) -> Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_LIMIT))?;
    let request = message(ECHO_REQUEST, identifier, content);
    sendto(&socket, &request, SendFlags::empty(), &SocketAddrV4::new(target, 0))?;
    let expected = message(ECHO_REPLY, identifier, content);
    let mut buffer = [0; 2048];
    loop {
        let received = recv(&socket, &mut buffer, RecvFlags::empty());
        ensure!(!matches!(received, Err(Errno::AGAIN)), "no reply");
        let (length, _) = received?;
        // A raw socket sees the IPv4 header too, and everybody's ICMP.
        let packet = &buffer[..length];
        let header_bytes = usize::from(packet.first().context("an empty packet")? & 0xf) * 4;
        let reply = packet.get(header_bytes..).unwrap_or_default();
        let is_ours = reply.first() == Some(&ECHO_REPLY) && reply.get(4..6) == Some(&identifier.to_be_bytes());
        if is_ours {
            ensure!(reply == expected, "the reply is not what was sent");
            return Ok(());
        }
    }
}

/// An ICMP message with its checksum (RFC 792).
fn message(kind: u8, identifier: u16, content: &[u8]) -> Vec<u8> {
    let mut message = vec![0; ICMP_HEADER_BYTES];
    message[0] = kind;
    message[4..6].copy_from_slice(&identifier.to_be_bytes());
    message.extend_from_slice(content);
    let words = message.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_adds_up() {
        let request = message(ECHO_REQUEST, 0x1234, b"odd");
        let again = message(ECHO_REQUEST, 0x1234, b"odd");
        assert_eq!(request, again);
        let sum: u32 = request
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
