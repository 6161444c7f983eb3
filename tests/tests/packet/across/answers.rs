//! What senders are told: what is said is about the packet as they sent it, in the version that they speak.

use lb_common::reason::Reason;
use lb_tests::needs_flow_table;
use lb_tests::packet::places::Family;
use lb_tests::packet::{Icmp, assert_same, bad_checksum};

use super::Way;
use crate::icmp::answer::{error, too_big};

impl Way {
    /// An answer to who sent a packet of the `n`th flow, from whom it was sent to.
    pub fn answer(&self, n: u16, answer: Icmp) -> Icmp {
        let (from, to) = self.ends(n);
        Icmp {
            source: to.ip(),
            destination: from.ip(),
            ..answer
        }
    }
}

/// Headers of IPv6 are 20 bytes longer.
#[test]
fn the_sender_of_what_does_not_fit_is_told_what_would() {
    needs_flow_table!();
    for way in Way::all() {
        for mtu in [1500, 1300, 1280, 600] {
            // Make: a packet of just the size, and one byte too many.
            let (fits, headers) = match way.comes() {
                Family::V4 => (mtu - 20, 40),
                Family::V6 => (mtu + 20, 60),
            };
            let of = |bytes: u16| way.tcp(0).data(&vec![0x77; usize::from(bytes) - headers]);
            let (fitting, large) = (of(fits), of(fits + 1));
            // Set up.
            let mut world = way.world(mtu);
            // Check.
            let what = format!("{way:?}, {mtu}");
            let answer = world.answered(&what, &large.bytes(), Reason::TooBigAnswered);
            let wanted = way.answer(0, too_big(way.comes(), fits, &large.packet()));
            assert_same(&what, &answer, &wanted.bytes());
            assert_eq!(bad_checksum(&answer), None, "{what}");
            let sent = world.sent(&what, &fitting.bytes());
            assert_same(&what, &sent, &way.leaves(&fitting, 0).bytes());
            assert_eq!(sent.len(), 14 + usize::from(mtu), "{what}");
        }
    }
}

/// Options and extension headers stay behind, but count on the link that they came by.
#[test]
fn what_is_left_out_counts_where_it_came() {
    needs_flow_table!();
    for way in Way::all() {
        // Make: of the largest size with options, and the same without them.
        let (fits, packet) = match way.comes() {
            Family::V4 => (1480, way.udp(1).payload(&[0x5a; 1480 - 28 - 7])),
            Family::V6 => (1520, way.udp(1).payload(&[0x5a; 1520 - 48 - 7])),
        };
        let with_options = match way.comes() {
            Family::V4 => packet.clone().ip_options(&[1; 8]),
            Family::V6 => packet.clone().extension(
                etherparse::ip_number::IPV6_DESTINATION_OPTIONS,
                &[0, 0, 1, 4, 0, 0, 0, 0],
            ),
        };
        // Set up.
        let mut world = way.world(1500);
        // Check.
        let answer = world.answered("options", &with_options.bytes(), Reason::TooBigAnswered);
        let wanted = way.answer(1, too_big(way.comes(), fits, &with_options.packet()));
        assert_same("options", &answer, &wanted.bytes());
        let sent = world.sent("none", &packet.bytes());
        assert_same("none", &sent, &way.leaves(&packet, 1).bytes());
    }
}

#[test]
fn the_sender_of_what_came_too_far_is_told() {
    needs_flow_table!();
    for way in Way::all() {
        // Make.
        let kind = match way.comes() {
            Family::V4 => (11, 0),
            Family::V6 => (3, 0),
        };
        // Set up.
        let mut world = way.world(1500);
        for ttl in [0, 1] {
            let packet = way.tcp(0).data(&[0x3c; 100]).ttl(ttl);
            // Check.
            let what = format!("{way:?}, {ttl} hops");
            let answer = world.answered(&what, &packet.bytes(), Reason::TtlExpiredAnswered);
            let wanted = way.answer(0, error(way.comes(), kind, [0; 4], &packet.packet()));
            assert_same(&what, &answer, &wanted.bytes());
            assert_eq!(bad_checksum(&answer), None, "{what}");
        }
    }
}
