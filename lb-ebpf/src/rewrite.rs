//! Step 4: the packet as the next hop is to see it.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::{Mode, protocol},
    checksum::{TTL_ONE_LESS, change16, change32, decremented_ttl, fold, update},
    encap,
    reason::Reason,
};

use crate::{
    exit::{Step, exit},
    packet::{self, Window},
    parse::{L3, Packet},
    select::{Source, Target},
    wire::{self, Ethernet, Front, Ipv4, Ports, Tcp, Udp},
};

/// New addresses and ports, as in the packet.
#[derive(Clone, Copy)]
pub struct Ends {
    pub source: u32,
    pub destination: u32,
    pub source_port: u16,
    pub destination_port: u16,
}

/// Towards a backend, by its mode.
#[inline(always)]
pub fn to_backend(ctx: &XdpContext, window: &Window, packet: &Packet, target: &Target) -> Step<()> {
    let backend = target.backend;
    let Some(mode) = Mode::from_u8(backend.mode) else {
        return exit(Reason::Internal);
    };
    if packet.total_length > backend.largest as u32 {
        return exit(Reason::TooBig);
    }
    match mode {
        Mode::Ipip => encapsulate(ctx, window, packet, target),
        Mode::L2 => {
            decrement_ttl(window)?;
            ethernet(window, &backend.ethernet)
        }
        Mode::Nat => {
            let own = Source {
                address: packet.source,
                port: packet.source_port,
            };
            translate(window, packet, ends(target, own), true)?;
            ethernet(window, &backend.ethernet)
        }
        Mode::Fullnat => {
            translate(window, packet, ends(target, target.source), true)?;
            ethernet(window, &backend.ethernet)
        }
    }
}

#[inline(always)]
fn ends(target: &Target, source: Source) -> Ends {
    Ends {
        source: source.address,
        destination: target.backend.address[0],
        source_port: source.port,
        destination_port: target.backend.port,
    }
}

/// Writes both MACs, word by word: copied as an array they would become a call of `memmove`.
#[inline(always)]
pub fn ethernet(window: &Window, macs: &[u32; 3]) -> Step<()> {
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return exit(Reason::Internal);
    };
    let (first, second, third) = (macs[0], macs[1], macs[2]);
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe {
        (*ethernet).macs[0] = first;
        (*ethernet).macs[1] = second;
        (*ethernet).macs[2] = third;
    }
    Ok(())
}

/// The TTL one less, checksum included.
#[inline(always)]
fn decrement_ttl(window: &Window) -> Step<()> {
    let Some(ip) = window.at::<Ipv4>(L3) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame; only this run has the frame. Both fields that lie between are the word's.
    unsafe {
        let word = (&raw mut (*ip).ttl).cast::<u32>();
        *word = decremented_ttl(*word);
    }
    Ok(())
}

/// Gives a packet new addresses and ports, checksums by RFC 1624; `forwarded`: and a TTL one less.
#[inline(always)]
pub fn translate(window: &Window, packet: &Packet, ends: Ends, forwarded: bool) -> Step<()> {
    let Some(ip) = window.at::<Ipv4>(L3) else {
        return exit(Reason::Internal);
    };
    let Some(ports) = window.at::<Ports>(packet.l4()) else {
        return exit(Reason::Internal);
    };
    let addresses = change32(packet.source, ends.source) + change32(packet.destination, ends.destination);
    let all = addresses
        + change16(packet.source_port, ends.source_port)
        + change16(packet.destination_port, ends.destination_port);
    // SAFETY: checked to lie in the frame; only this run has the frame.
    let ip = unsafe { &mut *ip };
    ip.source = ends.source;
    ip.destination = ends.destination;
    let hop = if forwarded {
        ip.ttl = ip.ttl.wrapping_sub(1);
        TTL_ONE_LESS
    } else {
        0
    };
    ip.checksum = update(ip.checksum, addresses + hop);
    // SAFETY: checked to lie in the frame; only this run has the frame.
    let ports = unsafe { &mut *ports };
    ports.source = ends.source_port;
    ports.destination = ends.destination_port;
    transport_checksum(window, packet, all)
}

#[inline(always)]
fn transport_checksum(window: &Window, packet: &Packet, change: u32) -> Step<()> {
    if packet.protocol == protocol::TCP {
        let Some(tcp) = window.at::<Tcp>(packet.l4()) else {
            return exit(Reason::ShortHeader);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        let checksum = unsafe { &mut (*tcp).checksum };
        *checksum = update(*checksum, change);
    } else {
        let Some(udp) = window.at::<Udp>(packet.l4()) else {
            return exit(Reason::ShortHeader);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        let checksum = unsafe { &mut (*udp).checksum };
        // 0 says that there is none, and what would become 0 is sent as its equal, ffff (RFC 768).
        if *checksum != 0 {
            let new = update(*checksum, change);
            *checksum = if new == 0 { 0xffff } else { new };
        }
    }
    Ok(())
}

/// Puts an outer IPv4 header in front (RFC 2003). It copies the type of service and is never fragmented, so its
/// identification may be 0 (RFC 6864).
#[inline(always)]
fn encapsulate(ctx: &XdpContext, window: &Window, packet: &Packet, target: &Target) -> Step<()> {
    decrement_ttl(window)?;
    let Some(window) = packet::resize_front(ctx, -(wire::IPV4_BYTES as i32)) else {
        return exit(Reason::NoHeadroom);
    };
    let backend = target.backend;
    let Some(front) = window.at::<Front>(0) else {
        return exit(Reason::Internal);
    };
    let total_length = ((packet.total_length + wire::IPV4_BYTES as u32) as u16).to_be();
    let type_of_service = u16::from_ne_bytes([0, packet.tos]);
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
            protocol: encap::PROTOCOL_IPIP,
            checksum: !fold(sum),
            source: backend.source[0],
            destination: backend.address[0],
        };
    }
    Ok(())
}
