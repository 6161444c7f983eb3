//! Step 1: which packet is this. Facts are taken by value here, before anything moves the frame.
//!
//! [`Header::addresses`] reads what says whose a packet is; [`whole`] reads and checks the rest of one that is ours. A first fragment is read
//! like a whole packet; what can be said of later ones is [`Header::later`] and [`later`].

mod v4;
mod v6;

use core::{intrinsics::cold_path, ops::Deref};

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::{FragmentKey, protocol},
    reason::Reason,
};

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

/// What the IP header says of a packet that is ours.
pub struct Length {
    pub total: u32,
    pub traffic_class: u8,
    /// Time to live, or hop limit.
    pub hops_left: u8,
}

/// A family's header, as this step reads it.
pub trait Header: Family {
    /// Reads addresses and ports. What has none to read is somebody else's, unless it goes to an address that a service has.
    fn addresses(window: &Window) -> Step<Addresses<Self>>;

    /// Reads what [`Header::addresses`] has left.
    fn length(window: &Window) -> Step<Length>;

    /// Whether it is the first of several fragments. Good until the packet is changed.
    fn is_first_fragment(window: &Window, addresses: &Addresses<Self>) -> bool;

    /// Reads the addresses of a packet whose ports [`Header::addresses`] has not read, for it is a later fragment or has neither TCP nor UDP: the ports
    /// are 0, and the header goes as far as it could be followed.
    fn without_ports(window: &Window) -> Step<Addresses<Self>>;

    /// What is said of a fragment by the headers that [`Header::without_ports`], which it was read by, has followed.
    fn fragment(window: &Window, addresses: &Addresses<Self>) -> Step<Fragment>;

    /// Which datagram a fragment is of. Good as long as [`Header::is_first_fragment`].
    fn fragment_key(window: &Window, addresses: &Addresses<Self>) -> Step<FragmentKey>;
}

/// What a header says of a fragment, as IPv6 has it in the packet; an offset of zeros in a whole packet. No `Option`: what that leaves unset where there is
/// none may be a pointer, and the compiler would look at it before it knows.
#[derive(Clone, Copy)]
pub struct Fragment {
    /// `offset:13 | reserved:2 | more:1`, the reserved ones 0.
    pub offset: u16,
    pub identification: u32,
    /// Whether TCP or UDP, or what is left of it, is all that its part of the datagram has.
    pub is_plain: bool,
}

impl Fragment {
    pub const NONE: Self = Self {
        offset: 0,
        identification: 0,
        is_plain: true,
    };

    /// Of what IPv4's header has: flags and offset, and the identification.
    #[inline(always)]
    fn from_v4(word: u16, identification: u16) -> Self {
        let (word, [high, low]) = (u16::from_be(word), identification.to_ne_bytes());
        Self {
            offset: (word << 3 | word >> 13 & 1).to_be(),
            identification: u32::from_ne_bytes([0, 0, high, low]),
            is_plain: true,
        }
    }

    /// IPv4's flags and offset, without *don't fragment*.
    #[inline(always)]
    pub fn of_v4(self) -> u16 {
        let offset = u16::from_be(self.offset);
        (offset >> 3 | (offset & 1) << 13).to_be()
    }

    /// As much of its identification as IPv4 has (RFC 7915, section 5.1.1).
    #[inline(always)]
    pub fn short(self) -> u16 {
        let [_, _, high, low] = self.identification.to_ne_bytes();
        u16::from_ne_bytes([high, low])
    }

    #[inline(always)]
    pub fn is_one(&self) -> bool {
        self.offset != 0
    }

    /// Whether it has no ports.
    #[inline(always)]
    pub fn is_later(&self) -> bool {
        self.offset & wire::FRAGMENT6_OFFSET != 0
    }
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
    let packet = behind_ip(ctx, window, addresses)?;
    let tcp_flags = if packet.protocol == protocol::TCP {
        tcp(window, &packet)?
    } else {
        udp(window, &packet)?;
        0
    };
    Ok(Packet { tcp_flags, ..packet })
}

/// Reads the rest of a packet that has neither TCP nor UDP, or is a later fragment, and checks it.
#[inline(always)]
pub fn bare<F: Header>(ctx: &XdpContext, window: &Window, addresses: Addresses<F>) -> Step<Packet<F>> {
    let packet = behind_ip(ctx, window, addresses)?;
    if packet.header_length as u32 > packet.total_length {
        return exit(Reason::BadLength);
    }
    Ok(packet)
}

/// Reads and checks what the IP header says. Behind that nothing is known.
#[inline(always)]
fn behind_ip<F: Header>(ctx: &XdpContext, window: &Window, addresses: Addresses<F>) -> Step<Packet<F>> {
    let length = F::length(window)?;
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

/// The same with its ports.
#[inline(always)]
pub fn with_ports<F: Header>(window: &Window, addresses: Addresses<F>) -> Step<Addresses<F>> {
    let (source_port, destination_port) = ports::<F>(window, addresses.destination, addresses.header_length)?;
    Ok(Addresses {
        source_port,
        destination_port,
        ..addresses
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

/// Checks the TCP header's length, and gives its flags. Of a first fragment, too, all of the header has to be in it: one that says less may be
/// meant to get past whoever looks at flags (RFC 1858, RFC 3128).
#[inline(always)]
fn tcp<F: Header>(window: &Window, packet: &Packet<F>) -> Step<u8> {
    let Some(tcp) = window.at::<Tcp>(packet.l4()) else {
        return exit(Reason::ShortHeader);
    };
    // SAFETY: checked to lie in the frame.
    let (offset, flags) = unsafe { ((*tcp).offset, (*tcp).flags) };
    let bytes = (offset >> 4) as u32 * 4;
    if bytes < wire::TCP_BYTES as u32 || packet.header_length as u32 + bytes > packet.total_length {
        return exit(Reason::BadLength);
    }
    Ok(flags)
}

/// Checks the UDP header's length.
#[inline(always)]
fn udp<F: Header>(window: &Window, packet: &Packet<F>) -> Step<()> {
    let Some(udp) = window.at::<Udp>(packet.l4()) else {
        return exit(Reason::ShortHeader);
    };
    // SAFETY: checked to lie in the frame.
    let bytes = u16::from_be(unsafe { (*udp).length }) as u32;
    if bytes < wire::UDP_BYTES as u32 || packet.header_length as u32 + bytes > packet.total_length {
        return longer_than_packet(window, packet, bytes);
    }
    Ok(())
}

/// A datagram may be longer than its first fragment, but not its header.
#[inline(always)]
fn longer_than_packet<F: Header>(window: &Window, packet: &Packet<F>, bytes: u32) -> Step<()> {
    cold_path();
    let has_header = packet.header_length as u32 + wire::UDP_BYTES as u32 <= packet.total_length;
    if bytes < wire::UDP_BYTES as u32 || !has_header || !F::is_first_fragment(window, packet) {
        return exit(Reason::BadLength);
    }
    Ok(())
}
