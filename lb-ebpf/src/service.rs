//! Step 2: whose packet is it. Also the order of the steps, and the outcome.

use core::intrinsics::cold_path;

use aya_ebpf::{btf_maps::lpm_trie::Key, programs::XdpContext};
use lb_common::{
    abi::{Address, PrefixKey, RangeKey, Service, VipKey, backend_flags, protocol, role, vip_first, vip_second},
    reason::Reason,
};

use crate::{
    back,
    bucket::Line,
    config, count,
    exit::{self, Exit, Send, Step, exit},
    family::{Family, V4, V6},
    flow_table::Keyed,
    fragments,
    maps::{PORT_RANGES, PREFIXES, ROLES, SERVICES, VIPS},
    mss,
    parse::{self, Addresses},
    rewrite::{self, Rewrite},
    select, send, trace,
    vlan::{self, Untagged},
    wire,
};

/// A family with all that the steps need of it.
pub trait Balanced: Keyed + Rewrite {}
impl<F: Keyed + Rewrite> Balanced for F {}

/// The way of a packet. `FLOW_TABLE`: whether this object has one; without it the compiler leaves out every compare-exchange,
/// which kernels before 5.12 refuse even where it is never reached. `TRACED`: see [`trace`].
#[inline(always)]
pub fn handle<const FLOW_TABLE: bool, const TRACED: bool>(ctx: &XdpContext) -> u32 {
    let packet = match vlan::arrive(ctx) {
        Ok(packet) => packet,
        Err(Exit(reason)) => return exit::end(reason),
    };
    let outcome = if packet.ethertype == wire::ETHERTYPE_IPV4 {
        balance::<V4, FLOW_TABLE, TRACED>(ctx, &packet)
    } else {
        balance::<V6, FLOW_TABLE, TRACED>(ctx, &packet)
    };
    exit::verdict(ctx, packet.tagged, outcome)
}

#[inline(always)]
fn balance<F: Balanced, const FLOW_TABLE: bool, const TRACED: bool>(ctx: &XdpContext, frame: &Untagged) -> Step<Send> {
    let window = &frame.window;
    let addresses = F::addresses(window)?;
    let role = role::<F>(addresses.destination);
    let found = if role & role::VIP != 0 { find(&addresses)? } else { None };
    let Some(found) = found else {
        return back::handle::<F, FLOW_TABLE, TRACED>(ctx, frame, addresses, role);
    };
    trace::service::<TRACED>(found.id);
    let packet = parse::whole(ctx, window, addresses)?;
    let target = select::select::<F, FLOW_TABLE, TRACED>(&packet, found)?;
    trace::backend::<TRACED>(target.id);
    let way = send::way(packet.ingress, target.backend.egress)?;
    rewrite::fits(&packet, target.backend.largest as u32)?;
    fragments::follow_to_backend::<F, FLOW_TABLE>(window, &packet, &target);
    mss::clamp(window, &packet, found.service)?;
    rewrite::to_backend::<F, FLOW_TABLE, true>(ctx, window, &packet, &target)?;
    if target.backend.flags & backend_flags::TAGGED != 0 {
        vlan::to_backend(ctx, frame.tagged, target.id)?;
    }
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
pub fn role<F: Family>(address: F::Address) -> u8 {
    let (line, byte) = F::role_place(address);
    ROLES.get(line).map_or(0, |line| line.0[byte % role::LINE_BYTES])
}

/// The service that a packet is for.
#[inline(always)]
pub fn find<F: Balanced>(addresses: &Addresses<F>) -> Step<Option<Found>> {
    let key = F::vip_key(addresses.destination, addresses.destination_port, addresses.protocol);
    // One way on from here, whatever it was found by: the verifier would look at all of it for each.
    let Some(id) = look_up(key).or_else(|| by_range(addresses)) else {
        return Ok(None);
    };
    let Some(service) = SERVICES.get(id) else {
        return exit(Reason::Internal);
    };
    let is_it = F::KEYS_ARE_EXACT
        || F::of(&service.address) == addresses.destination
            && service.port == addresses.destination_port
            && service.protocol == addresses.protocol
        || is_of_several(service);
    Ok(is_it.then_some(Found { id, service }))
}

/// Whether a service is not found by one key alone, and so has all of the packet's in common with it that it has to.
#[inline(always)]
fn is_of_several(service: &Service) -> bool {
    cold_path();
    service.port != service.last_port || service.prefix_length < 128 || service.protocol == protocol::ANY
}

/// The number of the service with the smallest range of ports that a packet's is in: of those of its address, then of the longest prefix
/// that it is in.
#[inline(always)]
fn by_range<F: Balanced>(packet: &Addresses<F>) -> Option<u32> {
    cold_path();
    let own = F::any(packet.destination);
    in_ranges(own, packet).or_else(|| in_ranges(Address::group(group::<F>(packet.destination)?), packet))
}

/// By its protocol and port, or of the service for every protocol.
#[inline(always)]
fn in_ranges<F: Balanced>(address: Address, packet: &Addresses<F>) -> Option<u32> {
    let of = |protocol| {
        let key = RangeKey::new(address, protocol, packet.destination_port);
        PORT_RANGES.get(&Key::new(RangeKey::BITS, key)).copied()
    };
    of(packet.protocol).or_else(|| of(protocol::ANY))
}

/// The group of the longest prefix that an address is in.
#[inline(always)]
fn group<F: Family>(address: F::Address) -> Option<u32> {
    let key = PrefixKey::new(F::VERSION, F::any(address));
    PREFIXES.get(&Key::new(PrefixKey::BITS, key)).copied()
}

/// Whether some service has this address, or a prefix that it is in.
#[inline(always)]
pub fn has_address<F: Family>(address: F::Address) -> bool {
    look_up(F::marker(address)).is_some() || group::<F>(address).is_some()
}

#[inline(always)]
fn look_up(key: VipKey) -> Option<u32> {
    let (key, mask) = (key.0, config::vip_mask());
    in_bucket(vip_first(key, mask), key).or_else(|| in_bucket(vip_second(key, mask), key))
}

#[inline(always)]
fn in_bucket(bucket: u32, key: u64) -> Option<u32> {
    let entry = Line::of(&VIPS, bucket)?.find(key)?;
    Some(entry.value.load() as u32)
}
