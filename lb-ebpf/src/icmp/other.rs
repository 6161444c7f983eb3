//! Packets of other protocols than TCP and UDP, for a service that takes them: SCTP (RFC 9260) by its ports, and what a service for every
//! protocol gets, by addresses alone where it has no ports. Only modes that change nothing behind the IP header have such services.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::{backend_flags, protocol, role},
    reason::Reason,
};

use super::Control;
use crate::{
    count,
    exit::{Send, Step, exit},
    fragments,
    packet::Window,
    parse::{self, Addresses},
    rewrite,
    select::{self, Source, Target},
    send,
    service::{self, Balanced},
    trace,
    vlan::{self, Untagged},
    wire::{Ports, SCTP_BYTES, SCTP_INIT, Sctp},
};

#[inline(always)]
pub fn deliver<F: Balanced + Control, const TRACED: bool>(ctx: &XdpContext, frame: &Untagged) -> Step<Send> {
    let window = &frame.window;
    let mut addresses = F::without_ports(window)?;
    if addresses.protocol == F::ICMP || service::role::<F>(addresses.destination) & role::VIP == 0 {
        return exit(Reason::NotTcpUdp);
    }
    if addresses.protocol == protocol::SCTP {
        (addresses.source_port, addresses.destination_port) = ports(window, &addresses)?;
    }
    let Some(found) = service::find(&addresses)? else {
        return exit(Reason::NotTcpUdp);
    };
    trace::service::<TRACED>(found.id);
    let packet = parse::bare(ctx, window, addresses)?;
    let begins = addresses.protocol == protocol::SCTP && begins(window, &addresses, packet.total_length)?;
    let owner = select::owner::<F, TRACED>(&packet, found.service)?;
    let target = Target {
        id: owner.id,
        backend: owner.backend,
        source: Source {
            address: F::UNSPECIFIED,
            port: 0,
        },
        new_flow: begins,
        hash: owner.hash as u32,
    };
    trace::backend::<TRACED>(target.id);
    let way = send::way(packet.ingress, target.backend.egress)?;
    rewrite::fits(&packet, target.backend.largest as u32)?;
    fragments::follow_to_backend::<F, false>(window, &packet, &target);
    // Anew, so that the verifier knows as little of the packet on every way to here.
    let window = &Window::of(ctx);
    rewrite::as_it_is(ctx, window, &packet, &target)?;
    if target.backend.flags & backend_flags::TAGGED != 0 {
        vlan::to_backend(ctx, frame.tagged, target.id)?;
    }
    count::forward(target.id, packet.frame_length, target.new_flow);
    Ok(way)
}

/// The ports, which are where those of TCP and UDP are.
#[inline(always)]
fn ports<F: Balanced>(window: &Window, addresses: &Addresses<F>) -> Step<(u16, u16)> {
    let Some(ports) = window.at::<Ports>(addresses.l4()) else {
        return parse::unreadable::<F, _>(addresses.destination, Reason::ShortHeader, Reason::NotTcpUdp);
    };
    // SAFETY: checked to lie in the frame.
    let ports = unsafe { &*ports };
    Ok((ports.source, ports.destination))
}

/// Whether an SCTP packet is the first of an association: an INIT stands alone in its packet (RFC 9260, section 6.10).
#[inline(always)]
fn begins<F: Balanced>(window: &Window, addresses: &Addresses<F>, total_length: u32) -> Step<bool> {
    if addresses.header_length as u32 + SCTP_BYTES as u32 > total_length {
        return exit(Reason::BadLength);
    }
    let Some(header) = window.at::<Sctp>(addresses.l4()) else {
        return exit(Reason::ShortHeader);
    };
    // SAFETY: checked to lie in the frame.
    Ok(unsafe { (*header).chunk_type } == SCTP_INIT)
}
