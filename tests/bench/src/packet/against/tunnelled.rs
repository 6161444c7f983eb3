//! One packet as the other balancer sent it.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use lb_common::abi::protocol;
use lb_tests::packet::frame::Transport;
use lb_tests::packet::{Frame, bad_checksum};

use crate::bpf::feed::Outcome;

/// XDP codes.
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
/// Type of Ethernet frames with IPv4.
const IPV4: [u8; 2] = [0x08, 0x00];
const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
/// IP protocol number of IPv4 in IPv4.
const IPIP: u8 = 4;

/// How a packet was wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    Ipip,
    /// Over UDP without a header of its own (variant 1 of GUE).
    Gue,
}

impl Tunnel {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipip => "IPIP",
            Self::Gue => "GUE",
        }
    }
}

/// What a sent packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnelled {
    pub tunnel: Tunnel,
    pub backend: Ipv4Addr,
}

/// Looks at a packet that came as `frame`, but for its client: it went back out to `gateway`, in a tunnel, itself unchanged,
/// with every checksum right.
///
/// # Errors
///
/// What is wrong with it.
pub fn read(outcome: &Outcome, frame: &[u8], gateway: [u8; 6]) -> Result<Tunnelled> {
    ensure!(outcome.code == XDP_TX, "it was not sent: XDP code {}", outcome.code);
    let sent = &outcome.packet;
    let grown = sent.len().checked_sub(frame.len());
    let grown = grown.context("the sent packet is shorter than it was")?;
    ensure!(sent[12..14] == IPV4, "the sent packet is not IPv4");
    if let Some(wrong) = bad_checksum(sent) {
        bail!("the sent packet: {wrong}");
    }
    ensure!(sent[..6] == gateway, "it was sent to another MAC than the gateway's");
    let tunnel = match sent[ETHERNET_BYTES + 9] {
        IPIP if grown == IPV4_BYTES => Tunnel::Ipip,
        protocol::UDP if grown == IPV4_BYTES + UDP_BYTES => Tunnel::Gue,
        other => bail!("no tunnel that we know: protocol {other}, {grown} bytes more"),
    };
    let inner = [&frame[..ETHERNET_BYTES], &sent[ETHERNET_BYTES + grown..]].concat();
    check_same(&inner, frame).context("the packet in the tunnel")?;
    let backend: [u8; 4] = sent[ETHERNET_BYTES + 16..][..4].try_into()?;
    Ok(Tunnelled {
        tunnel,
        backend: backend.into(),
    })
}

/// Looks at a packet that came as `frame`, but for its client: it was left to the kernel as it was.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_passed(outcome: &Outcome, frame: &[u8]) -> Result<()> {
    ensure!(outcome.code == XDP_PASS, "it was not passed: XDP code {}", outcome.code);
    check_same(&outcome.packet, frame).context("the passed packet")
}

/// Both are the same but for the client, all checksums right.
fn check_same(packet: &[u8], came: &[u8]) -> Result<()> {
    let packet = Frame::read(packet).context("is damaged")?;
    let came = Frame::read(came).context("was damaged before")?;
    let port = match &packet.transport {
        Transport::Tcp(header) => header.source_port,
        Transport::Udp { ports, .. } => ports.0,
        Transport::Other => anyhow::bail!("is neither TCP nor UDP"),
    };
    let client = SocketAddr::new(packet.source(), port);
    ensure!(packet.bytes() == came.from(client).bytes(), "was changed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, CLIENT, SERVICE, SOURCES, STRANGER, backend};

    use super::*;

    /// A packet as it comes, and as another client's leaves.
    fn packets() -> (Vec<u8>, Vec<u8>) {
        let came = Frame::tcp(CLIENT, SERVICE).ack().padded(6);
        let left = came.clone().from(STRANGER).macs(BALANCER_MAC, BACKEND_MAC);
        let left = left.in_tunnel(SOURCES[0], *backend(7).ip());
        (came.bytes(), left.bytes())
    }

    fn read_as(code: u32, packet: Vec<u8>, came: &[u8]) -> Result<Tunnelled> {
        read(&Outcome { code, packet }, came, BACKEND_MAC)
    }

    #[test]
    fn a_tunnelled_packet_says_where_it_goes() -> Result<()> {
        let (came, left) = packets();
        let wanted = Tunnelled {
            tunnel: Tunnel::Ipip,
            backend: *backend(7).ip(),
        };
        assert_eq!(read_as(XDP_TX, left, &came)?, wanted);
        Ok(())
    }

    #[test]
    fn whatever_is_wrong_with_it_is_noticed() {
        let (came, left) = packets();
        assert!(read_as(XDP_PASS, left.clone(), &came).is_err());
        assert!(read_as(XDP_TX, came.clone(), &came).is_err(), "it has no tunnel");
        let others = Frame::tcp(CLIENT, STRANGER).ack().padded(6).bytes();
        assert!(
            read_as(XDP_TX, left.clone(), &others).is_err(),
            "it is to somebody else"
        );
        // The Ethernet source is the balancer's own affair; all else is under a checksum, or compared.
        for at in (0..6).chain(12..left.len()) {
            let mut broken = left.clone();
            broken[at] ^= 0x10;
            assert!(read_as(XDP_TX, broken, &came).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_passed_packet_is_as_it_was() {
        let (came, left) = packets();
        let passed = |packet: &[u8], code| {
            let packet = packet.to_vec();
            check_passed(&Outcome { code, packet }, &came)
        };
        assert!(passed(&came, XDP_PASS).is_ok());
        assert!(passed(&came, XDP_TX).is_err());
        assert!(passed(&left, XDP_PASS).is_err());
    }
}
