//! What can be said of a frame's bytes without knowing how they came about.

use etherparse::{
    Ethernet2Header, Icmpv4Header, Icmpv6Header, IpNumber, Ipv4Header, Ipv6Extensions, Ipv6Header, TcpHeader,
    UdpHeader, ether_type, ip_number,
};

use super::places::TUNNEL_PORT;

/// A checksum of the frame that is not what it should be, headers inside a tunnel included.
pub fn bad_checksum(frame: &[u8]) -> Option<String> {
    let (ethernet, packet) = match Ethernet2Header::from_slice(frame) {
        Ok(parts) => parts,
        Err(error) => return Some(format!("no Ethernet header: {error}")),
    };
    match ethernet.ether_type {
        ether_type::IPV4 => ipv4(packet, "IPv4"),
        ether_type::IPV6 => ipv6(packet, "IPv6"),
        _ => None,
    }
}

/// The sum that TCP and UDP take their addresses into.
enum Pseudo {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

fn ipv4(packet: &[u8], what: &str) -> Option<String> {
    let (header, rest) = match Ipv4Header::from_slice(packet) {
        Ok(parts) => parts,
        Err(error) => return Some(format!("{what}: {error}")),
    };
    let wanted = header.calc_header_checksum();
    if header.header_checksum != wanted {
        return Some(format!(
            "{what} checksum {:#06x}, not {wanted:#06x}",
            header.header_checksum
        ));
    }
    let length = match header.payload_len() {
        Ok(length) if length as usize <= rest.len() => length as usize,
        _ => {
            return Some(format!(
                "{what}: total length {} of {} bytes",
                header.total_len,
                packet.len()
            ));
        }
    };
    let pseudo = Pseudo::V4(header.source, header.destination);
    behind(header.protocol, &rest[..length], &pseudo)
}

fn ipv6(packet: &[u8], what: &str) -> Option<String> {
    let (header, rest) = match Ipv6Header::from_slice(packet) {
        Ok(parts) => parts,
        Err(error) => return Some(format!("{what}: {error}")),
    };
    let length = header.payload_length as usize;
    let Some(payload) = rest.get(..length) else {
        return Some(format!("{what}: payload length {length} of {} bytes", rest.len()));
    };
    let (_, protocol, payload) = match Ipv6Extensions::from_slice(header.next_header, payload) {
        Ok(parts) => parts,
        Err(error) => return Some(format!("{what}: {error}")),
    };
    let pseudo = Pseudo::V6(header.source, header.destination);
    behind(protocol, payload, &pseudo)
}

fn behind(protocol: IpNumber, payload: &[u8], pseudo: &Pseudo) -> Option<String> {
    match protocol {
        ip_number::IPV4 => ipv4(payload, "inner IPv4"),
        ip_number::IPV6 => ipv6(payload, "inner IPv6"),
        ip_number::TCP => tcp(pseudo, payload),
        ip_number::UDP => udp(pseudo, payload),
        ip_number::ICMP | ip_number::IPV6_ICMP => icmp(pseudo, payload),
        _ => None,
    }
}

fn icmp(pseudo: &Pseudo, message: &[u8]) -> Option<String> {
    let wrong = |is: u16, wanted: u16| (is != wanted).then(|| format!("ICMP checksum {is:#06x}, not {wanted:#06x}"));
    match *pseudo {
        Pseudo::V4(..) => match Icmpv4Header::from_slice(message) {
            Ok((header, data)) => wrong(header.checksum, header.icmp_type.calc_checksum(data)),
            Err(error) => Some(format!("ICMP: {error}")),
        },
        Pseudo::V6(source, destination) => match Icmpv6Header::from_slice(message) {
            Ok((header, data)) => {
                let wanted = header.icmp_type.calc_checksum(source, destination, data).ok()?;
                wrong(header.checksum, wanted)
            }
            Err(error) => Some(format!("ICMPv6: {error}")),
        },
    }
}

fn tcp(pseudo: &Pseudo, segment: &[u8]) -> Option<String> {
    let (header, data) = match TcpHeader::from_slice(segment) {
        Ok(parts) => parts,
        Err(error) => return Some(format!("TCP: {error}")),
    };
    let wanted = match *pseudo {
        Pseudo::V4(source, destination) => header.calc_checksum_ipv4_raw(source, destination, data).ok()?,
        Pseudo::V6(source, destination) => header.calc_checksum_ipv6_raw(source, destination, data).ok()?,
    };
    let is_right = header.checksum == wanted;
    (!is_right).then(|| format!("TCP checksum {:#06x}, not {wanted:#06x}", header.checksum))
}

fn udp(pseudo: &Pseudo, datagram: &[u8]) -> Option<String> {
    let (header, data) = match UdpHeader::from_slice(datagram) {
        Ok(parts) => parts,
        Err(error) => return Some(format!("UDP: {error}")),
    };
    let wanted = match *pseudo {
        Pseudo::V4(source, destination) => header.calc_checksum_ipv4_raw(source, destination, data).ok()?,
        Pseudo::V6(source, destination) => header.calc_checksum_ipv6_raw(source, destination, data).ok()?,
    };
    // 0: the sender computed none.
    if header.checksum != 0 && header.checksum != wanted {
        return Some(format!("UDP checksum {:#06x}, not {wanted:#06x}", header.checksum));
    }
    match data.first().map(|first| first >> 4) {
        Some(4) if header.destination_port == TUNNEL_PORT => ipv4(data, "inner IPv4"),
        Some(6) if header.destination_port == TUNNEL_PORT => ipv6(data, "inner IPv6"),
        _ => None,
    }
}

/// Compares byte for byte.
///
/// # Panics
///
/// If the two differ; says where.
#[track_caller]
pub fn assert_same(what: &str, is: &[u8], wanted: &[u8]) {
    if is == wanted {
        return;
    }
    let differ = |at: &usize| is.get(*at) != wanted.get(*at);
    let places: Vec<usize> = (0..is.len().max(wanted.len())).filter(differ).collect();
    panic!(
        "{what}: {} bytes, not {}; they differ at {places:?}\n  is     {}\n  wanted {}",
        is.len(),
        wanted.len(),
        hex(is),
        hex(wanted)
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Frame, places};

    #[test]
    fn every_checksum_is_looked_at() {
        let tcp = Frame::tcp(places::CLIENT, places::SERVICE).data(b"odd");
        let udp = Frame::udp(places::CLIENT, places::SERVICE).payload(b"even");
        let [source, other] = places::SOURCES;
        let frames = [
            ("TCP", tcp.bytes()),
            ("UDP", udp.bytes()),
            ("inner TCP", tcp.clone().in_tunnel(source, other).bytes()),
        ];
        for (what, frame) in frames {
            assert_eq!(bad_checksum(&frame), None, "{what}");
            // Behind the MACs every byte is under some checksum, or says which one there is.
            for at in 12..frame.len() {
                let mut broken = frame.clone();
                broken[at] ^= 0x10;
                assert!(bad_checksum(&broken).is_some() || at < 14, "{what}: byte {at}");
            }
        }
        let none = udp.without_checksum().bytes();
        assert_eq!(bad_checksum(&none), None);
        // The UDP header of a tunnel in IPv4 has no checksum; all else is looked at.
        let packed = tcp.in_gue(source, other, TUNNEL_PORT).bytes();
        assert_eq!(bad_checksum(&packed), None);
        for at in (14..34).chain(43..packed.len()) {
            let mut broken = packed.clone();
            broken[at] ^= 0x10;
            assert!(bad_checksum(&broken).is_some(), "byte {at}");
        }
    }

    /// IPv6 has no checksum of its own: only what TCP and UDP take in counts.
    #[test]
    fn checksums_over_ipv6_are_looked_at() {
        let [door, client] = [places::Family::V6.service(), places::Family::V6.client(0)];
        let options = [0, 0, 1, 4, 0, 0, 0, 0];
        let frames = [
            ("TCP", 0, Frame::tcp(client, door).data(b"odd")),
            ("UDP", 0, Frame::udp(client, door).payload(b"even")),
            (
                "behind options",
                8,
                Frame::tcp(client, door).extension(ip_number::IPV6_DESTINATION_OPTIONS, &options),
            ),
        ];
        for (what, before, frame) in frames {
            let tunnels = [
                (0, frame.clone()),
                (40, frame.clone().in_tunnel(places::SOURCE6, client.ip())),
                (48, frame.in_gue(places::SOURCE6, client.ip(), TUNNEL_PORT)),
            ];
            for (outer, frame) in tunnels {
                let frame = frame.bytes();
                assert_eq!(bad_checksum(&frame), None, "{what}");
                let (addresses, rest) = (outer + 22..outer + 54, outer + 54 + before..frame.len());
                for at in addresses.chain(rest) {
                    let mut broken = frame.clone();
                    broken[at] ^= 0x10;
                    assert!(bad_checksum(&broken).is_some(), "{what}: byte {at}");
                }
            }
        }
    }
}
