//! What lies in the maps of Katran's balancer, as its documentation and the object's BTF describe it. Addresses and ports in
//! network order; what is not used is 0.

use std::net::SocketAddrV4;

/// Bits of [`Meta::flags`].
pub mod flags {
    /// The connection table is neither read nor written.
    pub const BYPASS: u32 = 1 << 1;
}

/// Key of the services. 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Vip {
    /// IPv4 in the first four bytes.
    pub address: [u8; 16],
    pub port: [u8; 2],
    pub protocol: u8,
    pub reserved: u8,
}

impl Vip {
    pub fn new(at: SocketAddrV4, protocol: u8) -> Self {
        Self {
            address: address(at.ip().octets()),
            port: at.port().to_be_bytes(),
            protocol,
            reserved: 0,
        }
    }
}

/// A service. 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Meta {
    /// Bits of [`flags`].
    pub flags: u32,
    /// Its ring begins at this times the ring's size; its counters are at this.
    pub number: u32,
}

/// A backend. 20 bytes, at the alignment of the address's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Real {
    /// IPv4 in the first four bytes.
    pub address: [u8; 16],
    /// 1: IPv6.
    pub flags: u8,
    pub reserved: [u8; 3],
}

impl Real {
    pub fn new(octets: [u8; 4]) -> Self {
        Self {
            address: address(octets),
            flags: 0,
            reserved: [0; 3],
        }
    }
}

/// A word of the settings; of the first, the MAC of the gateway. 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    pub mac: [u8; 6],
    pub reserved: [u8; 2],
}

/// Two counters. 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Pair {
    pub first: u64,
    pub second: u64,
}

/// Bytes of a key of the connection table: both addresses of 16, both ports, the protocol, padding.
pub const FLOW_BYTES: u32 = 40;
/// Bytes of a value of the connection table: the backend's number, padding, the time last seen.
pub const FLOW_VALUE_BYTES: u32 = 16;

/// Places in the counters, from the number of services that there is room for.
pub mod counter {
    /// Packets to a service; those that the connection table did not answer.
    pub const TABLE: u32 = 0;
    /// New flows in this second; when it began, in nanoseconds.
    pub const NEW_FLOWS: u32 = 2;
    /// Packets that the table of no CPU was asked about.
    pub const FALLBACK: u32 = 3;
    pub const TOTAL: u32 = 16;
    pub const SENT: u32 = 17;
    pub const DROPPED: u32 = 18;
    pub const PASSED: u32 = 19;
}

/// New flows a second and CPU beyond which none is stored.
pub const NEW_FLOWS_LIMIT: u64 = 125_000;

fn address(octets: [u8; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&octets);
    address
}

macro_rules! assert_layout {
    ($($t:ty: $size:literal;)*) => {
        $(const _: () = assert!(size_of::<$t>() == $size);)*
        $(
            // SAFETY: repr(C), no implicit padding (the size above is the sum of its fields), valid for every bit pattern.
            unsafe impl aya::Pod for $t {}
        )*
    };
}

assert_layout! {
    Vip: 20;
    Meta: 8;
    Real: 20;
    Control: 8;
    Pair: 16;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn bytes<T: aya::Pod>(value: &T) -> &[u8] {
        // SAFETY: `Pod`s have no padding, and the slice lives no longer than the value.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
    }

    #[test]
    fn a_service_is_in_network_order() {
        let vip = Vip::new(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 4), 0x1234), 6);
        let mut wanted = [0u8; 20];
        wanted[..4].copy_from_slice(&[192, 0, 2, 4]);
        wanted[16..19].copy_from_slice(&[0x12, 0x34, 6]);
        assert_eq!(bytes(&vip), wanted);
        let meta = Meta {
            flags: flags::BYPASS,
            number: 3,
        };
        assert_eq!(bytes(&meta), [2u32.to_ne_bytes(), 3u32.to_ne_bytes()].concat());
    }

    #[test]
    fn a_backend_and_the_gateway() {
        let mut wanted = [0u8; 20];
        wanted[..4].copy_from_slice(&[10, 4, 0, 1]);
        assert_eq!(bytes(&Real::new([10, 4, 0, 1])), wanted);
        let control = Control {
            mac: [2, 0, 0, 0, 0, 0xcc],
            reserved: [0; 2],
        };
        assert_eq!(bytes(&control), [2, 0, 0, 0, 0, 0xcc, 0, 0]);
    }
}
