//! Packets in fragments, which come in any order, and among others.

use etherparse::ip_number;
use lb_tests::packet::fragment::{cut, put_in_front};

use super::generate::Generator;

/// Identifications that datagrams have: so few that they have others' now and then.
const IDENTIFICATIONS: usize = 5;
/// Parts of a datagram that are sent.
const PARTS: usize = 5;

impl Generator {
    /// A part of a datagram that has begun, or the beginning of another.
    pub(super) fn fragment(&mut self) -> Vec<u8> {
        if self.parts.is_empty() || self.one_in(8) {
            let parts = self.fragments();
            self.parts.extend(parts);
        }
        let place = match self.one_in(6) {
            true => self.random.below(self.parts.len()),
            false => 0,
        };
        self.parts.remove(place)
    }

    fn fragments(&mut self) -> Vec<Vec<u8>> {
        let frame = match self.random.below(8) {
            0 => self.for_stranger(),
            1..=4 => self.for_service(),
            _ => self.for_client(),
        }
        .bytes();
        let identification = self.random.below(IDENTIFICATIONS) as u32;
        // As little as the first may have, or a good part of it, or about as much as a link takes.
        let most = match self.random.below(6) {
            0 => 8 * (1 + self.random.below(4)),
            1 => 8 * (150 + self.random.below(40)),
            _ => 8 * (5 + self.random.below(60)),
        };
        let mut parts = cut(&frame, identification, most);
        parts.truncate(PARTS);
        if self.one_in(6) {
            let other = cut(&frame, identification + 1, most);
            parts.splice(1.., other.into_iter().skip(1));
            parts.truncate(PARTS);
        }
        if self.one_in(4) {
            parts.rotate_left(1);
        }
        let is_ipv6 = frame[12..14] == [0x86, 0xdd];
        if is_ipv6 && self.one_in(3) {
            let number = *self.random.pick(&[
                ip_number::IPV6_HEADER_HOP_BY_HOP,
                ip_number::IPV6_ROUTE_HEADER,
                ip_number::IPV6_DESTINATION_OPTIONS,
            ]);
            parts.iter_mut().for_each(|part| put_in_front(part, number));
        }
        if self.one_in(10) {
            let last = parts.last_mut().expect("there is one at least");
            // The protocol, or what follows the fragment header.
            let place = if is_ipv6 { 54 } else { 23 };
            last[place] = *self.random.pick(&[6, 17, 1, 58, 60]);
        }
        parts
    }
}
