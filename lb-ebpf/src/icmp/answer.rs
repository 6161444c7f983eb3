//! Errors that we send: to the sender of a packet that does not fit, or that came too far (RFC 792, RFC 1191; RFC 4443, sections 3.2 and
//! 3.3). They come from the address that it was for, by the way that it came in.
//!
//! An error quotes the beginning of its packet: a number of bytes out of a few, since what is summed has to have a length that the
//! verifier knows.

use aya_ebpf::{
    helpers::{bpf_csum_diff, bpf_ktime_get_ns, bpf_xdp_adjust_tail},
    programs::XdpContext,
};
use lb_common::{
    abi::Handed,
    checksum::{fold, halves},
    reason::Reason,
};

use super::{Control, reverse};
use crate::{
    exit::{Send, Step, exit},
    packet::{self, Window},
    parse::L3,
    wire::{self, Ethernet, Front, Icmp},
};

/// How many errors a CPU sends in a window of time, and how long that is, about a second: as a power of two of nanoseconds.
const PER_WINDOW: u32 = 1000;
const WINDOW_SHIFT: u32 = 30;

/// A packet that is larger than the next hop's link takes.
#[inline(always)]
pub fn too_big<F: Control>(ctx: &XdpContext, window: &Window, handed: &mut Handed) -> Step<Send> {
    let rest = F::mtu_word(handed.largest);
    let error = Error {
        kind: F::TOO_BIG,
        rest,
        refused: Reason::TooBig,
        answered: Reason::TooBigAnswered,
    };
    send::<F>(ctx, window, handed, error)
}

/// A packet that came too far.
#[inline(always)]
pub fn time_exceeded<F: Control>(ctx: &XdpContext, window: &Window, handed: &mut Handed) -> Step<Send> {
    let error = Error {
        kind: F::TIME_EXCEEDED,
        rest: 0,
        refused: Reason::TtlExpired,
        answered: Reason::TtlExpiredAnswered,
    };
    send::<F>(ctx, window, handed, error)
}

/// What is said.
struct Error {
    /// Type and code, as in the packet.
    kind: u16,
    /// The word behind the checksum.
    rest: u32,
    /// What the packet is counted under where nothing is said.
    refused: Reason,
    answered: Reason,
}

#[inline(always)]
fn send<F: Control>(ctx: &XdpContext, window: &Window, handed: &mut Handed, error: Error) -> Step<Send> {
    let Some(ends) = F::ends(window) else {
        return exit(error.refused);
    };
    // Nobody is told of what was sent to many (RFC 1122, section 3.2.2), nor who cannot be.
    if is_for_many(window) || !F::may_be_told(ends.source) {
        return exit(error.refused);
    }
    // The whole IP header, and what tells flows apart behind it.
    let least = ends.header_length as usize + 8;
    let there = ends.total_length as usize;
    if !is_within_limit(handed) {
        return exit(error.refused);
    }
    if there >= 512 {
        return quote::<F, 512>(ctx, window, &ends, error);
    }
    if there >= 128 && least <= 128 {
        return quote::<F, 128>(ctx, window, &ends, error);
    }
    // The longest IPv4 header.
    if there >= 68 && least <= 68 {
        return quote::<F, 68>(ctx, window, &ends, error);
    }
    if there >= 48 && least <= 48 {
        return quote::<F, 48>(ctx, window, &ends, error);
    }
    if there >= 28 && least <= 28 {
        return quote::<F, 28>(ctx, window, &ends, error);
    }
    exit(error.refused)
}

/// Where a packet comes from and goes to.
pub struct PacketEnds<F: Control> {
    pub source: F::Address,
    pub destination: F::Address,
    /// Bytes of the IP header, options included; of IPv6 without extension headers.
    pub header_length: u8,
    /// Bytes from the IP header on.
    pub total_length: u16,
}

/// Whether its MAC is that of a group.
#[inline(always)]
fn is_for_many(window: &Window) -> bool {
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return true;
    };
    // SAFETY: checked to lie in the frame.
    let [first, ..] = unsafe { (*ethernet).macs[0] }.to_ne_bytes();
    first & 1 != 0
}

/// Takes one of this CPU's errors, if there is one left.
#[inline(always)]
fn is_within_limit(handed: &mut Handed) -> bool {
    // SAFETY: only reads a clock.
    let window = (unsafe { bpf_ktime_get_ns() } >> WINDOW_SHIFT) as u32;
    if handed.window != window {
        handed.window = window;
        handed.sent = 0;
    }
    handed.sent += 1;
    handed.sent <= PER_WINDOW
}

/// Cuts the packet to `QUOTE` bytes and puts an error in front.
#[inline(always)]
fn quote<F: Control, const QUOTE: usize>(
    ctx: &XdpContext,
    window: &Window,
    ends: &PacketEnds<F>,
    error: Error,
) -> Step<Send> {
    let frame = window.length() as i32;
    // SAFETY: the context is the one the kernel gave; no address taken before is used again.
    let cut = unsafe { bpf_xdp_adjust_tail(ctx.ctx, (L3 + QUOTE) as i32 - frame) };
    if cut != 0 {
        return exit(error.refused);
    }
    let added = F::HEADER + wire::ICMP_BYTES;
    let old = Window::of(ctx);
    let Some(ethernet) = old.at::<Ethernet>(0) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame.
    let (macs, ethertype) = unsafe { ((*ethernet).macs, (*ethernet).ethertype) };
    let Some(window) = packet::resize_front(ctx, -(added as i32)) else {
        return exit(error.refused);
    };
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe {
        (*ethernet).macs = macs;
        (*ethernet).ethertype = ethertype;
    }
    reverse(&window)?;
    let payload = (wire::ICMP_BYTES + QUOTE) as u16;
    let Some(pseudo) = F::write_error(&window, ends.destination, ends.source, payload) else {
        return exit(Reason::Internal);
    };
    let Some(quoted) = window.at::<Front<QUOTE>>(L3 + added) else {
        return exit(Reason::Internal);
    };
    // SAFETY: that many bytes were checked to lie in the frame.
    let sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, quoted.cast(), QUOTE as u32, 0) } as u32;
    let Some(icmp) = window.at::<Icmp>(L3 + F::HEADER) else {
        return exit(Reason::Internal);
    };
    let all = halves(sum) + error.kind as u32 + halves(error.rest) + pseudo;
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe {
        (*icmp).kind = error.kind;
        (*icmp).checksum = !fold(all);
        (*icmp).rest = error.rest;
    }
    exit(error.answered)
}
