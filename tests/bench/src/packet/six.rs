//! IPv6, and either family in the other: services of a mode each, and clients' packets to them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use lb_tests::packet::places::{BACKEND_HOP, TUNNEL_PORT};
use lb_userspace::core::image::BackendKey;
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::core::observed::ResolvedHop;
use lb_userspace::core::plan::{Wanted, WantedBackend};

use super::world::{self, BACKENDS, Kind, TABLE_SIZE};
use crate::bpf::feed::{Flows, Traffic};

/// IPv6 addresses that `fullnat` sends from: enough for as many flows as are measured, of two services.
const SOURCES: u16 = 3;
/// IPv4 addresses that it sends IPv6 clients' packets from.
const SOURCES_ACROSS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 254, 0, 1), Ipv4Addr::new(10, 254, 0, 2)];
/// All of them, with that of tunnels.
pub const ALL_SOURCES: u32 = SOURCES as u32 + SOURCES_ACROSS.len() as u32 + 1;
/// Services of `fullnat`.
pub const FULLNAT: u32 = 3;

/// A service over TCP that IPv6 has a part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    pub mode: Mode,
    /// Of its scenario, behind the mode's.
    pub name: &'static str,
    /// Whether clients come over IPv6.
    service: bool,
    /// Whether backends have IPv6 addresses.
    backends: bool,
}

const fn service(mode: Mode, name: &'static str, service: bool, backends: bool) -> Service {
    Service {
        mode,
        name,
        service,
        backends,
    }
}

pub const SERVICES: [Service; 11] = [
    service(Mode::Ipip, "ipv6", true, true),
    service(Mode::Ipip, "ipv6-in-ipv4", true, false),
    service(Mode::Ipip, "ipv4-in-ipv6", false, true),
    service(Mode::Gue, "ipv6", true, true),
    service(Mode::Gue, "ipv6-in-ipv4", true, false),
    service(Mode::Gue, "ipv4-in-ipv6", false, true),
    service(Mode::L2, "ipv6", true, true),
    service(Mode::Nat, "ipv6", true, true),
    service(Mode::Fullnat, "ipv6", true, true),
    service(Mode::Fullnat, "ipv6-to-ipv4", true, false),
    service(Mode::Fullnat, "ipv4-to-ipv6", false, true),
];

const fn address(kind: u16, number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, kind, 0, 0, 0, number)
}

impl Service {
    fn number(self) -> u16 {
        let place = SERVICES.iter().position(|other| *other == self);
        place.map_or(0, |place| place as u16 + 1)
    }

    fn door(self) -> SocketAddr {
        let port = world::SERVICE_PORT;
        if self.service {
            SocketAddr::new(address(1, self.number()).into(), port)
        } else {
            SocketAddr::new([198, 51, 100, self.number() as u8].into(), port)
        }
    }

    /// Whether clients come over IPv6.
    pub fn is_ipv6(self) -> bool {
        self.service
    }

    pub fn vip(self) -> Vip {
        Vip::new(self.door().ip(), self.door().port(), Protocol::Tcp)
    }

    fn backend(self, number: u16) -> WantedBackend {
        let v4 = world::backend(self.mode, number);
        if !self.backends {
            return v4;
        }
        WantedBackend {
            key: BackendKey {
                address: address(0x100 + self.number(), number + 1).into(),
                port: v4.key.port,
            },
            hop: Some(ResolvedHop {
                source: address(2, 1).into(),
                ..BACKEND_HOP
            }),
            ..v4
        }
    }

    pub fn wanted(self) -> Wanted {
        let own = (1..=SOURCES).map(|number| address(2, number).into());
        let v4 = match self.mode {
            Mode::Fullnat => SOURCES_ACROSS.to_vec(),
            _ => vec![world::TUNNEL_SOURCE],
        };
        Wanted {
            vip: self.vip(),
            mode: self.mode,
            table_size: TABLE_SIZE,
            tunnel_port: TUNNEL_PORT,
            spread: Vec::new(),
            mss_clamp: None,
            sources: v4.into_iter().map(Into::into).chain(own).collect(),
            backends: (0..BACKENDS).map(|number| self.backend(number)).collect(),
        }
    }

    /// Packets of clients.
    pub fn traffic(self, kind: Kind, flows: Flows) -> Traffic {
        let client = if self.service {
            SocketAddrV6::new(address(3, 0), world::FIRST_PORT, 0, 0).into()
        } else {
            SocketAddr::from(world::client())
        };
        Traffic {
            frame: kind.frame(client, self.door()),
            flows,
        }
    }
}
