//! IPv4 (RFC 791), with options.

use lb_common::{
    abi::{Address, FragmentKey, protocol},
    reason::Reason,
};

use super::{Addresses, Fragment, Header, L3, Length, ports, unreadable};
use crate::{
    exit::{Step, exit},
    family::V4,
    packet::Window,
    wire::{self, Ipv4},
};

impl Header for V4 {
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
        if ip.fragment & wire::FRAGMENT_OFFSET != 0 {
            return unreadable::<V4, _>(destination, Reason::Fragment, Reason::OtherFragment);
        }
        if ip.protocol != protocol::TCP && ip.protocol != protocol::UDP {
            return exit(Reason::NotTcpUdp);
        }
        let (source_port, destination_port) = ports::<V4>(window, destination, header_length)?;
        Ok(Addresses {
            source: ip.source,
            destination,
            source_port,
            destination_port,
            protocol: ip.protocol,
            header_length,
        })
    }

    #[inline(always)]
    fn length(window: &Window) -> Step<Length> {
        let Some(ip) = window.at::<Ipv4>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        Ok(Length {
            total: u16::from_be(ip.total_length) as u32,
            traffic_class: ip.tos(),
            hops_left: ip.ttl,
        })
    }

    /// One with an offset has ended before.
    #[inline(always)]
    fn is_first_fragment(window: &Window, _: &Addresses<V4>) -> bool {
        let Some(ip) = window.at::<Ipv4>(L3) else {
            return false;
        };
        // SAFETY: checked to lie in the frame.
        unsafe { (*ip).fragment & wire::MORE_FRAGMENTS != 0 }
    }

    #[inline(always)]
    fn without_ports(window: &Window) -> Step<Addresses<V4>> {
        let Some(ip) = window.at::<Ipv4>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        Ok(Addresses {
            source: ip.source,
            destination: ip.destination,
            source_port: 0,
            destination_port: 0,
            protocol: ip.protocol,
            header_length: (ip.version_ihl() & 0xf) * 4,
        })
    }

    #[inline(always)]
    fn fragment(window: &Window, _: &Addresses<V4>) -> Step<Fragment> {
        let Some(ip) = window.at::<Ipv4>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame.
        let (word, id) = unsafe { ((*ip).fragment, (*ip).id) };
        Ok(Fragment::from_v4(word, id))
    }

    #[inline(always)]
    fn fragment_key(window: &Window, addresses: &Addresses<V4>) -> Step<FragmentKey> {
        let Some(ip) = window.at::<Ipv4>(L3) else {
            return exit(Reason::Internal);
        };
        Ok(FragmentKey {
            source: Address::v4(addresses.source),
            destination: Address::v4(addresses.destination),
            // SAFETY: checked to lie in the frame.
            identification: unsafe { (*ip).id } as u32,
            protocol: addresses.protocol,
            version: 4,
            reserved: 0,
        })
    }
}
