//! VLANs: links whose frames leave through another one, with a tag.

use lb_common::abi::{Tags, tag_protocol};
use rtnetlink::packet_route::link::InfoVlan;

use super::links::Links;

/// A VLAN on another link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    pub under: Under,
    /// Tag protocol identifier.
    pub protocol: u16,
    pub id: u16,
}

/// The link that a VLAN's frames leave through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Under {
    pub index: u32,
    /// In another network namespace, whose indices say nothing here.
    pub is_elsewhere: bool,
}

impl Vlan {
    /// What the kernel says of it, but for what it is on.
    pub fn read(infos: &[InfoVlan]) -> Self {
        let mut vlan = Self {
            under: Under::default(),
            protocol: tag_protocol::CUSTOMER,
            id: 0,
        };
        for info in infos {
            match info {
                InfoVlan::Id(id) => vlan.id = *id,
                InfoVlan::Protocol(protocol) => vlan.protocol = u16::from(*protocol),
                _ => {}
            }
        }
        vlan
    }
}

/// Where frames of a link really leave, and the tags that they have there. One that is no VLAN is its own.
///
/// # Errors
///
/// What is wrong, and what to do.
pub fn really(links: &Links, index: u32) -> Result<(u32, Tags), String> {
    let (mut index, mut tags) = (index, Tags::NONE);
    while let Some((name, vlan)) = links.get(&index).and_then(|link| Some((&link.name, link.vlan?))) {
        if vlan.under.is_elsewhere || !links.contains_key(&vlan.under.index) {
            return Err(format!(
                "interface {name} is a VLAN of one in another network namespace; run lb where that one is"
            ));
        }
        tags = tags.within(vlan.protocol, vlan.id).ok_or_else(|| {
            format!(
                "interface {name} and those on it are three VLANs in each other; lb sends frames with two tags at most"
            )
        })?;
        index = vlan.under.index;
    }
    Ok((index, tags))
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::link::{InfoData, InfoKind, LinkAttribute, LinkInfo, LinkMessage, VlanProtocol};

    use super::super::links::link;
    use super::*;

    /// As the kernel tells of `name`, a VLAN of the link with index `under`.
    fn message(index: u32, name: &str, under: u32, protocol: VlanProtocol, id: u16) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = vec![
            LinkAttribute::IfName(name.into()),
            LinkAttribute::Link(under),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Vlan),
                LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Protocol(protocol), InfoVlan::Id(id)])),
            ]),
        ];
        message
    }

    fn links(vlans: &[LinkMessage]) -> Links {
        let mut hardware = LinkMessage::default();
        hardware.header.index = 2;
        hardware.attributes = vec![LinkAttribute::IfName("eth0".into())];
        let messages = vlans.iter().chain([&hardware]);
        messages.map(|message| (message.header.index, link(message))).collect()
    }

    #[test]
    fn frames_of_a_vlan_leave_through_what_it_is_on() {
        let customer = VlanProtocol::Ieee8021Q;
        let links = links(&[
            message(3, "eth0.10", 2, VlanProtocol::Ieee8021Ad, 10),
            message(4, "eth0.10.20", 3, customer, 20),
        ]);
        let outer = Tags::NONE.within(tag_protocol::SERVICE, 10).unwrap();
        let inner = Tags::NONE.within(tag_protocol::CUSTOMER, 20).unwrap();
        assert_eq!(really(&links, 2), Ok((2, Tags::NONE)));
        assert_eq!(really(&links, 3), Ok((2, outer)));
        assert_eq!(
            really(&links, 4),
            Ok((2, inner.within(tag_protocol::SERVICE, 10).unwrap()))
        );
    }

    #[test]
    fn a_vlan_that_cannot_be_sent_to_is_named() {
        let customer = VlanProtocol::Ieee8021Q;
        let mut elsewhere = message(7, "lost", 2, customer, 1);
        elsewhere.attributes.push(LinkAttribute::LinkNetNsId(1));
        let links = links(&[
            message(3, "a", 2, customer, 1),
            message(4, "b", 3, customer, 2),
            message(5, "c", 4, customer, 3),
            message(6, "orphan", 99, customer, 1),
            elsewhere,
        ]);
        for (index, says) in [(5, "two tags at most"), (6, "orphan"), (7, "lost")] {
            let said = really(&links, index).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }
}
