//! Links and their addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached};

use crate::core::model::XdpMode;

/// Links by index.
pub type Links = BTreeMap<u32, Link>;

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// All zero where there is none.
    pub mac: [u8; 6],
    /// In bytes.
    pub mtu: u32,
    /// `veth`, `bridge`, …; empty for hardware and loopback.
    pub kind: String,
    /// Set up, and with a carrier.
    pub up: bool,
    /// IPv4 addresses and the lengths of their prefixes.
    pub addresses: Vec<(Ipv4Addr, u8)>,
    /// Identifier of the XDP program that is attached. If there are several, that of the one in the driver.
    pub xdp_program: Option<u32>,
    /// Where it runs; `Native` stands for the hardware, too.
    pub xdp_mode: Option<XdpMode>,
}

impl Link {
    pub fn has_mac(&self) -> bool {
        self.mac != [0; 6]
    }

    /// Whether an address is in the network of one of the link's own.
    pub fn covers(&self, address: Ipv4Addr) -> bool {
        self.addresses
            .iter()
            .any(|&(own, length)| prefix_of(own, length) == prefix_of(address, length))
    }
}

/// An address with everything behind the prefix set to zero.
pub fn prefix_of(address: Ipv4Addr, length: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
    address & Ipv4Addr::from_bits(mask)
}

/// A link without its addresses.
pub fn link(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        up: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(mac) => link.mac = mac.as_slice().try_into().unwrap_or_default(),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        link.kind = kind.to_string();
                    }
                }
            }
            LinkAttribute::Xdp(xdp) => (link.xdp_program, link.xdp_mode) = xdp_program(xdp),
            _ => {}
        }
    }
    link
}

fn xdp_program(xdp: &[LinkXdp]) -> (Option<u32>, Option<XdpMode>) {
    let driver = xdp.iter().find_map(|attribute| match attribute {
        LinkXdp::DrvProgId(id) => Some(*id),
        _ => None,
    });
    let any = xdp.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    });
    let attached = xdp.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(attached) => Some(*attached),
        _ => None,
    });
    let Some(program) = driver.or(any).filter(|id| *id != 0) else {
        return (None, None);
    };
    let mode = match attached {
        Some(XdpAttached::SocketBuffer) => XdpMode::Generic,
        _ => XdpMode::Native,
    };
    (Some(program), Some(mode))
}

/// Adds an address to its link.
pub fn add_address(links: &mut Links, message: &AddressMessage) {
    let Some(link) = links.get_mut(&message.header.index) else {
        return;
    };
    // On a point-to-point link `Address` is the peer's and `Local` ours; elsewhere both are ours.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    });
    if let Some(address) = local {
        link.addresses.push((address, message.header.prefix_len));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let address = Ipv4Addr::new(10, 1, 2, 3);
        assert_eq!(prefix_of(address, 32), address);
        assert_eq!(prefix_of(address, 31), Ipv4Addr::new(10, 1, 2, 2));
        assert_eq!(prefix_of(address, 8), Ipv4Addr::new(10, 0, 0, 0));
        assert_eq!(prefix_of(address, 0), Ipv4Addr::UNSPECIFIED);
    }

    #[test]
    fn a_program_is_named_with_where_it_runs() {
        let xdp = |attached, ids: &[LinkXdp]| xdp_program(&[&[LinkXdp::Attached(attached)], ids].concat());
        assert_eq!(xdp(XdpAttached::None, &[]), (None, None));
        let driver = [LinkXdp::ProgId(7), LinkXdp::DrvProgId(7)];
        assert_eq!(xdp(XdpAttached::Driver, &driver), (Some(7), Some(XdpMode::Native)));
        let generic = [LinkXdp::ProgId(8), LinkXdp::SkbProgId(8)];
        assert_eq!(
            xdp(XdpAttached::SocketBuffer, &generic),
            (Some(8), Some(XdpMode::Generic))
        );
        let both = [LinkXdp::SkbProgId(8), LinkXdp::DrvProgId(7)];
        assert_eq!(xdp(XdpAttached::Multiple, &both), (Some(7), Some(XdpMode::Native)));
    }

    #[test]
    fn a_link_covers_the_networks_of_its_addresses() {
        let link = Link {
            addresses: vec![(Ipv4Addr::new(10, 0, 0, 1), 24)],
            ..Link::default()
        };
        assert!(link.covers(Ipv4Addr::new(10, 0, 0, 200)));
        assert!(!link.covers(Ipv4Addr::new(10, 0, 1, 200)));
    }
}
