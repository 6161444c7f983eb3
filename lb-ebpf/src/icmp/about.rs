//! Errors about a packet of a backend's, for that backend: they come to the service's address, whoever found something wrong, and quote
//! what the backend sent (RFC 792; RFC 4443, section 2.4 c). The flow is that of the packet quoted, turned round, so the error takes the
//! way of the client's packets; path MTU discovery depends on it (RFC 1191, RFC 8201).

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::{Mode, backend_flags, service_flags},
    reason::Reason,
};

use super::{
    Control, ControlPacket,
    quoted::{Quoted, translate},
};
use crate::{
    across, count,
    exit::{Send, Step, exit},
    flow_table,
    parse::Packet,
    rewrite::{self, Ends},
    select::{self, Source, Target},
    send,
    service::{self, Balanced, Found},
    trace,
    vlan::{self, Untagged},
};

#[inline(always)]
pub fn deliver<F: Balanced + Control, const FLOW_TABLE: bool, const TRACED: bool>(
    ctx: &XdpContext,
    frame: &Untagged,
    control: &ControlPacket<F>,
) -> Step<Send> {
    let window = &frame.window;
    let quoted = Quoted::of(window, control)?;
    let addresses = quoted.turned_round(control);
    let Some(found) = service::find(&addresses)? else {
        return exit(Reason::NotTcpUdp);
    };
    trace::service::<TRACED>(found.id);
    let mut packet = control.packet(ctx, window, addresses)?;
    let target = target::<F, FLOW_TABLE, TRACED>(&packet, found)?;
    trace::backend::<TRACED>(target.id);
    let way = send::way(packet.ingress, target.backend.egress)?;
    rewrite::fits(&packet, target.backend.largest as u32)?;
    match Mode::from_u8(target.backend.mode) {
        Some(Mode::Nat | Mode::Fullnat) => {
            let backend = F::of(&target.backend.address);
            let inside = Ends {
                source: backend,
                destination: target.source.address,
                source_port: target.backend.port,
                destination_port: target.source.port,
            };
            translate(window, control, &quoted, (control.source, backend), &inside, true)?;
            rewrite::ethernet(window, &target.backend.ethernet)?;
        }
        None if FLOW_TABLE && across::is_there(target.backend) => return across::to_backend(&target),
        _ => {
            packet.addresses.protocol = F::ICMP;
            rewrite::as_it_is(ctx, window, &packet, &target)?;
        }
    }
    if target.backend.flags & backend_flags::TAGGED != 0 {
        vlan::to_backend(ctx, frame.tagged, target.id)?;
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
