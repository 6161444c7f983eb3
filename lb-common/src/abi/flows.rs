//! The flow table of `fullnat` and its ports.

use super::Address;
use crate::flow::mix;

/// Who a flow is, in one word that is never 0.
///
/// Of an IPv4 client `client address:32 | client port:16 | service:16`, the first two as in the packet: no client has the address
/// 0.0.0.0. Of an IPv6 client a hash with a secret seed; two clients have the same one once in 2^64, and the first packet of the
/// second is compared with the [`Client6`] of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct FlowKey(pub u64);

impl FlowKey {
    #[inline(always)]
    pub const fn v4(client: u32, client_port: u16, service: u16) -> Self {
        Self((client as u64) << 32 | (client_port as u64) << 16 | service as u64)
    }
    #[inline(always)]
    pub const fn v6(seed: u64, client: [u64; 2], client_port: u16, service: u16) -> Self {
        let ends = (client_port as u64) << 16 | service as u64;
        // Neither half of the address waits for the other. An odd factor keeps what differs in the ends different.
        let address = mix(client[0] ^ seed) ^ mix(client[1] ^ seed.rotate_left(21));
        let key = address.wrapping_add(ends.wrapping_mul(seed.rotate_left(42) | 1));
        Self(if key == 0 { 1 } else { key })
    }
    /// An IPv4 client's address as in the packet.
    #[inline(always)]
    pub const fn client(self) -> u32 {
        (self.0 >> 32) as u32
    }
    /// An IPv4 client's port as in the packet.
    #[inline(always)]
    pub const fn client_port(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// What the key of an IPv6 client's flow does not say, beside the entry of its port. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Client6 {
    pub address: Address,
    /// As in the packet.
    pub port: u16,
    pub reserved: [u16; 3],
}

/// How far one direction of a flow has come, as seen in its packets. The order is that of a flow's life.
pub mod flow_state {
    /// A SYN, nothing since.
    pub const EMBRYONIC: u8 = 0;
    /// Anything after the SYN; UDP from its first packet.
    pub const ESTABLISHED: u8 = 1;
    /// FIN seen.
    pub const FIN: u8 = 2;
    /// RST seen.
    pub const RST: u8 = 3;
}

/// Where a flow goes: `index:22 | backend:24 | state:2 | stamp:16`.
///
/// In the flow table the index says which source address and port the flow holds; in the ports' array, where the entry's own
/// place says that, it is [`FlowValue::PUBLISHED`], so that no value is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct FlowValue(pub u64);

impl FlowValue {
    /// Index of a value in the ports' array.
    pub const PUBLISHED: u32 = (1 << 22) - 1;

    #[inline(always)]
    pub const fn new(index: u32, backend: u32, state: u8, stamp: u16) -> Self {
        Self(
            ((index & 0x3f_ffff) as u64) << 42
                | ((backend & 0xff_ffff) as u64) << 18
                | ((state & 3) as u64) << 16
                | stamp as u64,
        )
    }
    /// `source address number * 65536 + source port`, the port in host order.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        (self.0 >> 42) as u32
    }
    #[inline(always)]
    pub const fn backend(self) -> u32 {
        ((self.0 >> 18) & 0xff_ffff) as u32
    }
    /// One of [`flow_state`].
    #[inline(always)]
    pub const fn state(self) -> u8 {
        ((self.0 >> 16) & 3) as u8
    }
    /// When a packet of the flow was last seen: the clock of [`crate::maps::CLOCK`], modulo 2^16.
    #[inline(always)]
    pub const fn stamp(self) -> u16 {
        self.0 as u16
    }
}

/// Most source addresses of `fullnat`: their number has to fit into [`FlowValue::index`] beside the port, the last is taken
/// by [`FlowValue::PUBLISHED`].
pub const MAX_SOURCES: u32 = 63;

/// Ports of one source address.
pub const PORTS_PER_SOURCE: u32 = 65536;

/// The queue of free ports of one source address: the program takes at `head`, the daemon returns at `tail`. Both only grow;
/// the place in the ring is their value modulo [`PORTS_PER_SOURCE`]. Each on a cache line of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct PortQueue {
    pub head: u64,
    pub reserved_head: [u64; 7],
    pub tail: u64,
    pub reserved_tail: [u64; 7],
}

assert_layout! {
    Client6: 24, 8;
    PortQueue: 128, 64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_value_keeps_its_fields() {
        let value = FlowValue::new(62 << 16 | 65535, 0xff_fffe, flow_state::FIN, 0xfffe);
        assert_eq!(value.index(), 62 << 16 | 65535);
        assert_eq!(value.backend(), 0xff_fffe);
        assert_eq!(value.state(), flow_state::FIN);
        assert_eq!(value.stamp(), 0xfffe);
    }

    #[test]
    fn a_value_of_the_ports_array_is_never_zero_and_no_source_has_its_index() {
        assert_ne!(FlowValue::new(FlowValue::PUBLISHED, 0, 0, 0).0, 0);
        const { assert!(MAX_SOURCES * PORTS_PER_SOURCE <= FlowValue::PUBLISHED) };
    }

    #[test]
    fn flow_key_keeps_its_fields() {
        let key = FlowKey::v4(0x0100_000a, 0x5000, 0xffff);
        assert_eq!((key.client(), key.client_port()), (0x0100_000a, 0x5000));
        assert_ne!(key, FlowKey::v4(0x0100_000a, 0x5000, 0xfffe));
    }

    #[test]
    fn keys_of_ipv6_clients_differ_in_each_part() {
        let key = FlowKey::v6(7, [1, 2], 3, 4);
        for other in [
            FlowKey::v6(8, [1, 2], 3, 4),
            FlowKey::v6(7, [9, 2], 3, 4),
            FlowKey::v6(7, [2, 1], 3, 4),
            FlowKey::v6(7, [1, 9], 3, 4),
            FlowKey::v6(7, [1, 2], 9, 4),
            FlowKey::v6(7, [1, 2], 3, 9),
            FlowKey::v6(7, [1, 2], 4, 3),
        ] {
            assert_ne!(key, other);
        }
    }
}
