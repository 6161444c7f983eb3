//! Outer headers: IPv4 (RFC 2003) or IPv6 (RFC 2473), by the backend's address, around either family.
//!
//! An outer header copies the packet's type of service or traffic class whole, congestion notification included, as RFC 6040
//! has it in normal mode.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::{Backend, backend_flags},
    checksum::fold,
    encap,
    reason::Reason,
};

use crate::{
    exit::{Step, exit},
    packet::{self, Window},
    parse::{Header, L3, Packet},
    wire::{self, Ethernet, Front, Front6, Ipv4, Ipv6},
};

/// Puts an outer header in front.
#[inline(always)]
pub fn encapsulate<F: Header>(ctx: &XdpContext, packet: &Packet<F>, backend: &Backend) -> Step<()> {
    if backend.flags & backend_flags::IPV6 == 0 {
        in_v4(ctx, packet, backend)
    } else {
        in_v6(ctx, packet, backend)
    }
}

/// Makes room for so many bytes in front.
#[inline(always)]
fn grow(ctx: &XdpContext, bytes: usize) -> Step<Window> {
    match packet::resize_front(ctx, -(bytes as i32)) {
        Some(window) => Ok(window),
        None => exit(Reason::NoHeadroom),
    }
}

/// It is never fragmented, so its identification may be 0 (RFC 6864).
#[inline(always)]
fn in_v4<F: Header>(ctx: &XdpContext, packet: &Packet<F>, backend: &Backend) -> Step<()> {
    let window = grow(ctx, wire::IPV4_BYTES)?;
    let Some(front) = window.at::<Front>(0) else {
        return exit(Reason::Internal);
    };
    let total_length = ((packet.total_length + wire::IPV4_BYTES as u32) as u16).to_be();
    let type_of_service = u16::from_ne_bytes([0, packet.traffic_class]);
    let version = u16::from_ne_bytes([encap::VERSION_IHL, 0]);
    let sum = backend.outer_sum as u32 + total_length as u32 + type_of_service as u32;
    // SAFETY: both lie in what was checked.
    let (ethernet, ip) = unsafe { (front.cast::<Ethernet>(), front.byte_add(L3).cast::<Ipv4>()) };
    let (to, mixed, from) = (backend.ethernet[0], backend.ethernet[1], backend.ethernet[2]);
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe {
        (*ethernet).macs[0] = to;
        (*ethernet).macs[1] = mixed;
        (*ethernet).macs[2] = from;
        (*ethernet).ethertype = wire::ETHERTYPE_IPV4;
        *ip = Ipv4 {
            version_tos: version | type_of_service,
            total_length,
            id: 0,
            fragment: encap::DONT_FRAGMENT,
            ttl: encap::OUTER_TTL,
            protocol: F::INNER_PROTOCOL,
            checksum: !fold(sum),
            source: backend.source.as_v4(),
            destination: backend.address.as_v4(),
        };
    }
    Ok(())
}

#[inline(always)]
fn in_v6<F: Header>(ctx: &XdpContext, packet: &Packet<F>, backend: &Backend) -> Step<()> {
    let window = grow(ctx, wire::IPV6_BYTES)?;
    let Some(front) = window.at::<Front6>(0) else {
        return exit(Reason::Internal);
    };
    // SAFETY: both lie in what was checked.
    let (ethernet, ip) = unsafe { (front.cast::<Ethernet>(), front.byte_add(L3).cast::<Ipv6>()) };
    let (to, mixed, from) = (backend.ethernet[0], backend.ethernet[1], backend.ethernet[2]);
    let (source, destination) = (&backend.source.0, &backend.address.0);
    let version_class = 6 << 28 | (packet.traffic_class as u32) << 20;
    // SAFETY: checked to lie in the frame; only this run has the frame. Addresses word by word: copied as arrays they would become
    // calls of `memmove`.
    unsafe {
        (*ethernet).macs[0] = to;
        (*ethernet).macs[1] = mixed;
        (*ethernet).macs[2] = from;
        (*ethernet).ethertype = wire::ETHERTYPE_IPV6;
        (*ip).version_class_label = version_class.to_be();
        (*ip).payload_length = (packet.total_length as u16).to_be();
        (*ip).next_header = F::INNER_PROTOCOL;
        (*ip).hop_limit = encap::OUTER_TTL;
        (*ip).source[0] = source[0];
        (*ip).source[1] = source[1];
        (*ip).destination[0] = destination[0];
        (*ip).destination[1] = destination[1];
    }
    Ok(())
}
