//! IPv4 (RFC 791), with options.

use lb_common::{abi::protocol, reason::Reason};

use super::{Addresses, Header, L3, Length, Other, ports, unreadable};
use crate::{
    exit::{Step, exit},
    family::V4,
    packet::Window,
    wire::{self, Ipv4},
};

impl Header for V4 {
    type Kept = ();
    const WHOLE: () = ();

    #[inline(always)]
    fn addresses(window: &Window) -> Step<Addresses<V4>> {
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
            return unreadable::<V4, _>(destination, Reason::BadLength, Reason::OtherMalformed);
        }
        if ip.protocol != protocol::TCP && ip.protocol != protocol::UDP {
            return exit(Reason::NotTcpUdp);
        }
        if ip.fragment & wire::FRAGMENT_OFFSET != 0 {
            return unreadable::<V4, _>(destination, Reason::Fragment, Reason::OtherFragment);
        }
        let (source_port, destination_port) = ports::<V4>(window, destination, header_length)?;
        Ok(Addresses {
            source: ip.source,
            destination,
            source_port,
            destination_port,
            protocol: ip.protocol,
            header_length,
            kept: (),
        })
    }

    #[inline(always)]
    fn other(window: &Window) -> Option<Other<V4>> {
        let ip = window.at::<Ipv4>(L3)?;
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        Some(Other {
            source: ip.source,
            destination: ip.destination,
            protocol: ip.protocol,
            header_length: (ip.version_ihl() & 0xf) * 4,
            is_fragment: ip.fragment & (wire::MORE_FRAGMENTS | wire::FRAGMENT_OFFSET) != 0,
        })
    }

    #[inline(always)]
    fn length(window: &Window, _: &Addresses<V4>) -> Step<Length> {
        let Some(ip) = window.at::<Ipv4>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        if ip.fragment & wire::MORE_FRAGMENTS != 0 {
            return exit(Reason::Fragment);
        }
        Ok(Length {
            total: u16::from_be(ip.total_length) as u32,
            traffic_class: ip.tos(),
            hops_left: ip.ttl,
        })
    }
}
