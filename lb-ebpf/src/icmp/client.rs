//! Errors about a client's packet, for that client, in the modes that translate: they come from the backends' side, to the client's address or to
//! the one of ours that its packets leave with, and quote what we sent. The client sees its own packet, and the service as who says so.

use aya_ebpf::programs::XdpContext;
use lb_common::{abi::hop_egress, reason::Reason};

use super::{
    Control, ControlPacket,
    quoted::{Quoted, translate},
};
use crate::{
    back, count,
    exit::{Exit, Send, Step, exit},
    maps::SERVICES,
    rewrite::{self, Ends},
    service::{self, Balanced},
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
    let role = service::role::<F>(control.destination);
    let client = match back::client::<F, FLOW_TABLE>(&addresses, role) {
        Ok(client) => client,
        Err(Exit(Reason::NotTranslated)) => return exit(Reason::NotTranslated),
        Err(_) => return exit(Reason::NotTcpUdp),
    };
    let hop = F::route(client.address);
    if client.holder.is_none() && hop.is_some_and(|hop| hop.egress == hop_egress::HOST) {
        return exit(Reason::NotTcpUdp);
    }
    trace::back::<TRACED>(client.service, client.backend);
    let packet = control.packet(ctx, window, addresses)?;
    let Some(vip) = SERVICES.get(client.service) else {
        return exit(Reason::Internal);
    };
    let service = F::of(&vip.address);
    let inside = Ends {
        source: client.address,
        destination: service,
        source_port: client.port,
        destination_port: vip.port,
    };
    let outside = Ends {
        source: service,
        destination: client.address,
        source_port: vip.port,
        destination_port: client.port,
    };
    let ends = (service, client.address);
    let Some(out) = back::way(ctx, &packet, outside, hop) else {
        translate(window, control, &quoted, ends, &inside, false)?;
        return exit(Reason::KernelRoutes);
    };
    translate(window, control, &quoted, ends, &inside, true)?;
    rewrite::ethernet(window, &out.macs)?;
    vlan::leave(ctx, frame.tagged, out.tags)?;
    count::back(client.backend, packet.frame_length);
    Ok(out.way)
}
