//! The two families of addresses. Every step is generic in it and inlined, so that after one look at the EtherType each family has
//! a way of its own through all of them.
//!
//! Here is what addresses can do; what a step needs to know of a family's header is a trait of that step.

use core::mem::MaybeUninit;

use aya_ebpf::btf_maps::lpm_trie::Key;
use lb_common::{
    abi::{Address, Back, BackKey, BackKey6, Hop, VipKey, protocol, role},
    checksum::{change_of_address, change32},
    encap, flow,
};

use crate::maps::{BACKS, BACKS6, ROUTES, ROUTES6};

/// IPv4 or IPv6.
pub trait Family: Copy + 'static {
    /// As in the packet.
    type Address: Copy + PartialEq;

    /// Version of IP.
    const VERSION: u8;
    /// ICMP of this family, as an IP protocol number.
    const ICMP: u8;
    /// Whether its checksum covers the addresses (RFC 8200, section 8.1).
    const ICMP_HAS_PSEUDO_HEADER: bool;
    /// No address.
    const UNSPECIFIED: Self::Address;
    /// IP protocol number of such a packet in an outer header.
    const INNER_PROTOCOL: u8;
    /// Address family for the kernel's FIB.
    const FIB_FAMILY: u8;
    /// Whether a [`VipKey`] says all of an address, or what is found by it has to be compared.
    const KEYS_ARE_EXACT: bool;

    fn of(address: &Address) -> Self::Address;
    fn any(address: Self::Address) -> Address;
    /// What it adds to an inverted checksum when one address replaces another.
    fn change(old: Self::Address, new: Self::Address) -> u32;
    fn hash(
        key: [u64; 2],
        source: Self::Address,
        destination: Self::Address,
        source_port: u16,
        destination_port: u16,
        protocol: u8,
    ) -> u64;
    fn vip_key(address: Self::Address, port: u16, protocol: u8) -> VipKey;
    /// The address marker.
    fn marker(address: Self::Address) -> VipKey;
    /// Where the byte of an address is among the [`role`]s.
    fn role_place(address: Self::Address) -> (u32, usize);
    /// The way back of `nat` of this backend.
    fn back(address: Self::Address, port: u16, protocol: u8) -> Option<&'static Back>;
    /// What the daemon's mirror of the routes says of a client.
    fn route(address: Self::Address) -> Option<&'static Hop>;
}

#[derive(Clone, Copy)]
pub struct V4;

impl Family for V4 {
    type Address = u32;

    const VERSION: u8 = 4;
    const ICMP: u8 = protocol::ICMP;
    const ICMP_HAS_PSEUDO_HEADER: bool = false;
    const UNSPECIFIED: u32 = 0;
    const INNER_PROTOCOL: u8 = encap::PROTOCOL_IPV4;
    const FIB_FAMILY: u8 = 2;
    const KEYS_ARE_EXACT: bool = true;

    #[inline(always)]
    fn of(address: &Address) -> u32 {
        address.as_v4()
    }

    #[inline(always)]
    fn any(address: u32) -> Address {
        Address::v4(address)
    }

    #[inline(always)]
    fn change(old: u32, new: u32) -> u32 {
        change32(old, new)
    }

    #[inline(always)]
    fn hash(
        key: [u64; 2],
        source: u32,
        destination: u32,
        source_port: u16,
        destination_port: u16,
        protocol: u8,
    ) -> u64 {
        flow::hash_v4(key, source, destination, source_port, destination_port, protocol)
    }

    #[inline(always)]
    fn vip_key(address: u32, port: u16, protocol: u8) -> VipKey {
        VipKey::v4(address, port, protocol)
    }

    #[inline(always)]
    fn marker(address: u32) -> VipKey {
        VipKey::marker_v4(address)
    }

    #[inline(always)]
    fn role_place(address: u32) -> (u32, usize) {
        role::place(address)
    }

    #[inline(always)]
    fn back(address: u32, port: u16, protocol: u8) -> Option<&'static Back> {
        let key = BackKey {
            address,
            port,
            protocol,
            reserved: 0,
        };
        // SAFETY: the daemon replaces whole entries.
        unsafe { BACKS.get(key) }
    }

    #[inline(always)]
    fn route(address: u32) -> Option<&'static Hop> {
        ROUTES.get(&Key::new(32, address))
    }
}

#[derive(Clone, Copy)]
pub struct V6;

impl Family for V6 {
    type Address = [u64; 2];

    const VERSION: u8 = 6;
    const ICMP: u8 = protocol::ICMPV6;
    const ICMP_HAS_PSEUDO_HEADER: bool = true;
    const UNSPECIFIED: [u64; 2] = [0; 2];
    const INNER_PROTOCOL: u8 = encap::PROTOCOL_IPV6;
    const FIB_FAMILY: u8 = 10;
    const KEYS_ARE_EXACT: bool = false;

    #[inline(always)]
    fn of(address: &Address) -> [u64; 2] {
        address.as_v6()
    }

    #[inline(always)]
    fn any(address: [u64; 2]) -> Address {
        Address::v6(address)
    }

    #[inline(always)]
    fn change(old: [u64; 2], new: [u64; 2]) -> u32 {
        change_of_address(old, new)
    }

    #[inline(always)]
    fn hash(
        key: [u64; 2],
        source: [u64; 2],
        destination: [u64; 2],
        source_port: u16,
        destination_port: u16,
        protocol: u8,
    ) -> u64 {
        flow::hash_v6(key, source, destination, source_port, destination_port, protocol)
    }

    #[inline(always)]
    fn vip_key(address: [u64; 2], port: u16, protocol: u8) -> VipKey {
        VipKey::v6(address, port, protocol)
    }

    #[inline(always)]
    fn marker(address: [u64; 2]) -> VipKey {
        VipKey::marker_v6(address)
    }

    #[inline(always)]
    fn role_place(address: [u64; 2]) -> (u32, usize) {
        role::place6(address)
    }

    #[inline(always)]
    fn back(address: [u64; 2], port: u16, protocol: u8) -> Option<&'static Back> {
        let key = BackKey6 {
            address: Address::v6(address),
            port,
            protocol,
            reserved: 0,
            reserved_tail: 0,
        };
        // SAFETY: the daemon replaces whole entries.
        unsafe { BACKS6.get(key) }
    }

    #[inline(always)]
    fn route(address: [u64; 2]) -> Option<&'static Hop> {
        let there = Placed {
            before: MaybeUninit::uninit(),
            key: Key::new(128, address),
        };
        ROUTES6.get(&there.key)
    }
}

/// A key of [`ROUTES6`] whose address lies where it can be written in two words. The kernel reads it so, and a processor waits when it is to read at
/// once what it has just written in pieces.
#[repr(C, align(8))]
struct Placed {
    before: MaybeUninit<u32>,
    key: Key<[u64; 2]>,
}
