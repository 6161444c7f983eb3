//! A service of one IP version with a backend of the other, in mode `fullnat`: byte for byte, in both directions (RFC 7915).
//!
//! What is expected is built by a crate that computes every length and checksum anew.

mod answers;
mod back;
mod checksums;
mod errors;
mod forward;
mod fragments;
mod not_translated;
mod rows;

use std::net::SocketAddr;

use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, CLIENT_HOP, Family, GATEWAY_MAC, MTU};
use lb_tests::packet::world::key;
use lb_tests::packet::{Frame, World, service};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::core::observed::{ResolvedHop, RouteHop};
use lb_userspace::core::plan::{Wanted, WantedBackend};

/// The first port that a flow gets in a world of the default making.
const FIRST_PORT: u16 = 20000;

/// A service over TCP and UDP whose backend is of the other family.
#[derive(Clone, Copy, Debug)]
struct Case {
    service: Family,
}

impl Case {
    const BOTH: [Self; 2] = [Self { service: Family::V4 }, Self { service: Family::V6 }];

    fn door(&self) -> SocketAddr {
        self.service.service()
    }

    fn client(&self, n: u16) -> SocketAddr {
        self.service.client(n)
    }

    fn backend(&self) -> SocketAddr {
        self.service.other().backend(1)
    }

    /// Where the backend sees the `n`th flow come from.
    fn peer(&self, n: u16) -> SocketAddr {
        SocketAddr::new(self.service.other().source(), FIRST_PORT + n)
    }

    /// The service over one protocol, its backend behind a link that takes so many bytes.
    fn wanted(&self, protocol: Protocol, mtu: u16) -> Wanted {
        let of = self.service.other();
        let to = WantedBackend {
            key: key(self.backend()),
            weight: 1,
            alive: true,
            hop: Some(ResolvedHop { mtu, ..of.hop() }),
        };
        Wanted {
            sources: vec![of.source()],
            ..service(self.service.vip(protocol), Mode::Fullnat, vec![to])
        }
    }

    fn world(&self) -> World {
        self.world_of(MTU, MTU)
    }

    /// A world in which the links to backends and to clients take so many bytes.
    fn world_of(&self, to_backends: u16, to_clients: u16) -> World {
        let mut world = World::default();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            world.serve(&self.wanted(protocol, to_backends));
        }
        world.route_clients(Some(RouteHop::Via(ResolvedHop {
            mtu: to_clients,
            ..CLIENT_HOP
        })));
        world
    }

    /// The same with so many flows of each protocol, first those of TCP.
    fn world_with_flows(&self, flows: u16, to_backends: u16, to_clients: u16) -> World {
        let mut world = self.world_of(to_backends, to_clients);
        for n in 0..flows {
            world.sent("SYN", &Frame::tcp(self.client(n), self.door()).syn().bytes());
        }
        for n in flows..2 * flows {
            world.sent("a question", &Frame::udp(self.client(n), self.door()).bytes());
        }
        world
    }

    /// To its backend.
    fn there(self) -> Way {
        Way {
            case: self,
            is_back: false,
        }
    }

    /// From its backend.
    fn back(self) -> Way {
        Way {
            case: self,
            is_back: true,
        }
    }
}

/// A way that packets take: of a service's clients to its backend, or back.
#[derive(Clone, Copy, Debug)]
struct Way {
    case: Case,
    is_back: bool,
}

impl Way {
    /// Every one.
    fn all() -> [Self; 4] {
        let [one, other] = Case::BOTH;
        [one.there(), one.back(), other.there(), other.back()]
    }

    /// Those on which packets come with this version.
    fn from(family: Family) -> impl Iterator<Item = Self> {
        Self::all().into_iter().filter(move |way| way.comes() == family)
    }

    /// The version that packets come with.
    fn comes(&self) -> Family {
        match self.is_back {
            true => self.case.service.other(),
            false => self.case.service,
        }
    }

    /// Source and destination of what comes of the `n`th flow.
    fn ends(&self, n: u16) -> (SocketAddr, SocketAddr) {
        match self.is_back {
            true => (self.case.backend(), self.case.peer(n)),
            false => (self.case.client(n), self.case.door()),
        }
    }

    /// The same of what it becomes.
    fn left_ends(&self, n: u16) -> (SocketAddr, SocketAddr) {
        match self.is_back {
            true => (self.case.door(), self.case.client(n)),
            false => (self.case.peer(n), self.case.backend()),
        }
    }

    /// Its MACs.
    fn left_macs(&self) -> ([u8; 6], [u8; 6]) {
        (BALANCER_MAC, if self.is_back { GATEWAY_MAC } else { BACKEND_MAC })
    }

    fn tcp(&self, n: u16) -> Frame {
        let (from, to) = self.ends(n);
        Frame::tcp(from, to)
    }

    fn udp(&self, n: u16) -> Frame {
        let (from, to) = self.ends(n);
        Frame::udp(from, to)
    }

    /// What becomes of the `n`th flow's packet.
    fn leaves(&self, packet: &Frame, n: u16) -> Frame {
        let (source, destination) = self.left_macs();
        let (from, to) = self.left_ends(n);
        packet.clone().forwarded().macs(source, destination).across(from, to)
    }

    /// A world with flow 0 over TCP and flow 1 over UDP, and a link behind that takes so many bytes.
    fn world(&self, mtu: u16) -> World {
        self.case.world_with_flows(1, mtu, mtu)
    }
}
