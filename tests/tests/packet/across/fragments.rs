//! Fragments of either version (RFC 7915, sections 4.1 and 5.1.1). More of them, and those that are not followed, are in `packet::fragments`.

use etherparse::ip_number;
use lb_common::reason::Reason;
use lb_tests::needs_flow_table;
use lb_tests::packet::fragment::{cut, put_in_front};
use lb_tests::packet::places::{Family, MTU};
use lb_tests::packet::{Frame, assert_same, bad_checksum};
use lb_userspace::core::model::Protocol;
use lb_userspace::edge::dataplane::run::Verdict;

use super::Way;
use crate::icmp::answer::too_big;

/// What IPv6 has more of than IPv4.
const IDENTIFICATION: u32 = 0xabcd_1d0f;

/// The datagram that the `n`th flow's fragments are to be parts of.
fn leaves(way: &Way, packet: &Frame, n: u16) -> Vec<u8> {
    let identification = IDENTIFICATION as u16;
    way.leaves(packet, n).identified(identification, false).bytes()
}

/// What they are identified by: an IPv4 one's has 16 bits.
fn left(way: &Way) -> u32 {
    match way.comes() {
        Family::V4 => IDENTIFICATION & 0xffff,
        Family::V6 => IDENTIFICATION,
    }
}

#[test]
fn each_fragment_becomes_one() {
    needs_flow_table!();
    for way in Way::all() {
        for most in [8, 16, 1200] {
            // Make: of UDP and TCP, marked, with hops of its own.
            let data: Vec<u8> = (0..3001).map(|at| (at * 31 / 7) as u8).collect();
            let udp = way.udp(1).payload(&data).dscp_and_ecn(46, 1).ttl(9);
            let tcp = way.tcp(0).data(&data).dscp_and_ecn(10, 2);
            let frames = if most < 20 {
                vec![(udp, 1)]
            } else {
                vec![(udp, 1), (tcp, 0)]
            };
            for (packet, flow) in frames {
                let parts = cut(&packet.bytes(), IDENTIFICATION, most);
                let wanted = cut(&leaves(&way, &packet, flow), left(&way), most);
                // Set up.
                let mut world = way.world(MTU);
                for (number, (part, wanted)) in parts.iter().zip(wanted).enumerate() {
                    // Check.
                    let what = format!("{way:?}: fragment {number} of {most} bytes");
                    assert_same(&what, &world.sent(&what, part), &wanted);
                }
            }
        }
    }
}

/// Of what lies in front of a fragment's bytes only that counts which the other version knows.
#[test]
fn nothing_else_of_their_headers_is_kept() {
    needs_flow_table!();
    for way in Way::all() {
        // Make.
        let packet = way.udp(1).payload(&[0x77; 2000]);
        let mut parts = cut(&packet.bytes(), IDENTIFICATION, 800);
        match way.comes() {
            // It was not to be fragmented further, whatever that means of a fragment.
            Family::V4 => parts.iter_mut().for_each(|part| part[20] |= 0x40),
            Family::V6 => parts.iter_mut().for_each(|part| {
                // What is reserved in a fragment header, and headers in front of it.
                part[55] = 0xff;
                part[57] |= 6;
                put_in_front(part, ip_number::IPV6_DESTINATION_OPTIONS);
                put_in_front(part, ip_number::IPV6_HEADER_HOP_BY_HOP);
            }),
        }
        let with_options = packet.clone().ip_options(&[1; 12]);
        let wanted = cut(&leaves(&way, &packet, 1), left(&way), 800);
        let mut rows = vec![("in front", parts)];
        if way.comes() == Family::V4 {
            rows.push(("options", cut(&with_options.bytes(), IDENTIFICATION, 800)));
        }
        for (what, parts) in rows {
            // Set up.
            let mut world = way.world(MTU);
            for (part, wanted) in parts.iter().zip(&wanted) {
                // Check.
                let part = [part, &[0xee; 3][..]].concat();
                let wanted = [wanted, &[0xee; 3][..]].concat();
                assert_same(what, &world.sent(what, &part), &wanted);
            }
        }
    }
}

/// A later one says itself what it has, which need not be what its first one said (RFC 8200, section 4.5).
#[test]
fn a_later_one_names_its_protocol() {
    needs_flow_table!();
    for way in Way::from(Family::V6) {
        // Make.
        let packet = way.udp(1).payload(&[0x77; 2000]);
        let mut parts = cut(&packet.bytes(), IDENTIFICATION, 800);
        parts[1][54] = ip_number::TCP.0;
        let mut wanted = cut(&leaves(&way, &packet, 1), left(&way), 800);
        wanted[1][23] = ip_number::TCP.0;
        // The header's checksum by what that changes.
        let checksum = u16::from_be_bytes([wanted[1][24], wanted[1][25]]) + (17 - 6);
        wanted[1][24..26].copy_from_slice(&checksum.to_be_bytes());
        // Set up.
        let mut world = way.world(MTU);
        for (part, wanted) in parts.iter().zip(&wanted) {
            // Check.
            assert_same("a later one", &world.sent("a later one", part), wanted);
        }
    }
}

/// With a fragment header, too, an IPv4 one grows by more than a whole packet does.
#[test]
fn a_fragment_that_fits_as_a_whole_packet_would() {
    needs_flow_table!();
    for way in Way::from(Family::V4) {
        // Make: 1472 bytes are as many as a fragment may have, 1480 as many as a whole packet.
        let datagram = |data: usize| way.udp(1).payload(&vec![0x5a; data]);
        let parts = |most: usize| cut(&datagram(4000).bytes(), IDENTIFICATION, most);
        let (fitting, large) = (parts(1448), parts(1456));
        // Set up.
        let mut world = way.world(1500);
        // Check: the first is answered with what fits, and of what follows it nothing is said (RFC 1122, section 3.2.2).
        let answer = world.answered("the first", &large[0], Reason::TooBigAnswered);
        let wanted = way.answer(1, too_big(Family::V4, 1472, &large[0][14..]));
        assert_same("the first", &answer, &wanted.bytes());
        assert_eq!(bad_checksum(&answer), None);
        let later = world.not_sent("a later one", &large[1], Reason::TooBig);
        assert_eq!(later.verdict, Verdict::Drop);
        // The first was remembered all the same: the last one, which fits, follows it.
        world.sent("the last", &large[2]);
        let wanted = cut(&leaves(&way, &datagram(4000), 1), left(&way), 1448);
        for (part, wanted) in fitting.iter().zip(wanted) {
            assert_same("one that fits", &world.sent("one that fits", part), &wanted);
        }
        // And a whole packet of that size fits.
        let whole = datagram(1452);
        assert_same(
            "whole",
            &world.sent("whole", &whole.bytes()),
            &way.leaves(&whole, 1).bytes(),
        );
    }
}

/// An answer quotes what there is at that moment: of a SYN, the segment size that was written into it.
#[test]
fn a_clamped_fragment_is_quoted_as_it_is() {
    needs_flow_table!();
    for way in Way::from(Family::V4) {
        // Make.
        let syn = |high: u8, low: u8| {
            let syn = if way.is_back {
                way.tcp(0).syn_ack()
            } else {
                way.tcp(0).syn()
            };
            syn.tcp_options(&[2, 4, high, low]).payload(&[0x5a; 3000])
        };
        let first = |high, low| cut(&syn(high, low).bytes(), IDENTIFICATION, 1456).remove(0);
        // Set up.
        let mut world = way.world(1500);
        let mut wanted = way.case.wanted(Protocol::Tcp, 1500);
        wanted.mss_clamp = Some(1000);
        world.serve(&wanted);
        // Check.
        let answer = world.answered("a SYN", &first(5, 0xb4), Reason::TooBigAnswered);
        let wanted = way.answer(0, too_big(Family::V4, 1472, &first(3, 0xe8)[14..]));
        assert_same("a SYN", &answer, &wanted.bytes());
    }
}
