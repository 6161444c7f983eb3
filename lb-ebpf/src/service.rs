//! Step 2: whose packet is it. Also the order of the steps.

use aya_ebpf::programs::XdpContext;
use lb_common::abi::{Service, VipKey, role};

use crate::{
    back, count,
    exit::{Send, Step},
    maps::{ROLES, SERVICES},
    packet::Window,
    parse::{self, Packet},
    rewrite, select, send, trace,
};

/// The way of a packet. `FLOW_TABLE`: whether this object has one; without it the compiler leaves out every compare-exchange,
/// which kernels before 5.12 refuse even where it is never reached.
#[inline(always)]
pub fn handle<const FLOW_TABLE: bool>(ctx: &XdpContext) -> Step<Send> {
    let window = Window::of(ctx);
    let packet = parse::addresses(ctx, &window)?;
    let role = role(packet.destination);
    let found = if role & role::VIP != 0 { find(&packet) } else { None };
    let Some(service) = found else {
        return back::handle::<FLOW_TABLE>(ctx, &window, packet, role);
    };
    trace::service(service.id);
    let packet = parse::whole(packet, &window)?;
    let target = select::select::<FLOW_TABLE>(&packet, service)?;
    trace::backend(target.id);
    let way = send::way(&packet, target.backend.egress)?;
    rewrite::to_backend(ctx, &window, &packet, &target)?;
    count::forward(service.id, target.id, packet.frame_length, target.new_flow);
    Ok(way)
}

/// What an address can be: bits of [`role`].
#[inline(always)]
pub fn role(address: u32) -> u8 {
    let (line, byte) = role::place(address);
    ROLES.get(line).map_or(0, |line| line.0[byte % role::LINE_BYTES])
}

/// The service that a packet is for.
#[inline(always)]
fn find(packet: &Packet) -> Option<&'static Service> {
    lookup(packet.destination, packet.destination_port, packet.protocol)
}

/// Whether some service has this address.
#[inline(always)]
pub fn has_address(address: u32) -> bool {
    lookup(address, 0, 0).is_some()
}

#[inline(always)]
fn lookup(address: u32, port: u16, protocol: u8) -> Option<&'static Service> {
    let key = VipKey {
        address,
        port,
        protocol,
        reserved: 0,
    };
    // SAFETY: the daemon replaces whole entries; one that goes away meanwhile stays readable for this run.
    unsafe { SERVICES.get(key) }
}
