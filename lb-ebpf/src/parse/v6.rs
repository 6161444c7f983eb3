//! IPv6 (RFC 8200), with extension headers.

use core::intrinsics::cold_path;

use lb_common::{abi::protocol, reason::Reason};

use super::{Addresses, Header, L3, Length, ports, unreadable};
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

/// Where a chain of extension headers ends.
struct End {
    /// One of [`end`].
    kind: u8,
    protocol: u8,
    /// Bytes of all headers before it.
    header_length: u8,
    first_fragment: u8,
}

/// Kinds of [`End`].
mod end {
    /// TCP or UDP.
    pub const UPPER: u8 = 0;
    /// Neither.
    pub const OTHER: u8 = 1;
    /// The frame ends first.
    pub const SHORT: u8 = 2;
    /// A later fragment, in which nothing more can be read.
    pub const FRAGMENT: u8 = 3;
    /// It is not followed any further.
    pub const TOO_FAR: u8 = 4;
}

/// Follows extension headers to TCP or UDP.
#[inline(always)]
fn follow(window: &Window, destination: [u64; 2], next: u8) -> Step<Upper> {
    cold_path();
    let found = walk(window, next);
    // By way of a map's memory, of whose content the verifier knows nothing: it would otherwise look at the rest of the program
    // anew for each chain that leads there.
    let Some(word) = FOUND.get_ptr_mut(0) else {
        return exit(Reason::Internal);
    };
    let bytes = [found.kind, found.protocol, found.header_length, found.first_fragment];
    // SAFETY: this CPU's word; a run is not interrupted by another one on its CPU.
    let [kind, protocol, header_length, first_fragment] = unsafe {
        word.write_volatile(u32::from_ne_bytes(bytes));
        word.read_volatile().to_ne_bytes()
    };
    match kind {
        end::UPPER => Ok(Upper {
            protocol,
            header_length,
            first_fragment: FirstFragment(first_fragment != 0),
        }),
        end::SHORT => unreadable::<V6, _>(destination, Reason::ShortHeader, Reason::OtherMalformed),
        end::FRAGMENT => unreadable::<V6, _>(destination, Reason::Fragment, Reason::OtherFragment),
        end::TOO_FAR => unreadable::<V6, _>(destination, Reason::ExtensionHeaders, Reason::NoService),
        _ => exit(Reason::NotTcpUdp),
    }
}

/// Where the chain that begins with `next` ends.
#[inline(always)]
fn walk(window: &Window, mut next: u8) -> End {
    let mut header_length = wire::IPV6_BYTES as u8;
    let mut first_fragment = 0;
    let mut kind = end::TOO_FAR;
    // Once more, to see what the last one leads to.
    for _ in 0..=EXTENSIONS {
        let offset = L3 + header_length as usize;
        let bytes = match next {
            protocol::TCP | protocol::UDP => {
                kind = end::UPPER;
                break;
            }
            next_header::FRAGMENT => {
                let Some(fragment) = window.at::<FragmentHeader>(offset) else {
                    kind = end::SHORT;
                    break;
                };
                // SAFETY: checked to lie in the frame.
                let fragment = unsafe { &*fragment };
                if fragment.offset & wire::FRAGMENT6_OFFSET != 0 {
                    kind = end::FRAGMENT;
                    break;
                }
                first_fragment = (fragment.offset & wire::MORE_FRAGMENTS6 != 0) as u8;
                next = fragment.next_header;
                wire::FRAGMENT_HEADER_BYTES as u32
            }
            next_header::HOP_BY_HOP | next_header::ROUTING | next_header::DESTINATION => {
                let Some(extension) = window.at::<Extension>(offset) else {
                    kind = end::SHORT;
                    break;
                };
                // SAFETY: checked to lie in the frame.
                let extension = unsafe { &*extension };
                if next == next_header::ROUTING && extension.segments_left != 0 {
                    break;
                }
                next = extension.next_header;
                (extension.length as u32 + 1) * 8
            }
            _ => {
                kind = end::OTHER;
                break;
            }
        };
        let length = header_length as u32 + bytes;
        if length > u8::MAX as u32 {
            break;
        }
        header_length = length as u8;
    }
    End {
        kind,
        protocol: next,
        header_length,
        first_fragment,
    }
}
