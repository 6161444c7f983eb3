//! Errors about a packet of a backend's, for that backend: they come to the service's address, whoever found something wrong, and quote
//! what the backend sent (RFC 792; RFC 4443, section 2.4 c). The flow is that of the packet quoted, turned round, so the error takes the
//! way of the client's packets; path MTU discovery depends on it (RFC 1191, RFC 8201).

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::{Mode, protocol, service_flags},
    checksum::{change16, update},
    reason::Reason,
};

use super::{Control, ControlPacket, Quoted};
use crate::{
    count,
    exit::{Send, Step, exit},
    flow_table,
    packet::Window,
    parse::{Addresses, L3, Packet},
    rewrite::{self, Ends},
    select::{self, Source, Target},
    send,
    service::{self, Balanced, Found},
    trace,
    wire::{ICMP_BYTES, Ports, Tcp, Udp},
};

#[inline(always)]
pub fn deliver<F: Balanced + Control, const FLOW_TABLE: bool, const TRACED: bool>(
    ctx: &XdpContext,
    window: &Window,
    control: &ControlPacket<F>,
) -> Step<Send> {
    let offset = L3 + control.header_length as usize + ICMP_BYTES;
    let Some(quoted) = F::quoted(window, offset) else {
        return exit(Reason::NotTcpUdp);
    };
    let is_ours =
        quoted.service == control.destination && (quoted.protocol == protocol::TCP || quoted.protocol == protocol::UDP);
    if !is_ours {
        return exit(Reason::NotTcpUdp);
    }
    let addresses = Addresses {
        source: quoted.client,
        destination: quoted.service,
        source_port: quoted.client_port,
        destination_port: quoted.service_port,
        protocol: quoted.protocol,
        header_length: control.header_length,
        kept: F::WHOLE,
    };
    let Some(found) = service::find(&addresses)? else {
        return exit(Reason::NotTcpUdp);
    };
    if control.hops_left <= 1 {
        return exit(Reason::TtlExpired);
    }
    trace::service::<TRACED>(found.id);
    let mut packet = Packet {
        addresses,
        total_length: control.total_length,
        traffic_class: control.traffic_class,
        tcp_flags: 0,
        frame_length: window.length(),
        // SAFETY: the context is the one the kernel gave.
        ingress: unsafe { (*ctx.ctx).ingress_ifindex },
    };
    let target = target::<F, FLOW_TABLE, TRACED>(&packet, found)?;
    trace::backend::<TRACED>(target.id);
    let way = send::way(packet.ingress, target.backend.egress)?;
    match Mode::from_u8(target.backend.mode) {
        Some(Mode::Nat | Mode::Fullnat) => {
            if packet.total_length > target.backend.largest as u32 {
                return exit(Reason::TooBig);
            }
            translate(window, control, &quoted, offset, &target)?;
            rewrite::ethernet(window, &target.backend.ethernet)?;
        }
        _ => {
            packet.addresses.protocol = F::PROTOCOL;
            rewrite::to_backend::<F, FLOW_TABLE>(ctx, window, &packet, &target)?;
        }
    }
    count::forward(target.id, packet.frame_length, false);
    Ok(way)
}

/// Who the flow's packets go to. One that `fullnat` does not know has sent nothing.
#[inline(always)]
fn target<F: Balanced, const FLOW_TABLE: bool, const TRACED: bool>(
    packet: &Packet<F>,
    found: Found,
) -> Step<Target<F>> {
    if found.service.flags & service_flags::FLOW_TABLE == 0 {
        let owner = select::owner::<F, TRACED>(packet, found.service)?;
        return Ok(Target {
            id: owner.id,
            backend: owner.backend,
            // `nat`: the client's own.
            source: Source {
                address: packet.source,
                port: packet.source_port,
            },
            new_flow: false,
            hash: owner.hash as u32,
        });
    }
    if FLOW_TABLE {
        flow_table::of_error(packet, found)
    } else {
        exit(Reason::Internal)
    }
}

/// An error as the backend would get it without a balancer in between: to its address, about the packet that it sent.
#[inline(always)]
fn translate<F: Balanced + Control>(
    window: &Window,
    control: &ControlPacket<F>,
    quoted: &Quoted<F>,
    offset: usize,
    target: &Target<F>,
) -> Step<()> {
    let backend = F::of(&target.backend.address);
    let addresses = F::change(quoted.service, backend) + F::change(quoted.client, target.source.address);
    let ports = change16(quoted.service_port, target.backend.port) + change16(quoted.client_port, target.source.port);
    let quoted_l4 = offset + F::HEADER;
    let Some(there) = window.at::<Ports>(quoted_l4) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe {
        (*there).source = target.backend.port;
        (*there).destination = target.source.port;
    }
    let checksum = quoted_checksum(window, quoted.protocol, quoted_l4, addresses + ports);
    let in_header = F::readdress_quoted(window, offset, backend, target.source.address, addresses)?;
    let icmp = control.icmp;
    let to_backend = F::change(control.destination, backend);
    let all = ports + checksum + in_header + if F::HAS_PSEUDO_HEADER { to_backend } else { 0 };
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe { (*icmp).checksum = update((*icmp).checksum, all) };
    let ends = Ends {
        source: control.source,
        destination: backend,
        source_port: 0,
        destination_port: 0,
    };
    F::readdress(window, &ends, to_backend, true)
}

/// Corrects the checksum of the quoted TCP or UDP header where the quotation goes that far; what that adds to the sum of the bytes.
#[inline(always)]
fn quoted_checksum(window: &Window, protocol: u8, offset: usize, change: u32) -> u32 {
    let checksum = if protocol == protocol::TCP {
        // SAFETY: checked to lie in the frame; only this run has the frame.
        window.at::<Tcp>(offset).map(|tcp| unsafe { &mut (*tcp).checksum })
    } else {
        // SAFETY: checked to lie in the frame; only this run has the frame.
        window.at::<Udp>(offset).map(|udp| unsafe { &mut (*udp).checksum })
    };
    let Some(checksum) = checksum else { return 0 };
    let old = *checksum;
    if protocol == protocol::UDP && old == 0 {
        return 0;
    }
    let new = update(old, change);
    *checksum = new;
    change16(old, new)
}
