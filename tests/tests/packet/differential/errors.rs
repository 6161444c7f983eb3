//! ICMP errors about packets in either direction, of all sorts.

use std::net::SocketAddr;

use lb_tests::packet::Icmp;
use lb_tests::packet::places::{Family, STRANGER, STRANGER6};
use lb_userspace::core::model::Mode;

use super::doors::in_prefix;
use super::generate::Generator;

impl Generator {
    /// About a backend's answer, or a client's packet.
    pub(super) fn error(&mut self) -> Icmp {
        let family = self.family();
        let (from, to, mut quoted) = if self.one_in(2) {
            let (vip, client) = self.door_and_client(family);
            (vip.ip(), vip.ip(), self.between(vip, client).packet())
        } else {
            let (backend, peer) = self.backend_and_peer(family);
            (backend.ip(), peer.ip(), self.between(peer, backend).packet())
        };
        let family = if from.is_ipv6() { Family::V6 } else { Family::V4 };
        let header = if family == Family::V6 { 40 } else { 20 };
        let most = quoted.len().min(500);
        let length = match self.random.below(4) {
            0 => self.random.below(most + 1),
            1 => most.min(header + 8),
            _ => most,
        };
        quoted.truncate(length);
        if self.one_in(8) && !quoted.is_empty() {
            let place = self.random.below(quoted.len());
            quoted[place] ^= 1 << self.random.below(8);
        }
        let (kind, rest) = self.said(family);
        let router = match (self.random.below(2), family) {
            (0, _) => from,
            (_, Family::V4) => (*STRANGER.ip()).into(),
            (_, Family::V6) => (*STRANGER6.ip()).into(),
        };
        let mut icmp = Icmp::new(router, to, kind).rest(rest).payload(&quoted);
        icmp.ttl = if self.one_in(12) { 1 } else { self.random.bits() as u8 };
        icmp.class = self.random.bits() as u8;
        icmp
    }

    /// Type and code of an error, and what stands behind the checksum.
    fn said(&mut self, family: Family) -> ((u8, u8), [u8; 4]) {
        let number = self.random.below(48) as u8;
        let kind = match (self.random.below(3), family) {
            (0, Family::V4) => *self.random.pick(&[(3, 4), (3, 1), (11, 0), (12, 0), (5, 0)]),
            (0, Family::V6) => *self.random.pick(&[(2, 0), (1, 3), (3, 0), (4, 1), (200, 0)]),
            (1, Family::V4) => (3, number % 18),
            (1, Family::V6) => (1, number % 8),
            (_, Family::V4) => (*self.random.pick(&[3, 11, 12, 12]), number % 5),
            (_, Family::V6) => (*self.random.pick(&[2, 3, 4, 4, 5]), number % 3),
        };
        let rest = match self.random.below(5) {
            0 => [0, 0, 5, 0],
            // A pointer, of IPv4 and of IPv6.
            1 => [number % 24, 0, 0, 0],
            2 => [0, 0, 0, number],
            // As much as some link takes.
            3 => [
                0,
                (number == 0).into(),
                self.random.bits() as u8,
                self.random.bits() as u8,
            ],
            _ => (self.random.bits() as u32).to_be_bytes(),
        };
        (kind, rest)
    }

    /// A service, and its client.
    fn door_and_client(&mut self, family: Family) -> (SocketAddr, SocketAddr) {
        let door = match self.one_in(2) {
            true => self.door(),
            false => self.translating(),
        };
        if door.mode == Mode::Fullnat
            && let Some(flow) = self.flow()
        {
            return (flow.service, flow.client);
        }
        let address = door.prefix.map_or(family.service().ip(), |_| in_prefix(family, 1));
        (SocketAddr::new(address, door.port), self.client(family))
    }
}
