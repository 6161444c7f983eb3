//! VLAN tags on frames that are built without, and what a crate that shares no code with ours reads of them.

use etherparse::{EtherType, Ethernet2Header, SingleVlanHeader, ether_type};
use lb_common::abi::Tags;

/// A VLAN tag: tag protocol identifier, and tag control information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(pub u16, pub u16);

/// The frame with these tags, outermost first.
pub fn tagged(frame: &[u8], tags: &[Tag]) -> Vec<u8> {
    let (macs, rest) = frame.split_at(12);
    let tags = tags
        .iter()
        .flat_map(|Tag(protocol, control)| [protocol.to_be_bytes(), control.to_be_bytes()].concat());
    macs.iter().copied().chain(tags).chain(rest.iter().copied()).collect()
}

/// The tags of a frame, and the frame without them.
///
/// # Panics
///
/// If it ends in the middle of a tag.
pub fn untagged(frame: &[u8]) -> (Vec<Tag>, Vec<u8>) {
    let (ethernet, mut rest) = Ethernet2Header::from_slice(frame).expect("an Ethernet header");
    let (mut tags, mut next) = (Vec::new(), ethernet.ether_type);
    while let EtherType(0x8100 | 0x88a8) = next {
        let (tag, behind) = SingleVlanHeader::from_slice(rest).expect("a tag");
        let priority = u16::from(tag.pcp.value()) << 13 | u16::from(tag.drop_eligible_indicator) << 12;
        tags.push(Tag(next.0, priority | tag.vlan_id.value()));
        (next, rest) = (tag.ether_type, behind);
    }
    let ethernet = Ethernet2Header {
        ether_type: next,
        ..ethernet
    };
    (tags, [&ethernet.to_bytes()[..], rest].concat())
}

/// The tags of a next hop in these VLANs, outermost first: as Linux sends them, without priorities.
pub fn hop_tags(tags: &[Tag]) -> Tags {
    let within = |inside: Tags, Tag(protocol, id): &Tag| inside.within(*protocol, *id).expect("two at most");
    tags.iter().rev().fold(Tags::NONE, within)
}

/// Of a customer's VLAN.
pub const fn customer(control: u16) -> Tag {
    Tag(ether_type::VLAN_TAGGED_FRAME.0, control)
}

/// Of a provider's VLAN.
pub const fn provider(control: u16) -> Tag {
    Tag(ether_type::PROVIDER_BRIDGING.0, control)
}
