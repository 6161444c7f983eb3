//! Links and their addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached};

use super::family::{Family, is_link_local, prefix_of};
use super::vlan::{Under, Vlan};
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
    /// What it is a VLAN of.
    pub vlan: Option<Vlan>,
    /// Set up, and with a carrier.
    pub up: bool,
    /// Addresses and the lengths of their prefixes: first IPv4, then IPv6, and in each those first that are good to send
    /// from.
    pub addresses: Vec<(IpAddr, u8)>,
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
    pub fn covers(&self, address: IpAddr) -> bool {
        self.addresses
            .iter()
            .any(|&(own, length)| prefix_of(own, length) == prefix_of(address, length))
    }

    /// The address to send from to `to`: what the route says, else the first of the link's own; unspecified if there is
    /// none. Never a link-local one: what it sends stays on the link.
    pub fn source(&self, to: IpAddr, of_route: Option<IpAddr>) -> IpAddr {
        let family = Family::of(to);
        of_route
            .into_iter()
            .chain(self.addresses.iter().map(|own| own.0))
            .find(|source| Family::of(*source) == family && !is_link_local(*source))
            .unwrap_or(family.unspecified())
    }
}

/// A link without its addresses.
pub fn link(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        up: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        ..Link::default()
    };
    let mut under = Under::default();
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Link(index) => under.index = *index,
            LinkAttribute::LinkNetNsId(_) => under.is_elsewhere = true,
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(mac) => link.mac = mac.as_slice().try_into().unwrap_or_default(),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(kind) => link.kind = kind.to_string(),
                        LinkInfo::Data(InfoData::Vlan(infos)) => link.vlan = Some(Vlan::read(infos)),
                        _ => {}
                    }
                }
            }
            LinkAttribute::Xdp(xdp) => (link.xdp_program, link.xdp_mode) = xdp_program(xdp),
            _ => {}
        }
    }
    link.vlan = link.vlan.map(|vlan| Vlan { under, ..vlan });
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

/// Adds the addresses of a family to their links.
pub fn add_addresses(links: &mut Links, messages: &[AddressMessage], family: Family) {
    // Asked for a family that it does not have, the kernel tells all the others.
    let of_family = messages
        .iter()
        .filter(|message| message.header.family == family.netlink());
    let (good, rest): (Vec<_>, Vec<_>) = of_family.partition(|message| is_good_source(message));
    for message in good.into_iter().chain(rest) {
        if let (Some(link), Some(address)) = (links.get_mut(&message.header.index), own_address(message)) {
            link.addresses.push((address, message.header.prefix_len));
        }
    }
}

/// On a point-to-point link `Address` is the peer's and `Local` ours. Elsewhere both are ours, and IPv6 has `Address` alone.
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let any = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    local.or(any)
}

/// Whether the kernel would send from an address by itself: not from one that may be somebody else's (RFC 4862), is going
/// out of use, or is there for a while only (RFC 8981; for IPv4 the same flag says that another one goes before it).
fn is_good_source(message: &AddressMessage) -> bool {
    let last = AddressFlags::Tentative | AddressFlags::Dadfailed | AddressFlags::Deprecated | AddressFlags::Secondary;
    let header = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    let flags = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    !flags.unwrap_or(header).intersects(last)
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::address::AddressHeaderFlags;

    use super::*;

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

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn link_with(addresses: &[(&str, u8)]) -> Link {
        Link {
            addresses: addresses.iter().map(|(own, length)| (address(own), *length)).collect(),
            ..Link::default()
        }
    }

    #[test]
    fn a_link_covers_the_networks_of_its_addresses() {
        let link = link_with(&[("10.0.0.1", 24), ("2001:db8::1", 64)]);
        for (other, covered) in [
            ("10.0.0.200", true),
            ("10.0.1.200", false),
            ("2001:db8::200", true),
            ("2001:db8:0:1::200", false),
        ] {
            assert_eq!(link.covers(address(other)), covered, "{other}");
        }
    }

    #[test]
    fn a_source_is_of_the_family_it_sends_to_and_not_link_local() {
        let both = link_with(&[("10.0.0.1", 24), ("fe80::1", 64), ("2001:db8::1", 64)]);
        let local_alone = link_with(&[("fe80::1", 64)]);
        for (link, to, of_route, source) in [
            (&both, "10.0.0.9", None, "10.0.0.1"),
            (&both, "10.0.0.9", Some("10.0.0.2"), "10.0.0.2"),
            (&both, "10.0.0.9", Some("2001:db8::2"), "10.0.0.1"),
            (&both, "2001:db8::9", None, "2001:db8::1"),
            (&both, "2001:db8::9", Some("2001:db8::2"), "2001:db8::2"),
            (&both, "2001:db8::9", Some("fe80::2"), "2001:db8::1"),
            (&local_alone, "2001:db8::9", None, "::"),
            (&local_alone, "10.0.0.9", None, "0.0.0.0"),
        ] {
            let found = link.source(address(to), of_route.map(address));
            assert_eq!(found, address(source), "{:?} to {to}, {of_route:?}", link.addresses);
        }
    }

    fn message(family: Family, attributes: Vec<AddressAttribute>) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = family.netlink();
        message.header.prefix_len = 64;
        message.attributes = attributes;
        message
    }

    fn added(messages: &[AddressMessage], family: Family) -> Vec<String> {
        let mut links = Links::from([(0, Link::default())]);
        add_addresses(&mut links, messages, family);
        links[&0].addresses.iter().map(|own| own.0.to_string()).collect()
    }

    #[test]
    fn addresses_to_send_from_come_first() {
        use AddressAttribute::{Address, Flags};
        let flagged = |text, flags| message(Family::V6, vec![Address(address(text)), Flags(flags)]);
        let mut old_kernel = message(Family::V6, vec![Address(address("2001:db8::5"))]);
        old_kernel.header.flags = AddressHeaderFlags::Deprecated;
        let messages = [
            flagged("2001:db8::1", AddressFlags::Tentative),
            flagged("2001:db8::2", AddressFlags::Deprecated | AddressFlags::Permanent),
            flagged("2001:db8::3", AddressFlags::Dadfailed),
            flagged("2001:db8::4", AddressFlags::Secondary),
            old_kernel,
            flagged("2001:db8::6", AddressFlags::Permanent),
            message(Family::V6, vec![Address(address("2001:db8::7"))]),
        ];
        let last_digits = ["6", "7", "1", "2", "3", "4", "5"];
        assert_eq!(
            added(&messages, Family::V6),
            last_digits.map(|digit| format!("2001:db8::{digit}"))
        );
    }

    /// And a kernel without IPv6, asked for its addresses, tells those of IPv4.
    #[test]
    fn addresses_are_ours_and_of_the_family_asked_for() {
        use AddressAttribute::{Address, Local};
        let pair = |own, peer| vec![Address(address(peer)), Local(address(own))];
        let messages = [
            message(Family::V4, pair("10.0.0.1", "10.0.0.2")),
            message(Family::V6, pair("2001:db8::1", "2001:db8::2")),
            message(Family::V6, vec![Address(address("fe80::1"))]),
        ];
        assert_eq!(added(&messages, Family::V4), ["10.0.0.1"]);
        assert_eq!(added(&messages, Family::V6), ["2001:db8::1", "fe80::1"]);
        assert!(added(&messages[..1], Family::V6).is_empty());
    }
}
