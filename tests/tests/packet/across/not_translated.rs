//! What has no equal in the other version (RFC 7915).

use etherparse::ip_number;
use lb_common::reason::Reason;
use lb_tests::needs_flow_table;
use lb_tests::packet::fragment::cut;
use lb_tests::packet::places::{Family, MTU};
use lb_tests::packet::{World, assert_same};
use lb_userspace::core::model::Protocol;
use lb_userspace::edge::dataplane::run::Verdict;

use super::Way;
use super::errors::Says;

const IDENTIFICATION: u32 = 0x1d0f;
/// Options of IPv6, all padding.
const OPTIONS: [u8; 8] = [0, 0, 1, 4, 0, 0, 0, 0];

#[track_caller]
fn check(world: &mut World, what: &str, packet: &[u8]) {
    let outcome = world.not_sent(what, packet, Reason::NotTranslated);
    assert_eq!(outcome.verdict, Verdict::Drop, "{what}");
}

/// Section 4.5: nobody sees all that the checksum would cover.
#[test]
fn a_first_fragment_of_a_datagram_without_a_checksum() {
    needs_flow_table!();
    for way in Way::from(Family::V4) {
        // Make.
        let packet = way.udp(1).payload(&[0x77; 2000]).without_checksum();
        let parts = cut(&packet.bytes(), IDENTIFICATION, 800);
        // Set up.
        let mut world = way.world(MTU);
        // Check: where it would have gone is known all the same.
        check(&mut world, "the first", &parts[0]);
        let leaves = way.leaves(&packet, 1).identified(0, false);
        let wanted = cut(&leaves.bytes(), IDENTIFICATION, 800);
        assert_same("a later one", &world.sent("a later one", &parts[1]), &wanted[1]);
    }
    // The other way round there need not be one.
    for way in Way::from(Family::V6) {
        let packet = way.udp(1).payload(&[0x77; 2000]).without_checksum();
        let leaves = way.leaves(&packet, 1).identified(IDENTIFICATION as u16, false);
        let mut world = way.world(MTU);
        let parts = cut(&packet.bytes(), IDENTIFICATION, 800);
        for (part, wanted) in parts.iter().zip(cut(&leaves.bytes(), IDENTIFICATION, 800)) {
            assert_same("a fragment", &world.sent("a fragment", part), &wanted);
        }
    }
}

/// What lies behind the fragment header is the datagram's, of which IPv4 would know nothing.
#[test]
fn fragments_with_headers_in_them() {
    needs_flow_table!();
    for way in Way::from(Family::V6) {
        // Make.
        let udp = way.udp(1).payload(&[0x77; 2000]);
        let with_options = udp.extension(ip_number::IPV6_DESTINATION_OPTIONS, &OPTIONS);
        let parts = cut(&with_options.bytes(), IDENTIFICATION, 800);
        // Set up.
        let mut world = way.world(MTU);
        // Check: where the first one would have gone is known; of the others those are sent that say that they are UDP.
        check(&mut world, "the first", &parts[0]);
        check(&mut world, "a later one", &parts[1]);
        for (next, is_sent) in [(17, true), (6, true), (58, false), (59, false), (44, false), (0, false)] {
            let mut later = parts[1].clone();
            later[54] = next;
            match is_sent {
                true => assert_eq!(world.sent("a later one", &later)[23], next),
                false => check(&mut world, "a later one", &later),
            }
        }
        // Two fragment headers: the last one counts.
        let first_in_atomic = way
            .tcp(0)
            .data(&[0x5a; 64])
            .extension(ip_number::IPV6_FRAGMENTATION_HEADER, &[0, 0, 0, 0, 0, 0, 0, 1])
            .extension(ip_number::IPV6_FRAGMENTATION_HEADER, &[0, 0, 0, 1, 0, 0, 0, 2]);
        let sent = world.sent("a first one in one that is whole", &first_in_atomic.bytes());
        assert_eq!((&sent[18..20], &sent[20..22]), (&[0, 2][..], &[0x20, 0][..]));
    }
}

/// Types, codes, and what they point to.
#[test]
fn errors_without_an_equal() {
    needs_flow_table!();
    let in_ipv4 = [4, 5, 6, 7, 10, 11, 20, 255].map(|pointer: u32| (12, 0, pointer << 24));
    let of_ipv4: [Says; 9] = [
        (3, 14, 0),
        (3, 16, 0),
        (3, 255, 0),
        (12, 1, 0),
        (12, 3, 0),
        (12, 255, 0),
        (12, 2, 4 << 24),
        (12, 2, 10 << 24),
        (12, 1, 0x0c00_0000),
    ];
    let in_ipv6 = [2, 3, 40, 255, 256, 0x0100_0000, u32::MAX].map(|pointer: u32| (4, 0, pointer));
    let of_ipv6: [Says; 9] = [
        (0, 0, 0),
        (1, 5, 0),
        (1, 6, 0),
        (1, 255, 0),
        (4, 2, 0),
        (4, 255, 0),
        (5, 0, 0),
        (100, 0, 0),
        (127, 0, 0),
    ];
    for way in Way::all() {
        let rows: Vec<Says> = match way.comes() {
            Family::V4 => [&in_ipv4[..], &of_ipv4].concat(),
            Family::V6 => [&in_ipv6[..], &of_ipv6].concat(),
        };
        // Set up.
        let mut world = way.world(MTU);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let quoted = way.quoted(protocol, 40).packet();
            for says in &rows {
                // Make, check.
                let error = way.error(*says, &quoted);
                check(&mut world, &format!("{way:?}: {says:?}"), &error.bytes());
            }
        }
    }
}

/// What does not fit is said before that.
#[test]
fn an_error_that_does_not_fit_has_no_need_of_an_equal() {
    needs_flow_table!();
    for way in Way::from(Family::V4) {
        // Make.
        let quoted = way.quoted(Protocol::Tcp, 500).packet();
        let error = way.error((3, 14, 0), &quoted).bytes();
        // Set up.
        let mut world = way.world((error.len() - 14 + 39) as u16);
        // Check.
        world.not_sent("too big", &error, Reason::TooBig);
    }
}
