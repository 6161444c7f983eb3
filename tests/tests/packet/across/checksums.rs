//! Checksums of TCP and UDP: changed by what changes, and made where IPv6 wants one.

use lb_tests::needs_flow_table;
use lb_tests::packet::places::{Family, MTU};
use lb_tests::packet::{Frame, assert_same, bad_checksum};

use super::Way;

/// More than usual links take, as much as a test can run.
const LARGE: u16 = 3400;

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// RFC 8200, section 8.1: UDP over IPv6 has a checksum.
#[test]
fn a_datagram_without_a_checksum_gets_one_in_ipv6() {
    needs_flow_table!();
    for way in Way::from(Family::V4) {
        // Set up.
        let mut world = way.world(LARGE);
        for bytes in (0..40).chain([127, 128, 129, 1000, 1451, 1452, 2001, 3000, 3351, 3352]) {
            // Make.
            let data: Vec<u8> = (0..bytes).map(|at| (at * 37 + 11) as u8).collect();
            let packet = way.udp(1).payload(&data).without_checksum();
            for packet in [packet.clone(), packet.padded(7)] {
                // Check.
                let what = format!("{way:?}, {bytes} bytes");
                let sent = world.sent(&what, &packet.bytes());
                assert_same(&what, &sent, &way.leaves(&packet, 1).bytes());
                assert_eq!(bad_checksum(&sent), None, "{what}");
                assert_ne!(word(&sent, 14 + 40 + 6), 0, "{what}");
            }
        }
    }
}

/// It covers what UDP says that the datagram has, not what the packet has.
#[test]
fn the_checksum_covers_the_datagram_alone() {
    needs_flow_table!();
    for way in Way::from(Family::V4) {
        for bytes in [8, 9, 100, 101] {
            for has_checksum in [true, false] {
                // Make: more in the packet than in the datagram.
                let rest = b"behind the datagram";
                let with_rest = |frame: &Frame, header: usize| {
                    let datagram = [&frame.packet()[header..], rest].concat();
                    let longer = Frame::of_protocol(frame.source(), frame.destination(), 17).payload(&datagram);
                    longer.macs(frame.source_mac, frame.destination_mac)
                };
                let packet = way.udp(1).payload(&vec![0x9d; bytes]);
                let packet = if has_checksum {
                    packet
                } else {
                    packet.without_checksum()
                };
                let leaves = way.leaves(&packet, 1);
                // Set up.
                let mut world = way.world(MTU);
                // Check.
                let sent = world.sent("a datagram", &with_rest(&packet, 20).bytes());
                let wanted = with_rest(&leaves, 40).ttl(59);
                assert_same("a datagram", &sent, &wanted.bytes());
            }
        }
    }
}

/// IPv4 takes it as it is; so its identification is none, either.
#[test]
fn a_datagram_without_a_checksum_stays_so_in_ipv4() {
    needs_flow_table!();
    for way in Way::from(Family::V6) {
        // Set up.
        let mut world = way.world(LARGE);
        for bytes in [0, 1, 8, 1231, 1232, 1233, 3001] {
            // Make.
            let packet = way.udp(1).payload(&vec![0x42; bytes]).without_checksum();
            // Check.
            let what = format!("{way:?}, {bytes} bytes");
            let sent = world.sent(&what, &packet.bytes());
            assert_same(&what, &sent, &way.leaves(&packet, 1).bytes());
            assert_eq!((word(&sent, 18), word(&sent, 40)), (0, 0), "{what}");
        }
    }
}

/// A checksum that would become 0 is sent as ffff in UDP, where 0 means none (RFC 768), and as 0 in TCP.
#[test]
fn checksums_that_become_zero() {
    needs_flow_table!();
    for way in Way::all() {
        let header = if way.comes() == Family::V4 { 40 } else { 20 };
        let rows = [
            ("TCP", way.tcp(0).ack(), 0, 16, 0),
            ("UDP", way.udp(1), 1, 6, 0xffff),
            ("UDP without", way.udp(1).without_checksum(), 1, 6, 0xffff),
        ];
        for (what, empty, flow, at, zero) in rows {
            if what == "UDP without" && header == 20 {
                continue;
            }
            // Make: two bytes that bring the sum over what leaves to ffff.
            let checksum = |packet: &Frame| word(&way.leaves(packet, flow).bytes(), 14 + header + at);
            let missing = checksum(&empty.clone().payload(&[0, 0]));
            let packet = empty.payload(&missing.to_be_bytes());
            assert_eq!(checksum(&packet), zero);
            // Set up.
            let mut world = way.world(MTU);
            // Check.
            let sent = world.sent(what, &packet.bytes());
            assert_same(what, &sent, &way.leaves(&packet, flow).bytes());
        }
    }
}

/// Another header must not make a damaged packet look whole.
#[test]
fn a_wrong_checksum_stays_wrong() {
    needs_flow_table!();
    for way in Way::all() {
        // Make: packets whose last byte was damaged on their way.
        for (packet, flow) in [(way.tcp(0).data(b"data"), 0), (way.udp(1).payload(b"odd"), 1)] {
            let damaged = |packet: &Frame| {
                let mut bytes = packet.bytes();
                *bytes.last_mut().expect("a byte") ^= 0x40;
                bytes
            };
            // Set up.
            let mut world = way.world(MTU);
            // Check.
            let sent = world.sent("damaged", &damaged(&packet));
            assert_same("damaged", &sent, &damaged(&way.leaves(&packet, flow)));
            assert!(bad_checksum(&sent).is_some());
        }
    }
}
