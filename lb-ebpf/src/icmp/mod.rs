//! ICMP, in a program of its own: what comes to a service's address, and what its clients are told. Protocols other than TCP and UDP are
//! looked at here, too.
//!
//! The balancer hands over, by a tail call, packets that it would otherwise pass or drop, so nothing here costs a packet that is
//! forwarded.
//!
//! # Layout
//!
//! - here: what is handed over ([`crate::handed`]), and to whom
//! - [`echo`]: requests that ask whether a service's address is there
//! - [`about`]: errors about a packet of a backend's, for that backend; [`client`]: about a client's, for that client; [`quoted`]: the packet
//!   that they are about
//! - [`answer`]: errors that we send
//! - [`other`]: packets that are neither ICMP nor TCP nor UDP
//! - `v4`, `v6`: how each family writes all that

mod about;
mod answer;
mod client;
mod echo;
mod other;
mod quoted;
mod v4;
mod v6;

use aya_ebpf::programs::XdpContext;
use lb_common::{abi::Handed, reason::Reason};

use answer::PacketEnds;
use quoted::Quoted;
pub use quoted::correct_checksum as correct_quoted_checksum;

use crate::{
    exit::{self, Exit, Send, Step, exit},
    family::{Family, V4, V6},
    handed,
    packet::Window,
    parse::{Addresses, Header, Packet},
    rewrite::Rewrite,
    service::{self, Balanced},
    trace,
    vlan::Untagged,
    wire::{self, Ethernet, Icmp},
};

/// Why a packet that is handed over would have been passed or dropped; what else there is, came too far.
const NOT_TCP_UDP: u32 = Reason::NotTcpUdp as u32;
const TOO_BIG: u32 = Reason::TooBig as u32;

/// A family's part in all of this.
pub trait Control: Rewrite {
    /// The first word of an echo request's ICMP header, type and code, and of its reply's; as in the packet.
    const ECHO: (u16, u16);
    /// Bytes of the IP header that errors are sent with.
    const HEADER: usize;
    /// Types of the errors *too big* and *time exceeded*, as [`Control::ECHO`].
    const TOO_BIG: u16;
    const TIME_EXCEEDED: u16;

    /// The ICMP packet that this is, if it is whole and no fragment.
    fn control(window: &Window) -> Option<ControlPacket<Self>>;
    /// Whether this type and code say what became of a packet.
    fn is_error(kind: u16) -> bool;
    /// Answers go where the packet came from.
    fn turn_round(window: &Window, packet: &ControlPacket<Self>) -> Step<()>;
    /// The packet that an error quotes at `offset`.
    fn quoted(window: &Window, offset: usize) -> Option<Quoted<Self>>;
    /// New addresses in the header quoted at `offset`, which change an inverted checksum by `change`; what that adds to the sum of its bytes.
    fn readdress_quoted(
        window: &Window,
        offset: usize,
        source: Self::Address,
        destination: Self::Address,
        change: u32,
    ) -> Step<u32>;
    /// Where a packet that is not forwarded comes from and goes to.
    fn ends(window: &Window) -> Option<PacketEnds<Self>>;
    /// Writes the IP header of an error with so many bytes behind it, and says what its ICMP checksum takes in of it.
    fn write_error(window: &Window, from: Self::Address, to: Self::Address, payload: u16) -> Option<u32>;
    /// The word behind the checksum of *too big*: what would have fit.
    fn mtu_word(largest: u32) -> u32;
    /// Whether an error may be sent to such a source (RFC 1122, section 3.2.2; RFC 4443, section 2.4).
    fn may_be_told(source: Self::Address) -> bool;
}

/// An ICMP packet.
#[derive(Clone, Copy)]
pub struct ControlPacket<F: Family> {
    pub source: F::Address,
    pub destination: F::Address,
    /// Bytes of the IP header.
    pub header_length: u8,
    pub traffic_class: u8,
    pub hops_left: u8,
    /// Bytes from the IP header on.
    pub total_length: u32,
    /// Type and code, as in the packet.
    pub kind: u16,
    /// Its ICMP header, good until the frame is resized. Looked for once: of a second look at the same place the compiler would leave
    /// out the check that the verifier wants to see.
    pub icmp: *mut Icmp,
}

impl<F: Header> ControlPacket<F> {
    /// As a packet of the flow that it is about, which has these addresses.
    #[inline(always)]
    fn packet(&self, ctx: &XdpContext, window: &Window, addresses: Addresses<F>) -> Step<Packet<F>> {
        if self.hops_left <= 1 {
            return exit(Reason::TtlExpired);
        }
        Ok(Packet {
            addresses,
            total_length: self.total_length,
            traffic_class: self.traffic_class,
            tcp_flags: 0,
            frame_length: window.length(),
            // SAFETY: the context is the one the kernel gave.
            ingress: unsafe { (*ctx.ctx).ingress_ifindex },
        })
    }
}

/// Type and code, as in the packet.
const fn kind(kind: u8, code: u8) -> u16 {
    u16::from_ne_bytes([kind, code])
}

/// Swaps the MACs.
#[inline(always)]
fn reverse(window: &Window) -> Step<()> {
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame; only this run has the frame. In memory order the words are `dddd ddss ssss`.
    unsafe {
        let macs = &mut (*ethernet).macs;
        let (first, second, third) = (macs[0], macs[1], macs[2]);
        macs[0] = u32::from_le(second) >> 16 | u32::from_le(third) << 16;
        macs[1] = u32::from_le(third) >> 16 | u32::from_le(first) << 16;
        macs[2] = u32::from_le(first) >> 16 | u32::from_le(second) << 16;
        macs[0] = macs[0].to_le();
        macs[1] = macs[1].to_le();
        macs[2] = macs[2].to_le();
    }
    Ok(())
}

/// What becomes of a packet that was handed over.
#[inline(always)]
pub fn handle<const FLOW_TABLE: bool, const TRACED: bool>(ctx: &XdpContext) -> u32 {
    let Some((frame, handed)) = handed::take(ctx) else {
        return exit::end(Reason::Internal);
    };
    trace::no_backend::<TRACED>();
    let outcome = match frame.ethertype {
        wire::ETHERTYPE_IPV4 => of::<V4, FLOW_TABLE, TRACED>(ctx, &frame, handed),
        wire::ETHERTYPE_IPV6 => of::<V6, FLOW_TABLE, TRACED>(ctx, &frame, handed),
        _ => exit(Reason::NotIp),
    };
    if FLOW_TABLE && let Err(Exit(reason)) = outcome {
        handed::to_across(ctx, frame.tagged, reason);
    }
    exit::last_verdict(ctx, frame.tagged, outcome)
}

#[inline(always)]
fn of<F: Balanced + Control, const FLOW_TABLE: bool, const TRACED: bool>(
    ctx: &XdpContext,
    frame: &Untagged,
    handed: &mut Handed,
) -> Step<Send> {
    let window = &frame.window;
    let mut reason = handed.reason;
    if reason == NOT_TCP_UDP {
        if let Some(packet) = F::control(window) {
            return control::<F, FLOW_TABLE, TRACED>(ctx, frame, &packet);
        }
        match other::deliver::<F, TRACED>(ctx, frame) {
            Err(Exit(why @ (Reason::TooBig | Reason::TtlExpired))) => reason = why as u32,
            done => return done,
        }
        trace::no_backend::<TRACED>();
    }
    match reason {
        TOO_BIG => answer::too_big::<F>(ctx, window, handed),
        _ => answer::time_exceeded::<F>(ctx, window, handed),
    }
}

#[inline(always)]
fn control<F: Balanced + Control, const FLOW_TABLE: bool, const TRACED: bool>(
    ctx: &XdpContext,
    frame: &Untagged,
    packet: &ControlPacket<F>,
) -> Step<Send> {
    if packet.kind == F::ECHO.0 {
        echo::reply::<F>(&frame.window, packet)
    } else if F::is_error(packet.kind) {
        // An error about a service's packet, or about a client's.
        if service::has_address::<F>(packet.destination) {
            about::deliver::<F, FLOW_TABLE, TRACED>(ctx, frame, packet)
        } else {
            client::deliver::<F, FLOW_TABLE, TRACED>(ctx, frame, packet)
        }
    } else {
        exit(Reason::NotTcpUdp)
    }
}
