//! What is wanted, as the structs that lie in the maps.

use std::net::Ipv4Addr;

use lb_common::abi::{self, VipKey, backend_flags, service_flags};
use lb_common::encap;

use super::{Wanted, WantedBackend};
use crate::core::image::{BackendKey, Placed};
use crate::core::model::{Mode, Vip};

/// An IPv4 address as in the packet.
pub fn address_be(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

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

/// Key of a service.
pub fn vip_key(vip: Vip) -> VipKey {
    VipKey {
        address: address_be(vip.address),
        port: vip.port.to_be(),
        protocol: vip.protocol.number(),
        reserved: 0,
    }
}

/// The key that says that some service has this address.
pub fn marker(address: Ipv4Addr) -> VipKey {
    VipKey {
        address: address_be(address),
        port: 0,
        protocol: 0,
        reserved: 0,
    }
}

fn flags(mode: Mode) -> u32 {
    let table = if mode == Mode::Fullnat {
        service_flags::FLOW_TABLE
    } else {
        0
    };
    table | (mode as u32) << service_flags::MODE_SHIFT
}

/// A service that is in the maps, or will be.
pub fn service(vip: Vip, placed: &Placed) -> abi::Service {
    abi::Service {
        table_base: placed.base,
        table_size: placed.size,
        flags: flags(placed.mode),
        port: vip.port.to_be(),
        protocol: vip.protocol.number(),
        reserved: 0,
        address: [address_be(vip.address), 0, 0, 0],
    }
}

/// Key of the way back of a `nat` backend.
pub fn back_key(vip: Vip, key: BackendKey) -> abi::BackKey {
    abi::BackKey {
        address: address_be(key.address),
        port: key.port.to_be(),
        protocol: vip.protocol.number(),
        reserved: 0,
    }
}

/// A backend of the service with number `id`. `sources`: number of its first source address, and how many.
pub fn backend(wanted: &Wanted, id: u16, backend: &WantedBackend, sources: (u16, u16)) -> abi::Backend {
    let hop = backend.hop;
    let own = hop.map(|hop| hop.source);
    let outer = wanted.sources.first().copied().or(own).unwrap_or(Ipv4Addr::UNSPECIFIED);
    let tunnel = wanted.mode == Mode::Ipip;
    let address = address_be(backend.key.address);
    abi::Backend {
        ethernet: hop.map_or([0; 3], |hop| ethernet(hop.destination_mac, hop.source_mac)),
        egress: hop.map_or(0, |hop| hop.egress),
        address: [address, 0, 0, 0],
        source: [if tunnel { address_be(outer) } else { 0 }, 0, 0, 0],
        port: backend.key.port.to_be(),
        mode: wanted.mode as u8,
        flags: if backend.alive { backend_flags::ALIVE } else { 0 },
        outer_sum: if tunnel {
            encap::outer_sum(address_be(outer), address)
        } else {
            0
        },
        largest: hop.map_or(0, |hop| hop.mtu.saturating_sub(wanted.mode.added_bytes())),
        service: id,
        source_first: sources.0,
        source_count: sources.1,
        protocol: wanted.vip.protocol.number(),
        reserved: 0,
    }
}
