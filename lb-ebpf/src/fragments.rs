//! Fragments (RFC 791, RFC 8200): later ones have no ports, and follow the first of their datagram.
//!
//! The first takes the way of a whole packet, and what was decided about it is noted. Later ones are handed over, by a tail call, to a
//! program of their own, which finds that again: [`handle`]. A later one that comes before its first, or too long after it, takes the end that
//! the balancer had for it. What is noted lies in a map of its own, which gives up what was used least lately: many fragments can make others
//! late, and touch no flow.

use core::intrinsics::cold_path;

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::{Backend, FRAGMENT_SECONDS, FragmentKey, FragmentWay, backend_flags, fragment_direction},
    reason::Reason,
};

use crate::{
    across, back, clock, count,
    exit::{self, Exit, Send, Step, exit},
    family::{V4, V6},
    handed,
    maps::{BACKENDS, FRAGMENTS, SERVICES},
    packet::Window,
    parse::{self, Packet},
    rewrite::{self, Ends, Translation},
    select::{Source, Target},
    send,
    service::Balanced,
    trace,
    vlan::{self, Untagged},
    wire,
};

/// Notes that later fragments of this one's datagram go to a backend, too.
#[inline(always)]
pub fn follow_to_backend<F: Balanced, const FLOW_TABLE: bool>(window: &Window, packet: &Packet<F>, target: &Target<F>) {
    note_first(window, packet, || FragmentWay {
        // Without `fullnat` nobody needs it, and the constant that is there would be written by a call of `memset`.
        address: F::any(if FLOW_TABLE {
            target.source.address
        } else {
            packet.source
        }),
        seen: clock::seconds(),
        backend: target.id,
        hash: target.hash,
        service: target.backend.service,
        direction: fragment_direction::FORWARD,
        reserved: 0,
    });
}

/// Notes that later fragments of this one's datagram go back to a client, too.
#[inline(always)]
pub fn follow_back<F: Balanced>(window: &Window, packet: &Packet<F>, client: F::Address, backend: u32, service: u32) {
    note_first(window, packet, || FragmentWay {
        address: F::any(client),
        seen: clock::seconds(),
        backend,
        hash: 0,
        service: service as u16,
        direction: fragment_direction::BACK,
        reserved: 0,
    });
}

/// Notes the way of a first fragment. Where it cannot be noted, that one goes its way all the same.
#[inline(always)]
pub fn note_first<F: Balanced>(window: &Window, packet: &Packet<F>, way: impl FnOnce() -> FragmentWay) {
    if !F::is_first_fragment(window, packet) {
        return;
    }
    cold_path();
    if let Ok(key) = F::fragment_key(window, packet) {
        let _ = FRAGMENTS.insert(key, way(), 0);
    }
}

/// What was noted of the first fragment, if it was not too long ago.
#[inline(always)]
fn noted(key: &FragmentKey) -> Option<&'static FragmentWay> {
    // SAFETY: whoever replaces it, replaces it by what another first fragment had decided; nothing in it is trusted to belong together.
    let way = unsafe { FRAGMENTS.get(key) }?;
    (clock::seconds().wrapping_sub(way.seen) <= FRAGMENT_SECONDS).then_some(way)
}

/// What becomes of a later fragment that was handed over.
#[inline(always)]
pub fn handle<const FLOW_TABLE: bool, const TRACED: bool>(ctx: &XdpContext) -> u32 {
    let Some((frame, handed)) = handed::take(ctx) else {
        return exit::end(Reason::Internal);
    };
    let outcome = match frame.ethertype {
        wire::ETHERTYPE_IPV4 => follow::<V4, FLOW_TABLE, TRACED>(ctx, &frame, handed.reason),
        wire::ETHERTYPE_IPV6 => follow::<V6, FLOW_TABLE, TRACED>(ctx, &frame, handed.reason),
        _ => exit(Reason::NotIp),
    };
    if let Err(Exit(reason)) = outcome {
        handed::to_icmp(ctx, frame.tagged, reason);
        handed::to_across(ctx, frame.tagged, reason);
    }
    exit::last_verdict(ctx, frame.tagged, outcome)
}

/// `reason`: what it would be passed or dropped for.
#[inline(always)]
fn follow<F: Balanced, const FLOW_TABLE: bool, const TRACED: bool>(
    ctx: &XdpContext,
    frame: &Untagged,
    reason: u32,
) -> Step<Send> {
    let window = &frame.window;
    let addresses = F::without_ports(window)?;
    let Some(way) = noted(&F::fragment_key(window, &addresses)?) else {
        return exit(if reason == Reason::Fragment as u32 {
            Reason::Fragment
        } else {
            Reason::OtherFragment
        });
    };
    let packet = parse::bare(ctx, window, addresses)?;
    if way.direction == fragment_direction::BACK {
        if FLOW_TABLE && across::is_there(backend(way)?) {
            return across::from_backend(way.backend, way.hash);
        }
        to_client::<F, TRACED>(ctx, frame, &packet, way)
    } else {
        to_backend::<F, FLOW_TABLE, TRACED>(ctx, frame, &packet, way)
    }
}

#[inline(always)]
fn to_backend<F: Balanced, const FLOW_TABLE: bool, const TRACED: bool>(
    ctx: &XdpContext,
    frame: &Untagged,
    packet: &Packet<F>,
    way: &FragmentWay,
) -> Step<Send> {
    let id = way.backend;
    let backend = backend(way)?;
    if backend.flags & backend_flags::ALIVE == 0 {
        return exit(Reason::BackendGone);
    }
    trace::service::<TRACED>(way.service as u32);
    trace::backend::<TRACED>(id);
    let target = Target {
        id,
        backend,
        source: Source {
            address: F::of(&way.address),
            port: 0,
        },
        new_flow: false,
        hash: way.hash,
    };
    let out = send::way(packet.ingress, backend.egress)?;
    rewrite::fits(packet, backend.largest as u32)?;
    rewrite::to_backend::<F, FLOW_TABLE, false>(ctx, &frame.window, packet, &target)?;
    if backend.flags & backend_flags::TAGGED != 0 {
        vlan::to_backend(ctx, frame.tagged, id)?;
    }
    count::forward(id, packet.frame_length, false);
    Ok(out)
}

#[inline(always)]
fn to_client<F: Balanced, const TRACED: bool>(
    ctx: &XdpContext,
    frame: &Untagged,
    packet: &Packet<F>,
    way: &FragmentWay,
) -> Step<Send> {
    backend(way)?;
    let Some(service) = SERVICES.get(way.service as u32) else {
        return exit(Reason::Internal);
    };
    trace::back::<TRACED>(way.service as u32, way.backend);
    let ends = Ends {
        source: F::of(&service.address),
        destination: F::of(&way.address),
        source_port: 0,
        destination_port: 0,
    };
    let translation = Translation {
        ends,
        change: F::change(packet.source, ends.source) + F::change(packet.destination, ends.destination),
    };
    let hop = F::route(ends.destination);
    back::fits(packet, hop)?;
    back::deliver::<F, false>(ctx, frame, packet, translation, service, way.backend, hop)
}

/// The backend that the first fragment went to, or came from, unless its number is another one's by now.
#[inline(always)]
fn backend(way: &FragmentWay) -> Step<&'static Backend> {
    match BACKENDS.get(way.backend) {
        Some(backend) if backend.service == way.service => Ok(backend),
        Some(_) => exit(Reason::BackendGone),
        None => exit(Reason::Internal),
    }
}
