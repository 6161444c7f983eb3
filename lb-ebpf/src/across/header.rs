//! A header of either family, made anew from what the other one's says (RFC 7915, sections 4.1 and 5.1).

use lb_common::{
    abi::protocol,
    checksum::{fold, halves, sum_of_address},
    encap,
    reason::Reason,
};

use crate::{
    exit::{Step, exit},
    family::{V4, V6},
    packet::Window,
    parse::{Fragment, Header},
    rewrite::Rewrite,
    wire::{self, FragmentHeader, Front, Ipv4, Ipv6, next_header},
};

/// The largest IPv4 packet that whoever carries it on may fragment: with a header of IPv6 it is as large as one that no link of IPv6 refuses.
const MAY_BE_FRAGMENTED: u32 = 1260;
/// By how much the headers differ.
pub const DIFFERENCE: u32 = (wire::IPV6_BYTES - wire::IPV4_BYTES) as u32;

/// What is said in either family.
pub struct Said<F: Header> {
    pub source: F::Address,
    pub destination: F::Address,
    pub traffic_class: u8,
    pub hops: u8,
    pub protocol: u8,
    /// Bytes behind the header.
    pub payload: u32,
    pub fragment: Fragment,
    /// IPv4's identification where there is no other, as in the packet.
    pub identification: u16,
}

/// A family's part in it.
pub trait Translated: Rewrite {
    /// Bytes of a header without options or extension headers.
    const BYTES: usize;
    /// Bytes that a fragment has besides.
    const FRAGMENT_BYTES: usize;
    const ETHERTYPE: u16;
    /// Whether UDP may be without a checksum (RFC 768; RFC 8200, section 8.1).
    const UDP_MAY_BE_UNCHECKED: bool;

    /// One's complement sum of an address, not folded.
    fn address_sum(address: Self::Address) -> u32;
    /// How large a packet of the other family may be, to be no larger in this one.
    fn room_before(largest: u32) -> u32;
    /// Writes a header at `offset`; a fragment's too, if it is one. What the bytes of a plain one add up to, not folded.
    fn write(window: &Window, offset: usize, said: &Said<Self>) -> Step<u32>;
    /// What is said by the header at `offset`, but for fragments; for a quotation.
    fn read(window: &Window, offset: usize) -> Option<Said<Self>>;
    /// The bytes of a plain header at `offset`.
    fn header_bytes(window: &Window, offset: usize) -> Option<*mut u32>;
}

impl Translated for V4 {
    const BYTES: usize = wire::IPV4_BYTES;
    const FRAGMENT_BYTES: usize = 0;
    const ETHERTYPE: u16 = wire::ETHERTYPE_IPV4;
    const UDP_MAY_BE_UNCHECKED: bool = true;

    #[inline(always)]
    fn address_sum(address: u32) -> u32 {
        halves(address)
    }

    #[inline(always)]
    fn room_before(largest: u32) -> u32 {
        largest.saturating_add(DIFFERENCE)
    }

    #[inline(always)]
    fn write(window: &Window, offset: usize, said: &Said<V4>) -> Step<u32> {
        let Some(ip) = window.at::<Ipv4>(offset) else {
            return exit(Reason::Internal);
        };
        let total = said.payload + wire::IPV4_BYTES as u32;
        let (id, fragment) = if said.fragment.is_one() {
            (said.fragment.short(), said.fragment.of_v4())
        } else if total > MAY_BE_FRAGMENTED {
            (0, encap::DONT_FRAGMENT)
        } else {
            (said.identification, 0)
        };
        let version_tos = u16::from_ne_bytes([encap::VERSION_IHL, said.traffic_class]);
        let total_length = (total as u16).to_be();
        let ttl = u16::from_ne_bytes([said.hops, said.protocol]);
        let sum = version_tos as u32 + total_length as u32 + id as u32 + fragment as u32 + ttl as u32;
        // SAFETY: checked to lie in the frame; only this run has the frame.
        unsafe {
            *ip = Ipv4 {
                version_tos,
                total_length,
                id,
                fragment,
                ttl: said.hops,
                protocol: said.protocol,
                checksum: !fold(sum + halves(said.source) + halves(said.destination)),
                source: said.source,
                destination: said.destination,
            };
        }
        // With its checksum a header adds up to nothing.
        Ok(0)
    }

    #[inline(always)]
    fn read(window: &Window, offset: usize) -> Option<Said<V4>> {
        let ip = window.at::<Ipv4>(offset)?;
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        Some(Said {
            source: ip.source,
            destination: ip.destination,
            traffic_class: ip.tos(),
            hops: ip.ttl,
            protocol: ip.protocol,
            payload: (u16::from_be(ip.total_length) as u32).saturating_sub(wire::IPV4_BYTES as u32),
            fragment: Fragment::NONE,
            identification: 0,
        })
    }

    #[inline(always)]
    fn header_bytes(window: &Window, offset: usize) -> Option<*mut u32> {
        window.at::<Ipv4>(offset).map(|header| header.cast())
    }
}

impl Translated for V6 {
    const BYTES: usize = wire::IPV6_BYTES;
    const FRAGMENT_BYTES: usize = wire::FRAGMENT_HEADER_BYTES;
    const ETHERTYPE: u16 = wire::ETHERTYPE_IPV6;
    const UDP_MAY_BE_UNCHECKED: bool = false;

    #[inline(always)]
    fn address_sum(address: [u64; 2]) -> u32 {
        sum_of_address(address)
    }

    #[inline(always)]
    fn room_before(largest: u32) -> u32 {
        largest.saturating_sub(DIFFERENCE)
    }

    #[inline(always)]
    fn write(window: &Window, offset: usize, said: &Said<V6>) -> Step<u32> {
        let Some(ip) = window.at::<Ipv6>(offset) else {
            return exit(Reason::Internal);
        };
        let version_class_label = (6 << 28 | (said.traffic_class as u32) << 20).to_be();
        let mut payload = said.payload;
        let mut next = said.protocol;
        if said.fragment.is_one() {
            let there = window.at::<Front<{ wire::FRAGMENT_HEADER_BYTES }>>(offset + wire::IPV6_BYTES);
            let Some(there) = there else {
                return exit(Reason::Internal);
            };
            let there = there.cast::<FragmentHeader>();
            // SAFETY: checked to lie in the frame; only this run has the frame.
            unsafe {
                (*there).next_header = next;
                (*there).reserved = 0;
                (*there).offset = said.fragment.offset;
                (*there).identification = said.fragment.identification;
            }
            payload += wire::FRAGMENT_HEADER_BYTES as u32;
            next = next_header::FRAGMENT;
        }
        let payload_length = (payload as u16).to_be();
        // SAFETY: checked to lie in the frame; only this run has the frame.
        unsafe {
            (*ip).version_class_label = version_class_label;
            (*ip).payload_length = payload_length;
            (*ip).next_header = next;
            (*ip).hop_limit = said.hops;
            (*ip).source[0] = said.source[0];
            (*ip).source[1] = said.source[1];
            (*ip).destination[0] = said.destination[0];
            (*ip).destination[1] = said.destination[1];
        }
        let ends = u16::from_ne_bytes([next, said.hops]);
        let addresses = Self::address_sum(said.source) + Self::address_sum(said.destination);
        Ok(halves(version_class_label) + payload_length as u32 + ends as u32 + addresses)
    }

    #[inline(always)]
    fn read(window: &Window, offset: usize) -> Option<Said<V6>> {
        let ip = window.at::<Ipv6>(offset)?;
        // SAFETY: checked to lie in the frame.
        let ip = unsafe { &*ip };
        Some(Said {
            source: ip.source,
            destination: ip.destination,
            traffic_class: ip.traffic_class(),
            hops: ip.hop_limit,
            protocol: ip.next_header,
            payload: u16::from_be(ip.payload_length) as u32,
            fragment: Fragment::NONE,
            identification: 0,
        })
    }

    #[inline(always)]
    fn header_bytes(window: &Window, offset: usize) -> Option<*mut u32> {
        window.at::<Ipv6>(offset).map(|header| header.cast())
    }
}

/// What the pseudo header of `payload` bytes of a protocol adds up to, not folded (RFC 768, RFC 9293; RFC 8200, section 8.1).
#[inline(always)]
pub fn pseudo<F: Translated>(source: F::Address, destination: F::Address, protocol: u8, payload: u32) -> u32 {
    let next = u16::from_ne_bytes([0, protocol]);
    F::address_sum(source) + F::address_sum(destination) + (payload as u16).to_be() as u32 + next as u32
}

/// ICMP errors have one only in IPv6.
#[inline(always)]
pub fn pseudo_of_icmp<F: Translated>(source: F::Address, destination: F::Address, payload: u32) -> u32 {
    if F::ICMP_HAS_PSEUDO_HEADER {
        pseudo::<F>(source, destination, protocol::ICMPV6, payload)
    } else {
        0
    }
}
