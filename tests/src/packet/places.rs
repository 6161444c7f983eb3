//! Addresses and MACs that the packet tests use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use lb_common::abi::Tags;
use lb_userspace::core::model::{Protocol, Vip};
use lb_userspace::core::observed::ResolvedHop;
use lb_userspace::edge::dataplane::run::INGRESS;

/// Where packets come from.
pub const ROUTER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xaa];
/// The interface that they come in by.
pub const BALANCER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xbb];
/// Next hop to every backend.
pub const BACKEND_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xcc];
/// Next hop to every client.
pub const GATEWAY_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0xdd];

/// UDP port of the backends that packets of `gue` go to: the one that IANA has for it.
pub const TUNNEL_PORT: u16 = 6080;

pub const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), 40000);
/// What clients connect to.
pub const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 10), 80);
/// Nobody that the balancer knows.
pub const STRANGER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 80);
/// The balancer's own addresses, sources of `fullnat` and `ipip`.
pub const SOURCES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 11), Ipv4Addr::new(10, 0, 0, 12)];
/// Port of every backend.
pub const BACKEND_PORT: u16 = 8080;
/// In bytes.
pub const MTU: u16 = 1500;

/// The `n`th backend.
pub const fn backend(n: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, n), BACKEND_PORT)
}

/// The client's flow number `n`: [`CLIENT`] on the `n`th port after its own.
pub const fn client(n: u16) -> SocketAddrV4 {
    SocketAddrV4::new(*CLIENT.ip(), CLIENT.port() + n)
}

/// [`SERVICE`] over `protocol`.
pub const fn vip(protocol: Protocol) -> Vip {
    Vip::new(IpAddr::V4(*SERVICE.ip()), SERVICE.port(), protocol)
}

/// The way to every backend, through the interface that packets come in by.
pub const BACKEND_HOP: ResolvedHop = ResolvedHop {
    egress: INGRESS,
    source_mac: BALANCER_MAC,
    destination_mac: BACKEND_MAC,
    source: IpAddr::V4(SOURCES[0]),
    mtu: MTU,
    tags: Tags::NONE,
};

/// A family of addresses, and who has which in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub const fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    /// What clients connect to.
    pub fn service(self) -> SocketAddr {
        match self {
            Self::V4 => SERVICE.into(),
            Self::V6 => SERVICE6.into(),
        }
    }

    /// The service over `protocol`.
    pub fn vip(self, protocol: Protocol) -> Vip {
        Vip::new(self.service().ip(), self.service().port(), protocol)
    }

    /// What a service of this protocol has there: one for every protocol has every port.
    pub fn vip_of(self, protocol: Protocol) -> Vip {
        let vip = self.vip(protocol);
        match protocol {
            Protocol::Any => Vip {
                port: 0,
                last_port: u16::MAX,
                ..vip
            },
            _ => vip,
        }
    }

    /// The client's flow number `n`.
    pub fn client(self, n: u16) -> SocketAddr {
        match self {
            Self::V4 => client(n).into(),
            Self::V6 => client6(n).into(),
        }
    }

    /// The `n`th backend.
    pub fn backend(self, n: u8) -> SocketAddr {
        match self {
            Self::V4 => backend(n).into(),
            Self::V6 => backend6(n).into(),
        }
    }

    /// The balancer's own address.
    pub const fn source(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(SOURCES[0]),
            Self::V6 => IpAddr::V6(SOURCE6),
        }
    }

    /// The way to every backend of it.
    pub const fn hop(self) -> ResolvedHop {
        ResolvedHop {
            source: self.source(),
            ..BACKEND_HOP
        }
    }
}

/// What IPv6 clients connect to.
pub const SERVICE6: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x10), 80, 0, 0);
/// The balancer's own IPv6 address.
pub const SOURCE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0x11);
/// Nobody that the balancer knows.
pub const STRANGER6: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 9, 0, 0, 0, 1), 80, 0, 0);

/// The `n`th IPv6 backend.
pub const fn backend6(n: u8) -> SocketAddrV6 {
    SocketAddrV6::new(
        Ipv6Addr::new(0x2001, 0xdb8, 0, 3, 0, 0, 0, n as u16),
        BACKEND_PORT,
        0,
        0,
    )
}

/// The IPv6 client's flow number `n`.
pub const fn client6(n: u16) -> SocketAddrV6 {
    SocketAddrV6::new(
        Ipv6Addr::new(0x2001, 0xdb8, 0xfeed, 4, 1, 2, 3, 7),
        CLIENT.port() + n,
        0,
        0,
    )
}

/// The way to every client.
pub const CLIENT_HOP: ResolvedHop = ResolvedHop {
    destination_mac: GATEWAY_MAC,
    ..BACKEND_HOP
};
