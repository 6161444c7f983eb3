//! What can be said of a frame's bytes without knowing how they came about.

use etherparse::{Ethernet2Header, Ipv4Header, TcpHeader, UdpHeader, ether_type, ip_number};

/// A checksum of the frame that is not what it should be, headers inside a tunnel included.
pub fn bad_checksum(frame: &[u8]) -> Option<String> {
    let (ethernet, packet) = match Ethernet2Header::from_slice(frame) {
        Ok(parts) => parts,
        Err(error) => return Some(format!("no Ethernet header: {error}")),
    };
    match ethernet.ether_type {
        ether_type::IPV4 => ipv4(packet, "IPv4"),
        _ => None,
    }
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
    let payload = &rest[..length];
    match header.protocol {
        ip_number::IPV4 => ipv4(payload, "inner IPv4"),
        ip_number::TCP => tcp(&header, payload),
        ip_number::UDP => udp(&header, payload),
        _ => None,
    }
}

fn tcp(ip: &Ipv4Header, segment: &[u8]) -> Option<String> {
    let (header, data) = match TcpHeader::from_slice(segment) {
        Ok(parts) => parts,
        Err(error) => return Some(format!("TCP: {error}")),
    };
    let wanted = header.calc_checksum_ipv4(ip, data).ok()?;
    let is_right = header.checksum == wanted;
    (!is_right).then(|| format!("TCP checksum {:#06x}, not {wanted:#06x}", header.checksum))
}

fn udp(ip: &Ipv4Header, datagram: &[u8]) -> Option<String> {
    let (header, data) = match UdpHeader::from_slice(datagram) {
        Ok(parts) => parts,
        Err(error) => return Some(format!("UDP: {error}")),
    };
    // 0: the sender computed none.
    let wanted = match header.checksum {
        0 => return None,
        _ => header.calc_checksum_ipv4(ip, data).ok()?,
    };
    let is_right = header.checksum == wanted;
    (!is_right).then(|| format!("UDP checksum {:#06x}, not {wanted:#06x}", header.checksum))
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
            ("inner TCP", tcp.in_tunnel(source, other).bytes()),
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
    }
}
