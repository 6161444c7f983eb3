//! What the headers of a packet say, and what is said otherwise in another one.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use etherparse::{IpSlice, SlicedPacket, TransportSlice, UdpSlice, ip_number};
use serde::Serialize;

use crate::core::model::Mode;
use crate::core::view::mac_text;

/// A frame with an IP packet in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    pub destination_mac: [u8; 6],
    pub source_mac: [u8; 6],
    /// Outermost first.
    pub vlans: Vec<u16>,
    pub outer: Option<Outer>,
    /// Port 0 where it has none.
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// What is in front of a packet in a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outer {
    source: IpAddr,
    destination: IpAddr,
    /// Of UDP, where there is one.
    ports: Option<(u16, u16)>,
}

/// What a packet says otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `destination`, `source_mac`, …
    pub what: &'static str,
    /// `None`: it was not there.
    pub before: Option<String>,
    /// `None`: it is not there any more.
    pub after: Option<String>,
}

/// The destination of a next hop's frames.
pub fn destination_mac(ethernet: [u32; 3]) -> [u8; 6] {
    let ([a, b, c, d], [e, f, ..]) = (ethernet[0].to_ne_bytes(), ethernet[1].to_ne_bytes());
    [a, b, c, d, e, f]
}

impl Headers {
    /// Those of a frame whose packet is in a tunnel of this mode, if that makes any. `None`: it cannot be read.
    pub fn read(frame: &[u8], tunnel: Option<Mode>) -> Option<Self> {
        let sliced = SlicedPacket::from_ethernet(frame).ok()?;
        let ip = IpSlice::from_slice(sliced.ether_payload()?.payload).ok()?;
        let (outer, inner) = match tunnel {
            Some(Mode::Ipip) => (
                Some(Outer::of(&ip, None)),
                IpSlice::from_slice(ip.payload().payload).ok()?,
            ),
            Some(Mode::Gue) => {
                let udp = UdpSlice::from_slice(ip.payload().payload).ok()?;
                let ports = (udp.source_port(), udp.destination_port());
                (
                    Some(Outer::of(&ip, Some(ports))),
                    IpSlice::from_slice(udp.payload()).ok()?,
                )
            }
            _ => (None, ip),
        };
        let ports = ports(&inner);
        let (destination, source) = (frame[..6].try_into().ok()?, frame[6..12].try_into().ok()?);
        Some(Self {
            destination_mac: destination,
            source_mac: source,
            vlans: sliced.vlan_ids().iter().map(|id| id.value()).collect(),
            outer,
            source: SocketAddr::new(inner.source_addr(), ports.0),
            destination: SocketAddr::new(inner.destination_addr(), ports.1),
        })
    }

    /// What is otherwise `after` it.
    pub fn changes(&self, after: &Self) -> Vec<Change> {
        let macs = |headers: &Self| [headers.destination_mac, headers.source_mac].map(mac_text).map(Some);
        let ([to_before, from_before], [to_after, from_after]) = (macs(self), macs(after));
        let outer = |headers: &Self| headers.outer.as_ref().map(Outer::text);
        let all = [
            ("source", text(self.source), text(after.source)),
            ("destination", text(self.destination), text(after.destination)),
            ("outer_header", outer(self), outer(after)),
            ("vlan", self.vlan_text(), after.vlan_text()),
            ("source_mac", from_before, from_after),
            ("destination_mac", to_before, to_after),
        ];
        let changed = all.into_iter().filter(|(_, before, after)| before != after);
        changed
            .map(|(what, before, after)| Change { what, before, after })
            .collect()
    }

    /// `10`, or `100.10` in two.
    pub fn vlan_text(&self) -> Option<String> {
        let ids: Vec<String> = self.vlans.iter().map(u16::to_string).collect();
        (!ids.is_empty()).then(|| ids.join("."))
    }
}

impl Outer {
    fn of(ip: &IpSlice<'_>, ports: Option<(u16, u16)>) -> Self {
        Self {
            source: ip.source_addr(),
            destination: ip.destination_addr(),
            ports,
        }
    }

    fn text(&self) -> String {
        let Self {
            source,
            destination,
            ports,
        } = self;
        match ports {
            Some((from, to)) => {
                let ends = (SocketAddr::new(*source, *from), SocketAddr::new(*destination, *to));
                format!("UDP {} > {}", ends.0, ends.1)
            }
            None => format!("{source} > {destination}"),
        }
    }
}

fn text(value: impl Display) -> Option<String> {
    Some(value.to_string())
}

/// Those of TCP, UDP or SCTP, the first two words of each.
fn ports(ip: &IpSlice<'_>) -> (u16, u16) {
    let payload = ip.payload();
    match (payload.ip_number, payload.payload) {
        (ip_number::TCP | ip_number::UDP | ip_number::SCTP, [a, b, c, d, ..]) => {
            (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))
        }
        _ => (0, 0),
    }
}

/// How large the answer to a packet that is too big says that packets may be, in bytes.
pub fn told_mtu(frame: &[u8]) -> Option<u32> {
    match SlicedPacket::from_ethernet(frame).ok()?.transport? {
        TransportSlice::Icmpv4(icmp) => Some(u16::from_be_bytes([icmp.slice()[6], icmp.slice()[7]]).into()),
        TransportSlice::Icmpv6(icmp) => Some(u32::from_be_bytes(icmp.slice()[4..8].try_into().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const THERE: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const CLIENT: [u8; 4] = [10, 1, 0, 2];
    const VIP: [u8; 4] = [10, 9, 0, 1];

    /// A packet to the service from its IP header on.
    fn packet() -> Vec<u8> {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4(CLIENT, VIP, 64).tcp(40000, 80, 1, 1000);
        builder.write(&mut packet, &[]).unwrap();
        packet
    }

    fn frame(tags: &[u8], packet: &[u8]) -> Vec<u8> {
        [&THERE[..], &HERE, tags, &[8, 0], packet].concat()
    }

    /// What differs, as `what before after`.
    fn changes(before: &[u8], after: &[u8], tunnel: Option<Mode>) -> Vec<String> {
        let (before, after) = (
            Headers::read(before, None).unwrap(),
            Headers::read(after, tunnel).unwrap(),
        );
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let text = |change: Change| format!("{} {} {}", change.what, or_none(change.before), or_none(change.after));
        before.changes(&after).into_iter().map(text).collect()
    }

    #[test]
    fn tags_come_off_and_change() {
        let untagged = frame(&[], &packet());
        let tagged = frame(&[0x81, 0, 0, 10], &packet());
        let twice = frame(&[0x88, 0xa8, 0, 100, 0x81, 0, 0x20, 20], &packet());
        assert_eq!(changes(&untagged, &untagged, None), [""; 0]);
        assert_eq!(changes(&tagged, &untagged, None), ["vlan 10 -"]);
        assert_eq!(changes(&tagged, &twice, None), ["vlan 10 100.20"]);
    }

    #[test]
    fn what_is_in_a_tunnel_is_the_packet() {
        let outer = |protocol, between: &[u8]| {
            let inner = [between, &packet()].concat();
            let mut packet = Vec::new();
            let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
            builder.write(&mut packet, protocol, &inner).unwrap();
            frame(&[0x81, 0, 0, 20], &packet)
        };
        let before = frame(&[], &packet());
        let ipip = outer(ip_number::IPV4, &[]);
        let wanted = ["outer_header - 10.0.0.1 > 10.0.0.2", "vlan - 20"];
        assert_eq!(changes(&before, &ipip, Some(Mode::Ipip)), wanted);
        let udp = [0xc0, 0, 0x17, 0xc0, 0, 48, 0, 0];
        let gue = outer(ip_number::UDP, &udp);
        let wanted = ["outer_header - UDP 10.0.0.1:49152 > 10.0.0.2:6080", "vlan - 20"];
        assert_eq!(changes(&before, &gue, Some(Mode::Gue)), wanted);
        assert_eq!(Headers::read(&before, Some(Mode::Ipip)), None);
    }
}
