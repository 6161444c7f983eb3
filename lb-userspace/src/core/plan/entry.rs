//! What is wanted, as the structs that lie in the maps.

use std::net::IpAddr;

use lb_common::abi::{self, Address, Tags, backend_flags, service_flags};
use lb_common::checksum::{change_of_address, fold};
use lb_common::encap;

use super::{Wanted, WantedBackend};
use crate::core::image::Placed;
use crate::core::model::{Mode, Vip};
use crate::core::observed::unspecified;
use crate::core::prefix::Prefix;

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

fn flags(vip: Vip, mode: Mode, mss_clamp: Option<u16>) -> u32 {
    let table = if mode == Mode::Fullnat {
        service_flags::FLOW_TABLE
    } else {
        0
    };
    let family = if vip.address.is_ipv6() { service_flags::IPV6 } else { 0 };
    let mss = u32::from(mss_clamp.unwrap_or(0)) << service_flags::MSS_SHIFT;
    table | family | (mode as u32) << service_flags::MODE_SHIFT | mss
}

/// A service that is in the maps, or will be.
pub fn service(vip: Vip, placed: &Placed) -> abi::Service {
    abi::Service {
        table_base: placed.base,
        table_size: placed.size,
        flags: flags(vip, placed.mode, placed.mss_clamp),
        port: vip.port.to_be(),
        protocol: vip.protocol.number(),
        prefix_length: vip.length,
        address: vip.address.into(),
        last_port: vip.last_port.to_be(),
        reserved_tail: [0; 15],
    }
}

/// A backend of the service with number `id`. `sources`: number of its first source address, and how many.
pub fn backend(wanted: &Wanted, id: u16, backend: &WantedBackend, sources: (u16, u16)) -> abi::Backend {
    let hop = backend.hop;
    let address = backend.key.address;
    let is_ipv6 = address.is_ipv6();
    let is_crossed = wanted.vip.address.is_ipv6() != is_ipv6;
    let added = wanted.mode.added_bytes(wanted.vip.address.is_ipv6(), is_ipv6);
    let outer = if wanted.mode.is_tunnel() {
        outer_source(wanted, address, hop.map(|hop| hop.source))
    } else {
        Address::default()
    };
    let alive = if backend.alive { backend_flags::ALIVE } else { 0 };
    let family = if is_ipv6 { backend_flags::IPV6 } else { 0 };
    let tagged = if tags(backend) == Tags::NONE {
        0
    } else {
        backend_flags::TAGGED
    };
    abi::Backend {
        ethernet: hop.map_or([0; 3], |hop| ethernet(hop.destination_mac, hop.source_mac)),
        egress: hop.map_or(0, |hop| hop.egress),
        address: address.into(),
        source: outer,
        port: backend.key.port.to_be(),
        mode: match wanted.mode {
            Mode::Fullnat if is_crossed => Mode::FULLNAT_ACROSS,
            mode => mode as u8,
        },
        flags: alive | family | tagged,
        outer_sum_or_change: outer_sum_or_change(wanted, outer, address),
        largest: hop.map_or(0, |hop| hop.mtu.saturating_sub_signed(added)),
        service: id,
        source_first_or_tunnel_port: match wanted.mode {
            Mode::Gue => wanted.tunnel_port.to_be(),
            _ => sources.0,
        },
        source_count_or_spread: match wanted.mode {
            Mode::Ipip => spread(wanted, address).map_or(0, |spread| spread.mask().to_be()),
            _ => sources.1,
        },
        protocol: wanted.vip.protocol.number(),
        reserved: 0,
    }
}

/// VLAN tags of frames to a backend.
pub fn tags(backend: &WantedBackend) -> Tags {
    backend.hop.map_or(Tags::NONE, |hop| hop.tags)
}

/// What is the same of the checksums in all packets to `backend`, as in [`abi::Backend::outer_sum_or_change`].
fn outer_sum_or_change(wanted: &Wanted, source: Address, backend: IpAddr) -> u16 {
    let destination = Address::from(backend);
    let inside = match (wanted.mode, wanted.vip.address) {
        (Mode::Gue, _) => encap::PROTOCOL_UDP,
        (Mode::Ipip, IpAddr::V4(_)) => encap::PROTOCOL_IPV4,
        (Mode::Ipip, IpAddr::V6(_)) => encap::PROTOCOL_IPV6,
        (Mode::Nat | Mode::Fullnat, service) => return change(service, backend),
        (Mode::L2, _) => return 0,
    };
    match backend {
        IpAddr::V4(_) => encap::outer_sum(source.as_v4(), destination.as_v4(), inside),
        IpAddr::V6(_) if wanted.mode == Mode::Gue => {
            encap::outer_udp_sum(source.as_v6(), destination.as_v6(), wanted.tunnel_port.to_be())
        }
        IpAddr::V6(_) => 0,
    }
}

/// What an address adds to an inverted checksum as it becomes another, folded; 0 where they are of two families.
pub fn change(from: IpAddr, to: IpAddr) -> u16 {
    if from.is_ipv6() != to.is_ipv6() {
        return 0;
    }
    fold(change_of_address(Address::from(from).0, Address::from(to).0))
}

/// The prefix that outer headers to `backend` come from.
fn spread(wanted: &Wanted, backend: IpAddr) -> Option<Prefix> {
    let of_family = |spread: &&Prefix| spread.address.is_ipv6() == backend.is_ipv6();
    wanted.spread.iter().find(of_family).copied()
}

/// The source of an outer header to `backend`: the node's own of that family, or the one that the next hop goes with.
fn outer_source(wanted: &Wanted, backend: IpAddr, of_hop: Option<IpAddr>) -> Address {
    if wanted.mode == Mode::Ipip
        && let Some(spread) = spread(wanted, backend)
    {
        return spread.network().into();
    }
    let of_node = wanted
        .sources
        .iter()
        .find(|source| source.is_ipv6() == backend.is_ipv6());
    let none = unspecified(backend.is_ipv6());
    of_node.copied().or(of_hop).unwrap_or(none).into()
}
