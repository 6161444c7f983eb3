//! IPv6 (RFC 8200), with extension headers.

use core::intrinsics::cold_path;

use lb_common::{abi::protocol, reason::Reason};

use super::{Addresses, Header, L3, Length, Other, ports, unreadable};
use crate::{
    exit::{Step, exit},
    family::V6,
    maps::FOUND,
    packet::Window,
    wire::{self, Extension, FragmentHeader, Ipv6, next_header},
};

/// Extension headers that are followed.
const EXTENSIONS: usize = 8;

/// Whether it is the first of several fragments.
#[derive(Clone, Copy)]
pub struct FirstFragment(bool);

/// What a chain of extension headers leads to.
struct Upper {
    protocol: u8,
    /// Bytes of all headers before it.
    header_length: u8,
    first_fragment: FirstFragment,
}

impl Header for V6 {
    type Kept = FirstFragment;
    const WHOLE: FirstFragment = FirstFragment(false);

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
                first_fragment: FirstFragment(false),
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
            kept: upper.first_fragment,
        })
    }

    #[inline(always)]
    fn other(window: &Window) -> Option<Other<V6>> {
        let ip = window.at::<Ipv6>(L3)?;
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        let (source, destination) = (ip.source, ip.destination);
        let chain = chain(window, ip.next_header).ok()?;
        Some(Other {
            source,
            destination,
            protocol: chain.next,
            header_length: chain.length,
            is_fragment: chain.first_fragment != 0,
        })
    }

    #[inline(always)]
    fn length(window: &Window, addresses: &Addresses<V6>) -> Step<Length> {
        if addresses.kept.0 {
            return exit(Reason::Fragment);
        }
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
    first_fragment: u8,
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
    /// At a later fragment, in which nothing more can be read.
    pub const FRAGMENT: u8 = 4;
    /// It is not followed any further.
    pub const TOO_FAR: u8 = 5;
}

/// The same by way of a map's memory, of whose content the verifier knows nothing: it would otherwise look at what comes next anew
/// for each chain that leads there.
#[inline(always)]
fn forgotten(word: *mut u32, chain: Chain) -> Chain {
    let bytes = [chain.end, chain.next, chain.length, chain.first_fragment];
    // SAFETY: this CPU's word; a run is not interrupted by another one on its CPU.
    let [end, next, length, first_fragment] = unsafe {
        word.write_volatile(u32::from_ne_bytes(bytes));
        word.read_volatile().to_ne_bytes()
    };
    Chain {
        end,
        next,
        length,
        first_fragment,
    }
}

/// Follows extension headers as far as they go.
#[inline(always)]
fn chain(window: &Window, next: u8) -> Step<Chain> {
    let Some(word) = FOUND.get_ptr_mut(0) else {
        return exit(Reason::Internal);
    };
    let mut found = Chain {
        end: end::NONE,
        next,
        length: wire::IPV6_BYTES as u8,
        first_fragment: 0,
    };
    for _ in 0..EXTENSIONS {
        if found.end == end::NONE {
            found = forgotten(word, step(window, found));
        }
    }
    Ok(found)
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
            first_fragment: FirstFragment(found.first_fragment != 0),
        }),
        end::SHORT => unreadable::<V6, _>(destination, Reason::ShortHeader, Reason::OtherMalformed),
        end::FRAGMENT => unreadable::<V6, _>(destination, Reason::Fragment, Reason::OtherFragment),
        end::OTHER => exit(Reason::NotTcpUdp),
        _ => unreadable::<V6, _>(destination, Reason::ExtensionHeaders, Reason::NoService),
    }
}

/// One header further.
#[inline(always)]
fn step(window: &Window, chain: Chain) -> Chain {
    let ended = |end| Chain { end, ..chain };
    let offset = L3 + chain.length as usize;
    let mut first_fragment = chain.first_fragment;
    let (next, bytes) = match chain.next {
        protocol::TCP | protocol::UDP => return ended(end::UPPER),
        next_header::FRAGMENT => {
            let Some(fragment) = window.at::<FragmentHeader>(offset) else {
                return ended(end::SHORT);
            };
            // SAFETY: checked to lie in the frame.
            let fragment = unsafe { &*fragment };
            if fragment.offset & wire::FRAGMENT6_OFFSET != 0 {
                return ended(end::FRAGMENT);
            }
            first_fragment = (fragment.offset & wire::MORE_FRAGMENTS6 != 0) as u8;
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
        end: end::NONE,
        next,
        length: length as u8,
        first_fragment,
    }
}
