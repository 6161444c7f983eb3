//! Addresses and MACs that the packet tests use.

use std::net::{Ipv4Addr, SocketAddrV4};

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
    Vip {
        address: *SERVICE.ip(),
        port: SERVICE.port(),
        protocol,
    }
}

/// The way to every backend, through the interface that packets come in by.
pub const BACKEND_HOP: ResolvedHop = ResolvedHop {
    egress: INGRESS,
    source_mac: BALANCER_MAC,
    destination_mac: BACKEND_MAC,
    source: SOURCES[0],
    mtu: MTU,
};

/// The way to every client.
pub const CLIENT_HOP: ResolvedHop = ResolvedHop {
    destination_mac: GATEWAY_MAC,
    ..BACKEND_HOP
};
