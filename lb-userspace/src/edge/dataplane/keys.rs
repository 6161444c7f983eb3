//! Keys of the maps, of what the plan names.

use std::net::IpAddr;

use lb_common::abi::{Address, BackKey, BackKey6, VipKey};

use crate::core::image::BackOf;

/// Key of what clients connect to.
pub fn vip_key(address: IpAddr, port: u16, protocol: u8) -> VipKey {
    let there = Address::from(address);
    match address {
        IpAddr::V4(_) => VipKey::v4(there.as_v4(), port.to_be(), protocol),
        IpAddr::V6(_) => VipKey::v6(there.as_v6(), port.to_be(), protocol),
    }
}

/// Key that says that some service has an address.
pub fn marker(address: IpAddr) -> VipKey {
    let there = Address::from(address);
    match address {
        IpAddr::V4(_) => VipKey::marker_v4(there.as_v4()),
        IpAddr::V6(_) => VipKey::marker_v6(there.as_v6()),
    }
}

pub fn back_key(of: BackOf) -> BackKey {
    BackKey {
        address: Address::from(of.backend.address).as_v4(),
        port: of.backend.port.to_be(),
        protocol: of.protocol.number(),
        reserved: 0,
    }
}

pub fn back_key6(of: BackOf) -> BackKey6 {
    BackKey6 {
        address: Address::from(of.backend.address),
        port: of.backend.port.to_be(),
        protocol: of.protocol.number(),
        reserved: 0,
        reserved_tail: 0,
    }
}
