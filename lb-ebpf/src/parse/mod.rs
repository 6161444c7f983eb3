//! Step 1: which packet is this. Facts are taken by value here, before anything moves the frame.
//!
//! [`addresses`] reads what says whose a packet is; [`whole`] reads and checks the rest of one that is ours.

mod v4;
mod v6;

use core::ops::Deref;

use aya_ebpf::programs::XdpContext;
use lb_common::{abi::protocol, reason::Reason};

use crate::{
    exit::{Step, exit},
    family::Family,
    packet::Window,
    service,
    wire::{self, Ports, Tcp, Udp, tcp_flags},
};

/// Offset of the IP header in a frame.
pub const L3: usize = wire::ETHERNET_BYTES;

/// Where a packet with TCP or UDP comes from and goes to, as in the packet.
#[derive(Clone, Copy)]
pub struct Addresses<F: Header> {
    pub source: F::Address,
    pub destination: F::Address,
    pub source_port: u16,
    pub destination_port: u16,
    pub protocol: u8,
    /// Bytes of the IP header with its options or extension headers, a multiple of 4. A byte, so that the verifier knows its
    /// bound again after it was spilled to the stack.
    pub header_length: u8,
    pub kept: F::Kept,
}

/// A packet that is ours. Its rest is read only now: what is read before it is known whose the packet is waits on the stack.
#[derive(Clone, Copy)]
pub struct Packet<F: Header> {
    pub addresses: Addresses<F>,
    /// Bytes from the IP header on, as the header says.
    pub total_length: u32,
    /// IPv4's type of service, IPv6's traffic class.
    pub traffic_class: u8,
    /// 0 unless TCP.
    pub tcp_flags: u8,
    /// Bytes of the frame.
    pub frame_length: usize,
    /// Index of the interface that it came in by.
    pub ingress: u32,
}

/// A packet whose protocol is neither TCP nor UDP.
pub struct Other<F: Family> {
    pub source: F::Address,
    pub destination: F::Address,
    pub protocol: u8,
    /// As [`Addresses::header_length`].
    pub header_length: u8,
    pub is_fragment: bool,
}

/// What the IP header says of a packet that is ours.
pub struct Length {
    pub total: u32,
    pub traffic_class: u8,
    /// Time to live, or hop limit.
    pub hops_left: u8,
}

/// A family's header, as this step reads it.
pub trait Header: Family {
    /// What [`Header::addresses`] sees and [`Header::length`] needs.
    type Kept: Copy;
    /// What it is of a packet that is no fragment.
    const WHOLE: Self::Kept;

    /// Reads addresses and ports. What has none to read is somebody else's, unless it goes to an address that a service has.
    fn addresses(window: &Window) -> Step<Addresses<Self>>;

    /// Reads a packet for which [`Header::addresses`] gives [`Reason::NotTcpUdp`].
    fn other(window: &Window) -> Option<Other<Self>>;

    /// Reads what [`Header::addresses`] has left. A fragment ends here.
    fn length(window: &Window, addresses: &Addresses<Self>) -> Step<Length>;
}

impl<F: Header> Deref for Packet<F> {
    type Target = Addresses<F>;

    #[inline(always)]
    fn deref(&self) -> &Addresses<F> {
        &self.addresses
    }
}

impl<F: Header> Addresses<F> {
    /// Offset of the TCP or UDP header in the frame.
    #[inline(always)]
    pub fn l4(&self) -> usize {
        L3 + self.header_length as usize
    }
}

impl<F: Header> Packet<F> {
    /// The first packet of a connection.
    #[inline(always)]
    pub fn is_syn(&self) -> bool {
        self.tcp_flags & (tcp_flags::SYN | tcp_flags::ACK | tcp_flags::RST | tcp_flags::FIN) == tcp_flags::SYN
    }
}

/// Ends a packet whose ports cannot be read: ours by its address, or somebody else's.
#[inline(always)]
pub fn unreadable<F: Family, T>(destination: F::Address, ours: Reason, other: Reason) -> Step<T> {
    exit(if service::has_address::<F>(destination) {
        ours
    } else {
        other
    })
}

/// Reads the rest of a packet that is ours, and checks it.
#[inline(always)]
pub fn whole<F: Header>(ctx: &XdpContext, window: &Window, addresses: Addresses<F>) -> Step<Packet<F>> {
    let mut packet = of_any_protocol(ctx, window, addresses)?;
    if addresses.protocol == protocol::TCP {
        packet.tcp_flags = tcp(window, &addresses, packet.total_length)?;
    } else {
        udp(window, &addresses, packet.total_length)?;
    }
    Ok(packet)
}

/// The same as far as the IP header goes.
#[inline(always)]
pub fn of_any_protocol<F: Header>(ctx: &XdpContext, window: &Window, addresses: Addresses<F>) -> Step<Packet<F>> {
    let length = F::length(window, &addresses)?;
    let frame_length = window.length();
    if length.total as usize + L3 > frame_length {
        return exit(Reason::BadLength);
    }
    if length.hops_left <= 1 {
        return exit(Reason::TtlExpired);
    }
    Ok(Packet {
        addresses,
        total_length: length.total,
        traffic_class: length.traffic_class,
        tcp_flags: 0,
        frame_length,
        // SAFETY: the context is the one the kernel gave.
        ingress: unsafe { (*ctx.ctx).ingress_ifindex },
    })
}

/// The ports of TCP and UDP.
#[inline(always)]
fn ports<F: Family>(window: &Window, destination: F::Address, header_length: u8) -> Step<(u16, u16)> {
    let Some(ports) = window.at::<Ports>(L3 + header_length as usize) else {
        return unreadable::<F, _>(destination, Reason::ShortHeader, Reason::OtherMalformed);
    };
    // SAFETY: checked to lie in the frame.
    let ports = unsafe { &*ports };
    Ok((ports.source, ports.destination))
}

/// Checks the TCP header's length, and gives its flags.
#[inline(always)]
fn tcp<F: Header>(window: &Window, addresses: &Addresses<F>, total_length: u32) -> Step<u8> {
    let Some(tcp) = window.at::<Tcp>(addresses.l4()) else {
        return exit(Reason::ShortHeader);
    };
    // SAFETY: checked to lie in the frame.
    let (offset, flags) = unsafe { ((*tcp).offset, (*tcp).flags) };
    let bytes = (offset >> 4) as u32 * 4;
    if bytes < wire::TCP_BYTES as u32 || addresses.header_length as u32 + bytes > total_length {
        return exit(Reason::BadLength);
    }
    Ok(flags)
}

/// Checks the UDP header's length.
#[inline(always)]
fn udp<F: Header>(window: &Window, addresses: &Addresses<F>, total_length: u32) -> Step<()> {
    let Some(udp) = window.at::<Udp>(addresses.l4()) else {
        return exit(Reason::ShortHeader);
    };
    // SAFETY: checked to lie in the frame.
    let bytes = u16::from_be(unsafe { (*udp).length }) as u32;
    if bytes < wire::UDP_BYTES as u32 || addresses.header_length as u32 + bytes > total_length {
        return exit(Reason::BadLength);
    }
    Ok(())
}
