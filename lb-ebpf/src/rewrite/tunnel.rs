//! Outer headers: IPv4 (RFC 2003) or IPv6 (RFC 2473), by the backend's address, around either family; for `gue` with UDP between.
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

use super::{Rewrite, not_zero};
use crate::{
    exit::{Step, exit},
    packet::{self, Window},
    parse::{L3, Packet},
    select::Target,
    wire::{self, Ethernet, Front, Ipv4, Ipv6, Udp},
};

/// Bytes to be checked at once: Ethernet, outer header, UDP.
const V4: usize = L3 + wire::IPV4_BYTES;
const V4_UDP: usize = V4 + wire::UDP_BYTES;
const V6: usize = L3 + wire::IPV6_BYTES;
const V6_UDP: usize = V6 + wire::UDP_BYTES;

/// Puts an outer header in front. `UDP`: with a UDP header behind it.
#[inline(always)]
pub fn encapsulate<F: Rewrite, const UDP: bool>(
    ctx: &XdpContext,
    window: &Window,
    packet: &Packet<F>,
    target: &Target<F>,
) -> Step<()> {
    if target.backend.flags & backend_flags::IPV6 == 0 {
        in_v4::<F, UDP>(ctx, packet, target)
    } else {
        in_v6::<F, UDP>(ctx, window, packet, target)
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

/// The first bytes of the frame, as many as the headers take.
#[inline(always)]
fn front<const PLAIN: usize, const WITH_UDP: usize, const UDP: bool>(window: &Window) -> Step<*mut u8> {
    let front = if UDP {
        window.at::<Front<WITH_UDP>>(0).map(|front| front.cast())
    } else {
        window.at::<Front<PLAIN>>(0).map(|front| front.cast())
    };
    match front {
        Some(front) => Ok(front),
        None => exit(Reason::Internal),
    }
}

/// # Safety
///
/// There is such a header at `front`, and only this run has the frame.
#[inline(always)]
unsafe fn ethernet(front: *mut u8, backend: &Backend, ethertype: u16) {
    let ethernet = front.cast::<Ethernet>();
    let (to, mixed, from) = (backend.ethernet[0], backend.ethernet[1], backend.ethernet[2]);
    // SAFETY: the caller's.
    unsafe {
        (*ethernet).macs[0] = to;
        (*ethernet).macs[1] = mixed;
        (*ethernet).macs[2] = from;
        (*ethernet).ethertype = ethertype;
    }
}

/// The last two bytes of an outer source as far as they are the flow's own: with UDP its port is what flows differ in.
#[inline(always)]
fn spread<const UDP: bool>(backend: &Backend, hash: u32) -> u16 {
    if UDP {
        0
    } else {
        hash as u16 & backend.source_count_or_spread
    }
}

/// It is never fragmented, so its identification may be 0 (RFC 6864). A UDP header in it has no checksum, as everything behind it
/// has its own (RFC 768).
#[inline(always)]
fn in_v4<F: Rewrite, const UDP: bool>(ctx: &XdpContext, packet: &Packet<F>, target: &Target<F>) -> Step<()> {
    let backend = target.backend;
    let added = if UDP { V4_UDP } else { V4 } - L3;
    let window = grow(ctx, added)?;
    let front = front::<V4, V4_UDP, UDP>(&window)?;
    let total_length = ((packet.total_length + added as u32) as u16).to_be();
    let type_of_service = u16::from_ne_bytes([0, packet.traffic_class]);
    let version = u16::from_ne_bytes([encap::VERSION_IHL, 0]);
    // The last two bytes of an address are the high half of the word.
    let own = spread::<UDP>(backend, target.hash);
    let sum = backend.outer_sum_or_change as u32 + own as u32 + total_length as u32 + type_of_service as u32;
    // SAFETY: all of it lies in what was checked; only this run has the frame.
    unsafe {
        ethernet(front, backend, wire::ETHERTYPE_IPV4);
        *front.add(L3).cast::<Ipv4>() = Ipv4 {
            version_tos: version | type_of_service,
            total_length,
            id: 0,
            fragment: encap::DONT_FRAGMENT,
            ttl: encap::OUTER_TTL,
            protocol: if UDP { encap::PROTOCOL_UDP } else { F::INNER_PROTOCOL },
            checksum: !fold(sum),
            source: backend.source.as_v4() | (own as u32) << 16,
            destination: backend.address.as_v4(),
        };
        if UDP {
            let udp = front.add(V4).cast::<Udp>();
            (*udp).ports.source = encap::source_port(target.hash);
            (*udp).ports.destination = backend.source_first_or_tunnel_port;
            (*udp).length = ((packet.total_length + wire::UDP_BYTES as u32) as u16).to_be();
            (*udp).checksum = 0;
        }
    }
    Ok(())
}

/// Its flow label is of the flow's hash (RFC 6438), so that routers and network cards spread flows by it.
#[inline(always)]
fn in_v6<F: Rewrite, const UDP: bool>(
    ctx: &XdpContext,
    window: &Window,
    packet: &Packet<F>,
    target: &Target<F>,
) -> Step<()> {
    let backend = target.backend;
    let added = if UDP { V6_UDP } else { V6 } - L3;
    let inside = if UDP { F::sum(window, packet)? } else { None };
    let window = grow(ctx, added)?;
    let front = front::<V6, V6_UDP, UDP>(&window)?;
    let (source, destination) = (&backend.source.0, &backend.address.0);
    let label = target.hash & 0xf_ffff;
    let version_class = 6 << 28 | (packet.traffic_class as u32) << 20 | label;
    let udp_bytes = if UDP { wire::UDP_BYTES } else { 0 } as u32;
    let payload_length = ((packet.total_length + udp_bytes) as u16).to_be();
    // SAFETY: all of it lies in what was checked; only this run has the frame. Addresses word by word: copied as arrays they would
    // become calls of `memmove`.
    unsafe {
        ethernet(front, backend, wire::ETHERTYPE_IPV6);
        let ip = front.add(L3).cast::<Ipv6>();
        (*ip).version_class_label = version_class.to_be();
        (*ip).payload_length = payload_length;
        (*ip).next_header = if UDP { encap::PROTOCOL_UDP } else { F::INNER_PROTOCOL };
        (*ip).hop_limit = encap::OUTER_TTL;
        (*ip).source[0] = source[0];
        (*ip).source[1] = source[1] | (spread::<UDP>(backend, target.hash) as u64) << 48;
        (*ip).destination[0] = destination[0];
        (*ip).destination[1] = destination[1];
        if UDP {
            let from = encap::source_port(target.hash);
            let udp = front.add(V6).cast::<Udp>();
            (*udp).ports.source = from;
            (*udp).ports.destination = backend.source_first_or_tunnel_port;
            (*udp).length = payload_length;
            // The length counts twice: in the header, and in the pseudo header.
            let own = backend.outer_sum_or_change as u32 + 2 * payload_length as u32 + from as u32;
            (*udp).checksum = match inside {
                Some(inside) => not_zero(!fold(own + inside)),
                None => 0,
            };
        }
    }
    Ok(())
}
