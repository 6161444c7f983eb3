//! Fragments of packets (RFC 791, section 2.3; RFC 8200, section 4.5): cut, and put together again.

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, ip_number};

/// One fragment's share of a datagram.
#[derive(Clone, Copy)]
struct Share {
    /// In units of 8 bytes.
    offset: u16,
    has_more: bool,
}

/// A frame's packet in fragments, none with more than `most` bytes of the datagram, a multiple of 8. IPv6 extension headers are part of what
/// is cut.
///
/// # Panics
///
/// If it is no IP packet without tags.
pub fn cut(frame: &[u8], identification: u32, most: usize) -> Vec<Vec<u8>> {
    assert_eq!(most % 8, 0);
    let (ethernet, packet) = frame.split_at(14);
    let (header, datagram) = packet[..total_bytes(packet)].split_at(header_bytes(packet));
    let count = datagram.len().div_ceil(most).max(1);
    let part = |(number, bytes): (usize, &[u8])| {
        let share = Share {
            offset: (number * most / 8) as u16,
            has_more: number + 1 < count,
        };
        let header = match header[0] >> 4 {
            4 => header4(header, identification, share, bytes.len()),
            _ => header6(header, identification, share, bytes.len()),
        };
        [ethernet, &header, bytes].concat()
    };
    let nothing = datagram.is_empty().then_some(datagram);
    datagram.chunks(most).chain(nothing).enumerate().map(part).collect()
}

fn header_bytes(packet: &[u8]) -> usize {
    match packet[0] >> 4 {
        4 => usize::from(packet[0] & 0xf) * 4,
        6 => 40,
        version => panic!("IP version {version}"),
    }
}

fn total_bytes(packet: &[u8]) -> usize {
    let field = |at| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    if packet[0] >> 4 == 4 { field(2) } else { 40 + field(4) }
}

fn header4(header: &[u8], identification: u32, share: Share, bytes: usize) -> Vec<u8> {
    let (mut ip, _) = Ipv4Header::from_slice(header).expect("an IPv4 header");
    ip.identification = identification as u16;
    ip.dont_fragment = false;
    ip.fragment_offset = IpFragOffset::try_new(share.offset).expect("13 bits");
    ip.more_fragments = share.has_more;
    ip.set_payload_len(bytes).expect("short enough");
    ip.header_checksum = ip.calc_header_checksum();
    ip.to_bytes().to_vec()
}

fn header6(header: &[u8], identification: u32, share: Share, bytes: usize) -> Vec<u8> {
    let (mut ip, _) = Ipv6Header::from_slice(header).expect("an IPv6 header");
    let offset = IpFragOffset::try_new(share.offset).expect("13 bits");
    let fragment = Ipv6FragmentHeader::new(ip.next_header, offset, share.has_more, identification);
    ip.next_header = ip_number::IPV6_FRAGMENTATION_HEADER;
    ip.set_payload_length(bytes + 8).expect("short enough");
    [&ip.to_bytes()[..], &fragment.to_bytes()].concat()
}

/// Puts an IPv6 extension header of 8 bytes, with options that are only padding, in front of a fragment's header.
pub fn put_in_front(fragment: &mut Vec<u8>, extension: IpNumber) {
    let next = std::mem::replace(&mut fragment[20], extension.0);
    fragment.splice(54..54, [next, 0, 1, 0, 0, 0, 0, 0]);
    let length = u16::from_be_bytes([fragment[18], fragment[19]]) + 8;
    fragment[18..20].copy_from_slice(&length.to_be_bytes());
}

/// The frame whose packet these are the fragments of, in their order: the IP header of the first, and all the bytes behind their fragment
/// headers. Other extension headers in front of those have to be of 8 bytes.
///
/// # Panics
///
/// If they are not.
pub fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    let parts: Vec<_> = frames.iter().map(|frame| Part::read(frame)).collect();
    let mut datagram = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        assert_eq!(
            part.offset,
            datagram.len(),
            "fragment {number} begins where the one before it ends"
        );
        assert_eq!(
            part.has_more,
            number + 1 < parts.len(),
            "fragment {number} of {}",
            parts.len()
        );
        assert_eq!(part.whose, parts[0].whose, "fragment {number} is of the same datagram");
        datagram.extend_from_slice(part.bytes);
    }
    let header = parts[0].whole_header(datagram.len());
    [&frames[0][..14], &header, &datagram].concat()
}

/// What a fragment says.
struct Part<'a> {
    header: Header,
    /// Source, destination and identification.
    whose: (Vec<u8>, Vec<u8>, u32),
    offset: usize,
    has_more: bool,
    bytes: &'a [u8],
}

enum Header {
    V4(Ipv4Header),
    V6(Ipv6Header, Ipv6FragmentHeader),
}

impl<'a> Part<'a> {
    fn read(frame: &'a [u8]) -> Self {
        let packet = &frame[14..];
        if packet[0] >> 4 == 4 {
            let (ip, rest) = Ipv4Header::from_slice(packet).expect("an IPv4 header");
            assert_eq!(ip.header_checksum, ip.calc_header_checksum(), "the IPv4 checksum");
            let length = usize::from(ip.payload_len().expect("no shorter than its header"));
            return Self {
                whose: (ip.source.to_vec(), ip.destination.to_vec(), ip.identification.into()),
                offset: usize::from(ip.fragment_offset.value()) * 8,
                has_more: ip.more_fragments,
                bytes: &rest[..length],
                header: Header::V4(ip),
            };
        }
        let (ip, rest) = Ipv6Header::from_slice(packet).expect("an IPv6 header");
        let rest = &rest[..usize::from(ip.payload_length)];
        let (mut next, mut at) = (ip.next_header, 0);
        while next != ip_number::IPV6_FRAGMENTATION_HEADER {
            (next, at) = (IpNumber(rest[at]), at + 8);
        }
        let (fragment, bytes) = Ipv6FragmentHeader::from_slice(&rest[at..]).expect("a fragment header");
        Self {
            whose: (ip.source.to_vec(), ip.destination.to_vec(), fragment.identification),
            offset: usize::from(fragment.fragment_offset.value()) * 8,
            has_more: fragment.more_fragments,
            bytes,
            header: Header::V6(ip, fragment),
        }
    }

    /// The header of a packet with all of the datagram.
    fn whole_header(&self, bytes: usize) -> Vec<u8> {
        match &self.header {
            Header::V4(ip) => {
                let mut ip = ip.clone();
                ip.more_fragments = false;
                ip.set_payload_len(bytes).expect("short enough");
                ip.header_checksum = ip.calc_header_checksum();
                ip.to_bytes().to_vec()
            }
            Header::V6(ip, fragment) => {
                let mut ip = ip.clone();
                ip.next_header = fragment.next_header;
                ip.set_payload_length(bytes).expect("short enough");
                ip.to_bytes().to_vec()
            }
        }
    }
}
