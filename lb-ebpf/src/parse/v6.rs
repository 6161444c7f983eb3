//! IPv6 (RFC 8200), with extension headers.

use core::intrinsics::cold_path;

use lb_common::{
    abi::{Address, Found, FragmentKey, protocol},
    reason::Reason,
};

use super::{Addresses, Fragment, Header, L3, Length, ports, unreadable};
use crate::{
    exit::{Step, exit},
    family::V6,
    forgotten,
    maps::FOUND,
    packet::Window,
    wire::{self, Extension, FragmentHeader, Ipv6, next_header},
};

/// Extension headers that are followed.
const EXTENSIONS: usize = 8;

/// What a chain of extension headers leads to.
struct Upper {
    protocol: u8,
    /// Bytes of all headers before it.
    header_length: u8,
}

impl Header for V6 {
    #[inline(always)]
    fn addresses(window: &Window) -> Step<Addresses<V6>> {
        let Some(ip) = window.at::<Ipv6>(L3) else {
            return exit(Reason::OtherMalformed);
        };
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        if ip.version() != 6 {
            return exit(Reason::OtherMalformed);
        }
        let (source, destination, next) = (ip.source, ip.destination, ip.next_header);
        let upper = if next == protocol::TCP || next == protocol::UDP {
            Upper {
                protocol: next,
                header_length: unknown(wire::IPV6_BYTES as u8, ip),
            }
        } else {
            follow(window, destination, next)?
        };
        let (source_port, destination_port) = ports::<V6>(window, destination, upper.header_length)?;
        Ok(Addresses {
            source,
            destination,
            source_port,
            destination_port,
            protocol: upper.protocol,
            header_length: upper.header_length,
        })
    }

    #[inline(always)]
    fn length(window: &Window) -> Step<Length> {
        let Some(ip) = window.at::<Ipv6>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        Ok(Length {
            total: u16::from_be(ip.payload_length) as u32 + wire::IPV6_BYTES as u32,
            traffic_class: ip.traffic_class(),
            hops_left: ip.hop_limit,
        })
    }

    /// As noted when the chain of extension headers was followed.
    #[inline(always)]
    fn is_first_fragment(_: &Window, addresses: &Addresses<V6>) -> bool {
        if addresses.header_length as usize == wire::IPV6_BYTES {
            return false;
        }
        cold_path();
        FOUND.get(0).is_some_and(|found| Chain::noted(found.word).more != 0)
    }

    #[inline(always)]
    fn without_ports(window: &Window) -> Step<Addresses<V6>> {
        let Some(ip) = window.at::<Ipv6>(L3) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        let chain = chain(window, ip.next_header)?;
        Ok(Addresses {
            source: ip.source,
            destination: ip.destination,
            source_port: 0,
            destination_port: 0,
            protocol: chain.next,
            header_length: chain.length,
        })
    }

    /// Headers behind the fragment's are the datagram's own, of which the offsets count. Of those it only matters that they are there.
    #[inline(always)]
    fn fragment(window: &Window, addresses: &Addresses<V6>) -> Step<Fragment> {
        let Some(found) = FOUND.get(0) else {
            return exit(Reason::Internal);
        };
        let chain = Chain::noted(found.word);
        let is_later = chain.end == end::FRAGMENT;
        if chain.more == 0 && !is_later {
            return Ok(Fragment::NONE);
        }
        let Some(last) = window.at::<FragmentHeader>(addresses.l4().wrapping_sub(wire::FRAGMENT_HEADER_BYTES)) else {
            return exit(Reason::Internal);
        };
        // SAFETY: checked to lie in the frame.
        let last = unsafe { &*last };
        let (offset, identification) = (
            last.offset & (wire::FRAGMENT6_OFFSET | wire::MORE_FRAGMENTS6),
            last.identification,
        );
        let has_offset = offset & wire::FRAGMENT6_OFFSET != 0;
        let is_fragments_header = last.next_header == addresses.protocol
            && identification == found.identification
            && has_offset == is_later
            && (is_later || offset != 0);
        let is_tcp_or_udp = addresses.protocol == protocol::TCP || addresses.protocol == protocol::UDP;
        let other = if is_later {
            wire::FRAGMENT6_OFFSET
        } else {
            wire::MORE_FRAGMENTS6
        };
        Ok(Fragment {
            offset: if is_fragments_header { offset } else { other },
            identification,
            is_plain: is_fragments_header && is_tcp_or_udp,
        })
    }

    #[inline(always)]
    fn fragment_key(_: &Window, addresses: &Addresses<V6>) -> Step<FragmentKey> {
        let Some(found) = FOUND.get(0) else {
            return exit(Reason::Internal);
        };
        Ok(FragmentKey {
            source: Address::v6(addresses.source),
            destination: Address::v6(addresses.destination),
            identification: found.identification,
            protocol: 0,
            version: 6,
            reserved: 0,
        })
    }
}

/// A number that the verifier does not know: so it has looked at the rest of the program for packets with extension headers too.
#[inline(always)]
fn unknown(number: u8, ip: &Ipv6) -> u8 {
    // SAFETY: a byte of the header; read once more, it is the version for us alone.
    let six = unsafe { (&raw const ip.version_class_label).cast::<u8>().read_volatile() } & 0xf0;
    number.wrapping_add(six).wrapping_sub(0x60)
}

/// How far a chain of extension headers is known.
#[derive(Clone, Copy)]
struct Chain {
    /// One of [`end`].
    end: u8,
    /// Number of the header that comes next.
    next: u8,
    /// Bytes of all headers before it.
    length: u8,
    /// Whether more fragments follow this one: not 0.
    more: u8,
}

impl Chain {
    /// As it is noted in [`FOUND`].
    #[inline(always)]
    const fn note(self) -> u32 {
        u32::from_ne_bytes([self.end, self.next, self.length, self.more])
    }

    /// What was noted.
    #[inline(always)]
    const fn noted(word: u32) -> Self {
        let [end, next, length, more] = word.to_ne_bytes();
        Self {
            end,
            next,
            length,
            more,
        }
    }
}

/// Where a [`Chain`] ends.
mod end {
    /// Not yet.
    pub const NONE: u8 = 0;
    /// At TCP or UDP.
    pub const UPPER: u8 = 1;
    /// At something else.
    pub const OTHER: u8 = 2;
    /// The frame ends first.
    pub const SHORT: u8 = 3;
    /// Behind the header of a later fragment, in which nothing more can be read.
    pub const FRAGMENT: u8 = 4;
    /// It is not followed any further.
    pub const TOO_FAR: u8 = 5;
}

/// Follows extension headers to TCP or UDP.
#[inline(always)]
fn follow(window: &Window, destination: [u64; 2], next: u8) -> Step<Upper> {
    cold_path();
    let found = chain(window, next)?;
    let end = match (found.end, found.next) {
        (end::NONE, protocol::TCP | protocol::UDP) => end::UPPER,
        (
            end::NONE,
            next_header::HOP_BY_HOP | next_header::ROUTING | next_header::FRAGMENT | next_header::DESTINATION,
        ) => end::TOO_FAR,
        (end::NONE, _) => end::OTHER,
        (end, _) => end,
    };
    match end {
        end::UPPER => Ok(Upper {
            protocol: found.next,
            header_length: found.length,
        }),
        end::SHORT => unreadable::<V6, _>(destination, Reason::ShortHeader, Reason::OtherMalformed),
        end::FRAGMENT => unreadable::<V6, _>(destination, Reason::Fragment, Reason::OtherFragment),
        end::OTHER => exit(Reason::NotTcpUdp),
        _ => unreadable::<V6, _>(destination, Reason::ExtensionHeaders, Reason::NoService),
    }
}

/// As far as extension headers are followed.
#[inline(always)]
fn chain(window: &Window, next: u8) -> Step<Chain> {
    let Some(found) = FOUND.get_ptr_mut(0) else {
        return exit(Reason::Internal);
    };
    let mut chain = Chain {
        end: end::NONE,
        next,
        length: wire::IPV6_BYTES as u8,
        more: 0,
    };
    for _ in 0..EXTENSIONS {
        if chain.end == end::NONE {
            let further = step(window, chain, found);
            // SAFETY: this CPU's.
            chain = Chain::noted(unsafe { forgotten::number(&raw mut (*found).word, further.note()) });
        }
    }
    Ok(chain)
}

/// One header further.
#[inline(always)]
fn step(window: &Window, chain: Chain, found: *mut Found) -> Chain {
    let ended = |end| Chain { end, ..chain };
    let offset = L3 + chain.length as usize;
    let (mut end, mut more) = (end::NONE, chain.more);
    let (next, bytes) = match chain.next {
        protocol::TCP | protocol::UDP => return ended(end::UPPER),
        next_header::FRAGMENT => {
            let Some(fragment) = window.at::<FragmentHeader>(offset) else {
                return ended(end::SHORT);
            };
            // SAFETY: checked to lie in the frame.
            let fragment = unsafe { &*fragment };
            if fragment.offset & wire::FRAGMENT6_OFFSET != 0 {
                end = end::FRAGMENT;
            }
            more = (fragment.offset & wire::MORE_FRAGMENTS6 != 0) as u8;
            // SAFETY: this CPU's.
            unsafe { (*found).identification = fragment.identification };
            (fragment.next_header, wire::FRAGMENT_HEADER_BYTES as u32)
        }
        next_header::HOP_BY_HOP | next_header::ROUTING | next_header::DESTINATION => {
            let Some(extension) = window.at::<Extension>(offset) else {
                return ended(end::SHORT);
            };
            // SAFETY: checked to lie in the frame.
            let extension = unsafe { &*extension };
            if chain.next == next_header::ROUTING && extension.segments_left != 0 {
                return ended(end::TOO_FAR);
            }
            (extension.next_header, (extension.length as u32 + 1) * 8)
        }
        _ => return ended(end::OTHER),
    };
    let length = chain.length as u32 + bytes;
    if length > u8::MAX as u32 {
        return ended(end::TOO_FAR);
    }
    Chain {
        end,
        next,
        length: length as u8,
        more,
    }
}
