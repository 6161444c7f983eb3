//! Step 2: whose packet is it. Also the order of the steps.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::{Service, VipKey, role, vip_first, vip_second},
    reason::Reason,
};

use crate::{
    back,
    bucket::Line,
    config, count,
    exit::{Send, Step, exit},
    maps::{ROLES, SERVICES, VIPS},
    packet::Window,
    parse::{self, Addresses},
    rewrite, select, send, trace,
};

/// The way of a packet. `FLOW_TABLE`: whether this object has one; without it the compiler leaves out every compare-exchange,
/// which kernels before 5.12 refuse even where it is never reached. `TRACED`: see [`trace`].
#[inline(always)]
pub fn handle<const FLOW_TABLE: bool, const TRACED: bool>(ctx: &XdpContext) -> Step<Send> {
    let window = Window::of(ctx);
    let addresses = parse::addresses(&window)?;
    let role = role(addresses.destination);
    let found = if role & role::VIP != 0 { find(&addresses) } else { None };
    let Some(id) = found else {
        return back::handle::<FLOW_TABLE, TRACED>(ctx, &window, addresses, role);
    };
    let Some(service) = SERVICES.get(id) else {
        return exit(Reason::Internal);
    };
    let found = Found { id, service };
    trace::service::<TRACED>(id);
    let packet = parse::whole(ctx, &window, addresses)?;
    let target = select::select::<FLOW_TABLE, TRACED>(&packet, found)?;
    trace::backend::<TRACED>(target.id);
    let way = send::way(&packet, target.backend.egress)?;
    rewrite::to_backend(ctx, &window, &packet, &target)?;
    count::forward(target.id, packet.frame_length, target.new_flow);
    Ok(way)
}

/// The service that a packet is for, with its number.
#[derive(Clone, Copy)]
pub struct Found {
    pub id: u32,
    pub service: &'static Service,
}

/// What an address can be: bits of [`role`].
#[inline(always)]
pub fn role(address: u32) -> u8 {
    let (line, byte) = role::place(address);
    ROLES.get(line).map_or(0, |line| line.0[byte % role::LINE_BYTES])
}

/// The number of the service that a packet is for.
#[inline(always)]
fn find(addresses: &Addresses) -> Option<u32> {
    lookup(addresses.destination, addresses.destination_port, addresses.protocol)
}

/// Whether some service has this address.
#[inline(always)]
pub fn has_address(address: u32) -> bool {
    lookup(address, 0, 0).is_some()
}

#[inline(always)]
fn lookup(address: u32, port: u16, protocol: u8) -> Option<u32> {
    let key = VipKey {
        address,
        port,
        protocol,
        reserved: 0,
    };
    let (key, mask) = (key.word(), config::vip_mask());
    in_bucket(vip_first(key, mask), key).or_else(|| in_bucket(vip_second(key, mask), key))
}

#[inline(always)]
fn in_bucket(bucket: u32, key: u64) -> Option<u32> {
    let entry = Line::of(&VIPS, bucket)?.find(key)?;
    Some(entry.value.load() as u32)
}
