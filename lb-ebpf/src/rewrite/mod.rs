//! Step 4: the packet as the next hop is to see it.
//!
//! # Layout
//!
//! - here: by mode, and new addresses and ports
//! - `v4`, `v6`: what that is in each family's header
//! - `tunnel`: outer headers

mod tunnel;
mod v4;
mod v6;

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::{Mode, protocol},
    checksum::{change16, fold, update},
    reason::Reason,
};

use crate::{
    across,
    exit::{Step, exit},
    family::Family,
    handed,
    packet::Window,
    parse::{Header, Packet},
    select::{Source, Target},
    wire::{Ethernet, Ports, Tcp, Udp},
};

/// New addresses and ports, as in the packet.
#[derive(Clone, Copy)]
pub struct Ends<F: Family> {
    pub source: F::Address,
    pub destination: F::Address,
    pub source_port: u16,
    pub destination_port: u16,
}

/// What becomes of a packet.
#[derive(Clone, Copy)]
pub struct Translation<F: Family> {
    pub ends: Ends<F>,
    /// What its new addresses add to an inverted checksum.
    pub change: u32,
}

/// A family's header, as this step writes it.
pub trait Rewrite: Header {
    /// One hop less to go.
    fn decrement_hops(window: &Window) -> Step<()>;

    /// A new source, of which the header's checksum does not know yet.
    fn set_source(window: &Window, source: Self::Address) -> Step<()>;

    /// A new destination; the change of an inverted checksum by all new addresses is `change`. `forwarded`: and one hop less to go.
    fn redirect(window: &Window, destination: Self::Address, change: u32, forwarded: bool) -> Step<()>;

    /// New addresses, which change an inverted checksum by `change`; `forwarded`: and one hop less to go.
    #[inline(always)]
    fn readdress(window: &Window, ends: &Ends<Self>, change: u32, forwarded: bool) -> Step<()> {
        Self::set_source(window, ends.source)?;
        Self::redirect(window, ends.destination, change, forwarded)
    }

    /// One's complement sum of the whole packet, not folded, without a look at its payload: each checksum in it says what the
    /// bytes that it covers add up to. `None` where bytes are covered by none. Wrong where a checksum is, so that a packet that was
    /// damaged stays one.
    fn sum(window: &Window, packet: &Packet<Self>) -> Step<Option<u32>>;
}

/// What TCP or UDP says its header and payload add up to, but for the addresses in the pseudo header; not folded. ICMP, which is sent
/// on where it is about a packet, has a checksum too: with a pseudo header in IPv6 only.
#[inline(always)]
fn transport_sum<F: Header>(window: &Window, packet: &Packet<F>, addresses: u32) -> Step<Option<u32>> {
    let length = (packet.total_length.wrapping_sub(packet.header_length as u32) as u16).to_be();
    match packet.protocol {
        protocol::UDP => {
            let Some(udp) = window.at::<Udp>(packet.l4()) else {
                return exit(Reason::ShortHeader);
            };
            // SAFETY: checked to lie in the frame.
            let udp = unsafe { &*udp };
            if udp.checksum == 0 || udp.length != length {
                return Ok(None);
            }
        }
        protocol::TCP => {}
        icmp if icmp == F::ICMP && !F::ICMP_HAS_PSEUDO_HEADER => return Ok(Some(0)),
        icmp if icmp == F::ICMP => {}
        _ => return Ok(None),
    }
    let pseudo = addresses + length as u32 + u16::from_ne_bytes([0, packet.protocol]) as u32;
    Ok(Some(!fold(pseudo) as u32))
}

/// Ends a packet that the link to its next hop does not take; of so many bytes, from the IP header on, it would take one.
#[inline(always)]
pub fn fits<F: Header>(packet: &Packet<F>, largest: u32) -> Step<()> {
    if packet.total_length > largest {
        handed::note_largest(largest);
        return exit(Reason::TooBig);
    }
    Ok(())
}

/// Towards a backend, by its mode. `PORTS`: see [`translate`].
#[inline(always)]
pub fn to_backend<F: Rewrite, const FLOW_TABLE: bool, const PORTS: bool>(
    ctx: &XdpContext,
    window: &Window,
    packet: &Packet<F>,
    target: &Target<F>,
) -> Step<()> {
    let backend = target.backend;
    match Mode::from_u8(backend.mode) {
        Some(Mode::Nat) => {
            let own = Source {
                address: packet.source,
                port: packet.source_port,
            };
            let translation = Translation {
                ends: ends(target, own),
                change: backend.outer_sum_or_change as u32,
            };
            translate::<F, PORTS, false>(window, packet, translation, true)?;
            ethernet(window, &backend.ethernet)
        }
        Some(Mode::Fullnat) if FLOW_TABLE => {
            let translation = Translation {
                ends: ends(target, target.source),
                change: F::change(packet.source, target.source.address) + backend.outer_sum_or_change as u32,
            };
            translate::<F, PORTS, true>(window, packet, translation, true)?;
            ethernet(window, &backend.ethernet)
        }
        None if FLOW_TABLE && across::is_there(backend) => across::to_backend(target),
        _ => as_it_is(ctx, window, packet, target),
    }
}

/// The same in the modes that change nothing behind the IP header.
#[inline(always)]
pub fn as_it_is<F: Rewrite>(ctx: &XdpContext, window: &Window, packet: &Packet<F>, target: &Target<F>) -> Step<()> {
    let backend = target.backend;
    match Mode::from_u8(backend.mode) {
        Some(Mode::Ipip) => {
            F::decrement_hops(window)?;
            tunnel::encapsulate::<F, false>(ctx, window, packet, target)
        }
        Some(Mode::Gue) => {
            F::decrement_hops(window)?;
            tunnel::encapsulate::<F, true>(ctx, window, packet, target)
        }
        Some(Mode::L2) => {
            F::decrement_hops(window)?;
            ethernet(window, &backend.ethernet)
        }
        // The daemon configures no such service.
        _ => exit(Reason::Internal),
    }
}

#[inline(always)]
fn ends<F: Family>(target: &Target<F>, source: Source<F>) -> Ends<F> {
    Ends {
        source: source.address,
        destination: F::of(&target.backend.address),
        source_port: source.port,
        destination_port: target.backend.port,
    }
}

/// Writes both MACs, word by word: copied as an array they would become a call of `memmove`.
#[inline(always)]
pub fn ethernet(window: &Window, macs: &[u32; 3]) -> Step<()> {
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return exit(Reason::Internal);
    };
    let (first, second, third) = (macs[0], macs[1], macs[2]);
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe {
        (*ethernet).macs[0] = first;
        (*ethernet).macs[1] = second;
        (*ethernet).macs[2] = third;
    }
    Ok(())
}

/// Gives a packet new addresses and ports, checksums by RFC 1624; `forwarded`: and one hop less to go. `PORTS`: whether it has any. A later
/// fragment has not, and the checksum over all of the datagram is in the first. `SOURCE`: whether its source is another one, or only its destination.
#[inline(always)]
pub fn translate<F: Rewrite, const PORTS: bool, const SOURCE: bool>(
    window: &Window,
    packet: &Packet<F>,
    Translation { ends, change }: Translation<F>,
    forwarded: bool,
) -> Step<()> {
    if SOURCE {
        F::set_source(window, ends.source)?;
    }
    F::redirect(window, ends.destination, change, forwarded)?;
    if !PORTS {
        return Ok(());
    }
    let Some(ports) = window.at::<Ports>(packet.l4()) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame; only this run has the frame.
    let ports = unsafe { &mut *ports };
    let mut all = change + change16(packet.destination_port, ends.destination_port);
    ports.destination = ends.destination_port;
    if SOURCE {
        all += change16(packet.source_port, ends.source_port);
        ports.source = ends.source_port;
    }
    transport_checksum(window, packet, all)?;
    Ok(())
}

/// Corrects the checksum of TCP or UDP, and gives it as it lies in the packet then.
#[inline(always)]
pub fn transport_checksum<F: Header>(window: &Window, packet: &Packet<F>, change: u32) -> Step<u16> {
    if packet.protocol == protocol::TCP {
        let Some(tcp) = window.at::<Tcp>(packet.l4()) else {
            return exit(Reason::ShortHeader);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        let checksum = unsafe { &mut (*tcp).checksum };
        *checksum = update(*checksum, change);
        Ok(*checksum)
    } else {
        let Some(udp) = window.at::<Udp>(packet.l4()) else {
            return exit(Reason::ShortHeader);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        let checksum = unsafe { &mut (*udp).checksum };
        // 0 says that there is none, and what would become 0 is sent as its equal, ffff (RFC 768).
        if *checksum != 0 {
            *checksum = not_zero(update(*checksum, change));
        }
        Ok(*checksum)
    }
}

/// 0 would say that there is no checksum, and ffff is its equal (RFC 768).
#[inline(always)]
pub fn not_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}
