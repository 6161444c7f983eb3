//! The packet that an error quotes: whose it is, and how it looks to whoever sent it.

use lb_common::{
    abi::protocol,
    checksum::{change16, update},
    reason::Reason,
};

use super::{Control, ControlPacket};
use crate::{
    exit::{Step, exit},
    family::Family,
    packet::Window,
    parse::{Addresses, L3},
    rewrite::Ends,
    wire::{Front, ICMP_BYTES, Ports, TCP_CHECKSUM, UDP_CHECKSUM},
};

/// A TCP or UDP packet as it is quoted, by whoever got it from where the error goes to.
#[derive(Clone, Copy)]
pub struct Quoted<F: Family> {
    pub source: F::Address,
    pub destination: F::Address,
    pub source_port: u16,
    pub destination_port: u16,
    pub protocol: u8,
}

/// Where the quoted packet begins in the frame.
#[inline(always)]
fn offset<F: Family>(control: &ControlPacket<F>) -> usize {
    L3 + control.header_length as usize + ICMP_BYTES
}

/// Whether the error goes as far as this place in the frame: what comes behind it, fills the frame up.
#[inline(always)]
fn holds<F: Family>(control: &ControlPacket<F>, place: usize) -> bool {
    place <= end(control)
}

/// Where the error ends in the frame.
#[inline(always)]
fn end<F: Family>(control: &ControlPacket<F>) -> usize {
    L3 + control.total_length as usize
}

impl<F: Control> Quoted<F> {
    /// The packet that an error quotes, if it tells whose it is.
    #[inline(always)]
    pub fn of(window: &Window, control: &ControlPacket<F>) -> Step<Self> {
        let Some(quoted) = F::quoted(window, offset(control)) else {
            return exit(Reason::NotTcpUdp);
        };
        let is_quoted = holds(control, offset(control) + F::HEADER + size_of::<Ports>());
        if quoted.source != control.destination || quoted.protocol == F::ICMP || !is_quoted {
            return exit(Reason::NotTcpUdp);
        }
        let has_ports = matches!(quoted.protocol, protocol::TCP | protocol::UDP | protocol::SCTP);
        Ok(if has_ports { quoted } else { quoted.without_ports() })
    }

    /// Of a protocol that has none.
    #[inline(always)]
    fn without_ports(self) -> Self {
        Self {
            source_port: 0,
            destination_port: 0,
            ..self
        }
    }

    /// With the ports at `offset`.
    #[inline(always)]
    pub fn with_ports_at(
        window: &Window,
        offset: usize,
        source: F::Address,
        destination: F::Address,
        protocol: u8,
    ) -> Option<Self> {
        let ports = window.at::<Ports>(offset)?;
        // SAFETY: checked to lie in the frame.
        let ports = unsafe { &*ports };
        Some(Self {
            source,
            destination,
            source_port: ports.source,
            destination_port: ports.destination,
            protocol,
        })
    }

    /// Addresses and ports of a packet that answers the quoted one, as the error answers it.
    #[inline(always)]
    pub fn turned_round(&self, control: &ControlPacket<F>) -> Addresses<F> {
        Addresses {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol: self.protocol,
            header_length: control.header_length,
        }
    }
}

/// Gives an error new addresses, source and destination, and the packet that it quotes new `inside` ones, as if nobody had translated
/// that; `forwarded`: and one hop less to go.
#[inline(always)]
pub fn translate<F: Control>(
    window: &Window,
    control: &ControlPacket<F>,
    quoted: &Quoted<F>,
    (source, destination): (F::Address, F::Address),
    inside: &Ends<F>,
    forwarded: bool,
) -> Step<()> {
    let offset = offset(control);
    let addresses = F::change(quoted.source, inside.source) + F::change(quoted.destination, inside.destination);
    let ports =
        change16(quoted.source_port, inside.source_port) + change16(quoted.destination_port, inside.destination_port);
    let Some(there) = window.at::<Ports>(offset + F::HEADER) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe {
        (*there).source = inside.source_port;
        (*there).destination = inside.destination_port;
    }
    let checksum = correct_checksum(
        window,
        end(control),
        quoted.protocol,
        offset + F::HEADER,
        addresses + ports,
    );
    let in_header = F::readdress_quoted(window, offset, inside.source, inside.destination, addresses)?;
    let outside = F::change(control.source, source) + F::change(control.destination, destination);
    let all = ports + checksum + in_header + if F::ICMP_HAS_PSEUDO_HEADER { outside } else { 0 };
    let icmp = control.icmp;
    // SAFETY: checked to lie in the frame, which has not been resized since; only this run has the frame.
    unsafe { (*icmp).checksum = update((*icmp).checksum, all) };
    let ends = Ends {
        source,
        destination,
        source_port: 0,
        destination_port: 0,
    };
    F::readdress(window, &ends, outside, forwarded)
}

/// Corrects the checksum of the TCP or UDP header quoted at `offset` where the quotation, which has an `end`, goes that far; what that adds to
/// the sum of the bytes.
#[inline(always)]
pub fn correct_checksum(window: &Window, end: usize, protocol: u8, offset: usize, change: u32) -> u32 {
    let is_tcp = protocol == protocol::TCP;
    let at = if is_tcp { TCP_CHECKSUM } else { UDP_CHECKSUM };
    if offset + at + size_of::<u16>() > end {
        return 0;
    }
    // All up to it is checked, and each in a way of its own: the compiler would otherwise check one place and use another.
    let checksum: Option<*mut u16> = if is_tcp {
        let header = window.at::<Front<{ TCP_CHECKSUM + 2 }>>(offset);
        header.map(|header| header.cast::<u8>().wrapping_add(TCP_CHECKSUM).cast())
    } else {
        let header = window.at::<Front<{ UDP_CHECKSUM + 2 }>>(offset);
        header.map(|header| header.cast::<u8>().wrapping_add(UDP_CHECKSUM).cast())
    };
    let Some(checksum) = checksum else { return 0 };
    // SAFETY: checked to lie in the frame; only this run has the frame.
    let checksum = unsafe { &mut *checksum };
    let old = *checksum;
    if !is_tcp && old == 0 {
        return 0;
    }
    let new = match update(old, change) {
        // That would say that there is none (RFC 768).
        0 if !is_tcp => 0xffff,
        new => new,
    };
    *checksum = new;
    change16(old, new)
}
