//! Step 1: which packet is this. Facts are taken by value here, before anything moves the frame.

use core::ops::Deref;

use aya_ebpf::programs::XdpContext;
use lb_common::{abi::protocol, reason::Reason};

use crate::{
    exit::{Step, exit},
    packet::Window,
    service,
    wire::{self, Ethernet, Ipv4, Ports, Tcp, Udp, tcp_flags},
};

/// Offset of the IP header in a frame.
pub const L3: usize = wire::ETHERNET_BYTES;

/// Where an IPv4 packet with TCP or UDP comes from and goes to, as in the packet.
#[derive(Clone, Copy)]
pub struct Addresses {
    pub source: u32,
    pub destination: u32,
    pub source_port: u16,
    pub destination_port: u16,
    pub protocol: u8,
    /// Bytes of the IP header with its options, a multiple of 4, at most 60. A byte, so that the verifier knows its bound
    /// again after it was spilled to the stack.
    pub header_length: u8,
}

/// A packet that is ours. Its rest is read only now: what is read before it is known whose the packet is waits on the stack.
#[derive(Clone, Copy)]
pub struct Packet {
    pub addresses: Addresses,
    /// Bytes from the IP header on, as the header says.
    pub total_length: u32,
    pub tos: u8,
    /// 0 unless TCP.
    pub tcp_flags: u8,
    /// Bytes of the frame.
    pub frame_length: usize,
    /// Index of the interface that it came in by.
    pub ingress: u32,
}

impl Deref for Packet {
    type Target = Addresses;

    #[inline(always)]
    fn deref(&self) -> &Addresses {
        &self.addresses
    }
}

impl Addresses {
    /// Offset of the TCP or UDP header in the frame.
    #[inline(always)]
    pub fn l4(&self) -> usize {
        L3 + self.header_length as usize
    }
}

impl Packet {
    /// The first packet of a connection.
    #[inline(always)]
    pub fn is_syn(&self) -> bool {
        self.tcp_flags & (tcp_flags::SYN | tcp_flags::ACK | tcp_flags::RST | tcp_flags::FIN) == tcp_flags::SYN
    }
}

/// Reads addresses and ports. What has none to read is somebody else's, unless it goes to an address that a service has.
#[inline(always)]
pub fn addresses(window: &Window) -> Step<Addresses> {
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return exit(Reason::NotIpv4);
    };
    // SAFETY: checked to lie in the frame.
    if unsafe { (*ethernet).ethertype } != wire::ETHERTYPE_IPV4 {
        return exit(Reason::NotIpv4);
    }
    let Some(ip) = window.at::<Ipv4>(L3) else {
        return exit(Reason::OtherMalformed);
    };
    // SAFETY: checked to lie in the frame.
    let ip = unsafe { &*ip };
    if ip.version_ihl() >> 4 != 4 {
        return exit(Reason::OtherMalformed);
    }
    let destination = ip.destination;
    let header_length = (ip.version_ihl() & 0xf) * 4;
    if (header_length as usize) < wire::IPV4_BYTES {
        return unreadable(destination, Reason::BadLength, Reason::OtherMalformed);
    }
    if ip.protocol != protocol::TCP && ip.protocol != protocol::UDP {
        return exit(Reason::NotTcpUdp);
    }
    if ip.fragment & wire::FRAGMENT_OFFSET != 0 {
        return unreadable(destination, Reason::Fragment, Reason::OtherFragment);
    }
    let Some(ports) = window.at::<Ports>(L3 + header_length as usize) else {
        return unreadable(destination, Reason::ShortHeader, Reason::OtherMalformed);
    };
    // SAFETY: checked to lie in the frame.
    let ports = unsafe { &*ports };
    Ok(Addresses {
        source: ip.source,
        destination,
        source_port: ports.source,
        destination_port: ports.destination,
        protocol: ip.protocol,
        header_length,
    })
}

/// Ends a packet whose ports cannot be read: ours by its address, or somebody else's.
#[inline(always)]
fn unreadable<T>(destination: u32, ours: Reason, other: Reason) -> Step<T> {
    exit(if service::has_address(destination) { ours } else { other })
}

/// Reads the rest of a packet that is ours, and checks it.
#[inline(always)]
pub fn whole(ctx: &XdpContext, window: &Window, addresses: Addresses) -> Step<Packet> {
    let Some(ip) = window.at::<Ipv4>(L3) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame.
    let ip = unsafe { &*ip };
    if ip.fragment & wire::MORE_FRAGMENTS != 0 {
        return exit(Reason::Fragment);
    }
    let total_length = u16::from_be(ip.total_length) as u32;
    let frame_length = window.length();
    if total_length as usize + L3 > frame_length {
        return exit(Reason::BadLength);
    }
    if ip.ttl <= 1 {
        return exit(Reason::TtlExpired);
    }
    let tcp_flags = if addresses.protocol == protocol::TCP {
        tcp(window, &addresses, total_length)?
    } else {
        udp(window, &addresses, total_length)?;
        0
    };
    Ok(Packet {
        addresses,
        total_length,
        tos: ip.tos(),
        tcp_flags,
        frame_length,
        // SAFETY: the context is the one the kernel gave.
        ingress: unsafe { (*ctx.ctx).ingress_ifindex },
    })
}

/// Checks the TCP header's length, and gives its flags.
#[inline(always)]
fn tcp(window: &Window, addresses: &Addresses, total_length: u32) -> Step<u8> {
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
fn udp(window: &Window, addresses: &Addresses, total_length: u32) -> Step<()> {
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
