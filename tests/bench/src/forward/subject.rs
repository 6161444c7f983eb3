//! What packets are sent through, and what is to come of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use lb_common::bench::traffic::{HEADER_BYTES, LABEL_BYTES, MAGIC};
use lb_tests::packet::{Frame, bad_checksum};
use lb_userspace::core::model::{self, Mode};

use super::hosts::{BACKEND_MAC, BALANCER_MAC, End, ROUTER_MAC};
use super::nft::Ruleset;
use crate::bpf::floors::Floor;

/// Backends of each service.
const BACKENDS: u8 = 100;
/// Port of every service, and of every backend.
const PORT: u16 = 80;
/// Address and port of the first client's first flow.
const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 1), lb_common::bench::FIRST_CLIENT_PORT);
/// Bytes of the check sequence at the end of a frame, which is counted and not there.
const CHECK_SEQUENCE_BYTES: usize = 4;
/// Source of the outer headers, and first of the sources of `fullnat`; the others follow.
pub const FIRST_SOURCE: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);

/// Every mode.
pub const MODES: [Mode; 4] = [Mode::Ipip, Mode::L2, Mode::Nat, Mode::Fullnat];

/// What stands in a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Floor(Floor),
    /// The balancer, by the service of that mode.
    Lb(Mode),
    /// Linux as a router.
    Router,
    Nft(Ruleset),
}

impl Subject {
    pub const ALL: [Self; 11] = [
        Self::Floor(Floor::Drop),
        Self::Floor(Floor::Tx),
        Self::Floor(Floor::Balancer),
        Self::Lb(Mode::Ipip),
        Self::Lb(Mode::L2),
        Self::Lb(Mode::Nat),
        Self::Lb(Mode::Fullnat),
        Self::Router,
        Self::Nft(Ruleset::Ingress),
        Self::Nft(Ruleset::Stateless),
        Self::Nft(Ruleset::Conntrack),
    ];

    /// As figures are named.
    pub fn name(self) -> String {
        match self {
            Self::Floor(Floor::Drop) => "floor-drop".into(),
            Self::Floor(Floor::Tx) => "floor-tx".into(),
            Self::Floor(Floor::Parse) => "floor-parse".into(),
            Self::Floor(Floor::Balancer) => "floor-balancer".into(),
            Self::Lb(mode) => format!("lb-{}", model::mode_name(mode)),
            Self::Router => "linux-router".into(),
            Self::Nft(Ruleset::Ingress) => "nftables-ingress".into(),
            Self::Nft(Ruleset::Stateless) => "nftables-stateless".into(),
            Self::Nft(Ruleset::Conntrack) => "nftables-conntrack".into(),
        }
    }

    /// Where its packets end.
    pub fn end(self) -> End {
        match self {
            Self::Floor(_) | Self::Lb(_) => End::Driver,
            Self::Router | Self::Nft(_) => End::Stack,
        }
    }

    /// Whether its packets arrive anywhere.
    pub fn sends(self) -> bool {
        !matches!(self, Self::Floor(Floor::Drop | Floor::Parse))
    }

    /// Whether it keeps something of each flow, which has to be there before anything is measured.
    pub fn keeps_flows(self) -> bool {
        matches!(self, Self::Lb(Mode::Fullnat) | Self::Nft(Ruleset::Conntrack))
    }

    /// Whether it is measured at that number of flows: what knows no flows, at a few of them; conntrack, where its table holds
    /// them.
    pub fn has(self, flows: u32) -> bool {
        match self {
            Self::Floor(Floor::Balancer) | Self::Lb(_) => true,
            Self::Nft(Ruleset::Conntrack) => flows <= MOST_FOLLOWED,
            Self::Floor(_) | Self::Router | Self::Nft(_) => flows == 1 || flows == FEW,
        }
    }

    /// What its packets are sent to.
    pub fn vip(self) -> SocketAddrV4 {
        let number = match self {
            Self::Lb(mode) => 1 + mode as u8,
            Self::Floor(_) | Self::Router | Self::Nft(_) => 10,
        };
        SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, number), PORT)
    }

    /// Backends behind its service.
    pub fn backends(self) -> Vec<Ipv4Addr> {
        let network = match self {
            Self::Lb(mode) => 1 + mode as u8,
            Self::Floor(_) | Self::Router | Self::Nft(_) => 10,
        };
        (1..=BACKENDS).map(|host| Ipv4Addr::new(10, network, 0, host)).collect()
    }

    /// A packet of its first flow, as long as an Ethernet frame of that many bytes, the check sequence counted.
    pub fn frame(self, bytes: u32) -> Vec<u8> {
        let payload = bytes as usize - CHECK_SEQUENCE_BYTES - HEADER_BYTES;
        let mut label = vec![0; payload.max(LABEL_BYTES)];
        label[LABEL_BYTES - 4..LABEL_BYTES].copy_from_slice(&MAGIC.to_ne_bytes());
        let frame = Frame::udp(CLIENT, self.vip()).macs(ROUTER_MAC, BALANCER_MAC);
        frame.payload(&label).bytes()
    }

    /// Looks whether a packet has become what this makes of it, checksums and all.
    pub fn check(self, bytes: &[u8]) -> Result<()> {
        if let Some(wrong) = bad_checksum(bytes) {
            anyhow::bail!("{wrong}");
        }
        let is_backend = |address: [u8; 4]| self.backends().contains(&Ipv4Addr::from(address));
        let (outer, inner) = self.unpacked(bytes)?;
        let frame = Frame::read(&inner).context("not a UDP packet with its lengths right")?;
        if let Some(outer) = outer {
            ensure!(is_backend(outer), "the outer header is to nobody's address");
        }
        let to = match self {
            Self::Floor(Floor::Tx) => ROUTER_MAC,
            _ => BACKEND_MAC,
        };
        ensure!(frame.destination_mac == to, "it is for another interface");
        let octets = |address| match address {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(_) => [0; 4],
        };
        let (source, destination) = (octets(frame.source()), octets(frame.destination()));
        let is_of_client = source[..2] == CLIENT.ip().octets()[..2];
        let is_of_us = source[..2] == FIRST_SOURCE.octets()[..2];
        ensure!(
            if self == Self::Lb(Mode::Fullnat) {
                is_of_us
            } else {
                is_of_client
            },
            "its source is another"
        );
        ensure!(
            match self {
                Self::Lb(Mode::Nat | Mode::Fullnat) | Self::Nft(_) => is_backend(destination),
                _ => destination == self.vip().ip().octets(),
            },
            "its destination is another"
        );
        Ok(())
    }

    /// Destination of the outer header, where there is to be one, and the packet without it.
    fn unpacked(self, bytes: &[u8]) -> Result<(Option<[u8; 4]>, Vec<u8>)> {
        if !matches!(self, Self::Lb(Mode::Ipip) | Self::Floor(Floor::Balancer)) {
            return Ok((None, bytes.to_vec()));
        }
        let (ethernet, packet) = bytes.split_at_checked(14).context("too short")?;
        let (outer, packet) = packet.split_at_checked(20).context("too short")?;
        Ok((Some(outer[16..20].try_into()?), [ethernet, packet].concat()))
    }
}

/// Where not every number of flows is measured: one, and this.
pub const FEW: u32 = 65_536;
/// Flows that are no trouble for the kernel's connection tracking as it comes.
const MOST_FOLLOWED: u32 = 65_536;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_tell_subjects_apart() {
        let names: BTreeSet<String> = Subject::ALL.into_iter().map(Subject::name).collect();
        assert_eq!(names.len(), Subject::ALL.len());
    }

    #[test]
    fn frames_are_as_long_as_they_say_and_labelled() {
        for bytes in [64, 512, 1500] {
            let frame = Subject::Router.frame(bytes);
            assert_eq!(frame.len(), bytes as usize - 4);
            assert_eq!(bad_checksum(&frame), None);
            assert_eq!(frame[56..60], MAGIC.to_ne_bytes());
        }
    }

    #[test]
    fn only_what_a_subject_is_to_make_of_a_packet_is_right() {
        let nat = Subject::Lb(Mode::Nat);
        let to = SocketAddrV4::new(nat.backends()[7], PORT);
        let sent = Frame::udp(CLIENT, to).macs(BALANCER_MAC, BACKEND_MAC);
        let sent = sent.payload(&[0; LABEL_BYTES]).bytes();
        nat.check(&sent).expect("as nat does it");
        for other in [Subject::Lb(Mode::Fullnat), Subject::Lb(Mode::Ipip), Subject::Router] {
            assert!(other.check(&sent).is_err(), "{}", other.name());
        }
        let mut broken = sent;
        broken[36] ^= 1;
        assert!(nat.check(&broken).is_err());
    }

    #[test]
    fn tunnel_packets_are_looked_at_inside_and_out() {
        let ipip = Subject::Lb(Mode::Ipip);
        let inner = Frame::udp(CLIENT, ipip.vip()).macs(BALANCER_MAC, BACKEND_MAC);
        let inner = inner.payload(&[0; LABEL_BYTES]);
        let sent = inner.clone().in_tunnel(FIRST_SOURCE, ipip.backends()[0]);
        ipip.check(&sent.bytes()).expect("as ipip does it");
        let astray = inner.in_tunnel(FIRST_SOURCE, Ipv4Addr::new(10, 77, 0, 1));
        assert!(ipip.check(&astray.bytes()).is_err());
    }
}
