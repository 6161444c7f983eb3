//! IPv6, and either family in the other: services of a mode each, and clients' packets to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use lb_tests::packet::places::{BACKEND_HOP, TUNNEL_PORT};
use lb_userspace::core::image::BackendKey;
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::core::observed::ResolvedHop;
use lb_userspace::core::plan::{Wanted, WantedBackend};

use super::world::{self, BACKENDS, Kind, TABLE_SIZE};
use crate::bpf::feed::{Flows, Traffic};

/// IPv6 addresses that `fullnat` sends from: enough for as many flows as are measured, of two services.
const SOURCES: u16 = 3;
/// IPv4 addresses that it sends IPv6 clients' packets from; none that ends like those of IPv4 clients, which would make the way back of these dearer.
const SOURCES_ACROSS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 254, 7, 1), Ipv4Addr::new(10, 254, 7, 2)];
/// All of them, with that of tunnels.
pub const ALL_SOURCES: u32 = SOURCES as u32 + SOURCES_ACROSS.len() as u32 + 1;
/// How many of the services are of `fullnat`.
pub const FULLNAT_SERVICES: u32 = 3;

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
    NAT,
    FULLNAT,
    service(Mode::Fullnat, "ipv6-to-ipv4", true, false),
    service(Mode::Fullnat, "ipv4-to-ipv6", false, true),
];

/// Those whose answers come back this way.
pub const NAT: Service = service(Mode::Nat, "ipv6", true, true);
pub const FULLNAT: Service = service(Mode::Fullnat, "ipv6", true, true);

/// First source address of `fullnat`; the others follow.
pub const FIRST_SOURCE: Ipv6Addr = address(kind::SOURCE, 1);
/// Address of the first client.
const FIRST_CLIENT: Ipv6Addr = address(kind::CLIENT, 0);

/// Kinds of addresses, to each of which there are fewer than 256 numbers: so the bytes among the roles are different ones, too.
mod kind {
    pub const SERVICE: u16 = 1;
    pub const SOURCE: u16 = 2;
    pub const CLIENT: u16 = 3;
    /// Of the first service; the others follow.
    pub const BACKEND: u16 = 0x10;
}

const fn address(kind: u16, number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, kind << 8, 0, 0, 0, number)
}

impl Service {
    fn number(self) -> u16 {
        let place = SERVICES.iter().position(|other| *other == self);
        place.map_or(0, |place| place as u16 + 1)
    }

    fn door(self) -> SocketAddr {
        let port = world::SERVICE_PORT;
        if self.service {
            SocketAddr::new(address(kind::SERVICE, self.number()).into(), port)
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

    pub fn backend(self, number: u16) -> WantedBackend {
        let v4 = world::backend(self.mode, number);
        if !self.backends {
            return v4;
        }
        WantedBackend {
            key: BackendKey {
                address: address(kind::BACKEND + self.number(), number + 1).into(),
                port: v4.key.port,
            },
            hop: Some(ResolvedHop {
                source: FIRST_SOURCE.into(),
                ..BACKEND_HOP
            }),
            ..v4
        }
    }

    pub fn wanted(self) -> Wanted {
        let own = (1..=SOURCES).map(|number| address(kind::SOURCE, number).into());
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
            SocketAddrV6::new(FIRST_CLIENT, world::FIRST_PORT, 0, 0).into()
        } else {
            SocketAddr::from(world::client())
        };
        Traffic {
            frame: kind.frame(client, self.door()),
            flows,
        }
    }

    /// The answers of its IPv6 backends, by the list, whose sources are clients where the mode keeps those.
    pub fn answers(self, packets: u32) -> Traffic {
        let from = self.backend(0).key;
        let to = match self.mode {
            Mode::Fullnat => FIRST_SOURCE,
            _ => FIRST_CLIENT,
        };
        let end = |address: IpAddr| match address {
            IpAddr::V4(address) => address.to_bits(),
            IpAddr::V6(address) => address.to_bits() as u32,
        };
        Traffic {
            frame: Kind::Established.frame(
                SocketAddr::new(from.address, from.port),
                SocketAddr::new(to.into(), world::FIRST_PORT),
            ),
            flows: Flows::Listed {
                packets,
                backend: end(from.address),
                source: end(to.into()),
            },
        }
    }
}
