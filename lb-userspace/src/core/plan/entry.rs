//! What is wanted, as the structs that lie in the maps.

use std::net::IpAddr;

use lb_common::abi::{self, Address, backend_flags, service_flags};
use lb_common::encap;

use super::{Wanted, WantedBackend};
use crate::core::image::Placed;
use crate::core::model::{Mode, Vip};
use crate::core::observed::unspecified;

/// Both MACs as in [`abi::Backend::ethernet`].
pub fn ethernet(destination: [u8; 6], source: [u8; 6]) -> [u32; 3] {
    let [a, b, c, d, e, f] = destination;
    let [g, h, i, j, k, l] = source;
    [
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
        u32::from_ne_bytes([i, j, k, l]),
    ]
}

fn flags(vip: Vip, mode: Mode) -> u32 {
    let table = if mode == Mode::Fullnat {
        service_flags::FLOW_TABLE
    } else {
        0
    };
    let family = if vip.address.is_ipv6() { service_flags::IPV6 } else { 0 };
    table | family | (mode as u32) << service_flags::MODE_SHIFT
}

/// A service that is in the maps, or will be.
pub fn service(vip: Vip, placed: &Placed) -> abi::Service {
    abi::Service {
        table_base: placed.base,
        table_size: placed.size,
        flags: flags(vip, placed.mode),
        port: vip.port.to_be(),
        protocol: vip.protocol.number(),
        reserved: 0,
        address: vip.address.into(),
    }
}

/// A backend of the service with number `id`. `sources`: number of its first source address, and how many.
pub fn backend(wanted: &Wanted, id: u16, backend: &WantedBackend, sources: (u16, u16)) -> abi::Backend {
    let hop = backend.hop;
    let address = backend.key.address;
    let is_ipv6 = address.is_ipv6();
    let outer = if wanted.mode == Mode::Ipip {
        outer_source(wanted, address, hop.map(|hop| hop.source))
    } else {
        Address::default()
    };
    let alive = if backend.alive { backend_flags::ALIVE } else { 0 };
    let family = if is_ipv6 { backend_flags::IPV6 } else { 0 };
    abi::Backend {
        ethernet: hop.map_or([0; 3], |hop| ethernet(hop.destination_mac, hop.source_mac)),
        egress: hop.map_or(0, |hop| hop.egress),
        address: address.into(),
        source: outer,
        port: backend.key.port.to_be(),
        mode: wanted.mode as u8,
        flags: alive | family,
        outer_sum: if wanted.mode == Mode::Ipip && !is_ipv6 {
            let inner = match wanted.vip.address {
                IpAddr::V4(_) => encap::PROTOCOL_IPV4,
                IpAddr::V6(_) => encap::PROTOCOL_IPV6,
            };
            encap::outer_sum(outer.as_v4(), Address::from(address).as_v4(), inner)
        } else {
            0
        },
        largest: hop.map_or(0, |hop| hop.mtu.saturating_sub(wanted.mode.added_bytes(is_ipv6))),
        service: id,
        source_first: sources.0,
        source_count: sources.1,
        protocol: wanted.vip.protocol.number(),
        reserved: 0,
    }
}

/// The source of an outer header to `backend`: the node's own of that family, or the one that the next hop goes with.
fn outer_source(wanted: &Wanted, backend: IpAddr, of_hop: Option<IpAddr>) -> Address {
    let of_node = wanted
        .sources
        .iter()
        .find(|source| source.is_ipv6() == backend.is_ipv6());
    let none = unspecified(backend.is_ipv6());
    of_node.copied().or(of_hop).unwrap_or(none).into()
}
