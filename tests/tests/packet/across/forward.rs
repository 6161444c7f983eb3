//! From clients to backends.

use lb_common::abi::trace_flags;
use lb_tests::needs_flow_table;
use lb_tests::packet::places::{Family, MTU};
use lb_tests::packet::tag::{customer, hop_tags, tagged};
use lb_tests::packet::{Frame, assert_same, bad_checksum};
use lb_userspace::core::model::Protocol;

use super::rows::{follows_a_syn, rows};
use super::{Case, Way};

#[test]
fn each_packet_gets_to_its_backend() {
    needs_flow_table!();
    for case in Case::BOTH {
        // Make.
        let rows = rows(|n| (case.client(n), case.door()));
        // Set up.
        let mut world = case.world();
        for (n, (what, packet)) in rows.iter().enumerate() {
            let (n, what) = (n as u16, format!("{case:?}: {what}"));
            if follows_a_syn(packet) {
                world.sent(&what, &Frame::tcp(case.client(n), case.door()).syn().bytes());
            }
            // Check.
            let sent = world.sent(&what, &packet.bytes());
            assert_same(&what, &sent, &case.there().leaves(packet, n).bytes());
            assert_eq!(bad_checksum(&sent), None, "{what}");
        }
    }
}

/// Its label is of no use to IPv4, and IPv4 has none.
#[test]
fn flow_labels_end_here() {
    needs_flow_table!();
    for way in Way::from(Family::V6) {
        // Make.
        let packet = way.udp(1).payload(b"question").dscp_and_ecn(46, 1);
        let mut labelled = packet.bytes();
        labelled[15] |= 0x0a;
        labelled[16..18].copy_from_slice(&[0xbc, 0xde]);
        // Set up.
        let mut world = way.world(MTU);
        // Check.
        let sent = world.sent("a flow label", &labelled);
        assert_same("a flow label", &sent, &way.leaves(&packet, 1).bytes());
    }
}

/// RFC 7915, section 5.1: what is small may be fragmented on its way, so that it has an identification.
#[test]
fn small_packets_may_be_fragmented() {
    needs_flow_table!();
    for way in Way::from(Family::V6) {
        // Set up.
        let mut world = way.world(MTU);
        for total in [28, 40, 1259, 1260, 1261, 1262, 1500] {
            // Make: so many bytes as IPv4 packets.
            let tcp = total >= 40;
            let data = vec![0x3c; if tcp { total - 40 } else { 0 }];
            let rows = [
                (tcp.then(|| way.tcp(0).data(&data)), 0, 16),
                (Some(way.udp(1).payload(&vec![0xc3; total - 28])), 1, 6),
            ];
            for (packet, flow, checksum) in rows {
                let Some(packet) = packet else { continue };
                // Check.
                let what = format!("{way:?}, {total} bytes");
                let sent = world.sent(&what, &packet.bytes());
                assert_same(&what, &sent, &way.leaves(&packet, flow).bytes());
                assert_eq!(sent.len(), 14 + total, "{what}");
                let checksum = &sent[34 + checksum..36 + checksum];
                let (identification, flags) = (&sent[18..20], &sent[20..22]);
                match total <= 1260 {
                    true => assert_eq!((identification, flags), (checksum, &[0, 0][..]), "{what}"),
                    false => assert_eq!((identification, flags), (&[0, 0][..], &[0x40, 0][..]), "{what}"),
                }
            }
        }
    }
}

#[test]
fn segments_are_clamped_as_they_come() {
    needs_flow_table!();
    for way in Way::all() {
        for (size, clamped) in [(1460u16, 1000u16), (1000, 1000), (999, 999)] {
            // Make.
            let syn = |size: u16| {
                let [high, low] = size.to_be_bytes();
                let options = [2, 4, high, low, 4, 2, 1, 1];
                match way.is_back {
                    true => way.tcp(0).syn_ack().tcp_options(&options),
                    false => way.tcp(0).syn().tcp_options(&options),
                }
            };
            // Set up.
            let mut world = way.world(MTU);
            let mut wanted = way.case.wanted(Protocol::Tcp, MTU);
            wanted.mss_clamp = Some(1000);
            world.serve(&wanted);
            // Check.
            let what = format!("{way:?}, {size}");
            let sent = world.sent(&what, &syn(size).bytes());
            assert_same(&what, &sent, &way.leaves(&syn(clamped), 0).bytes());
        }
    }
}

/// Tags come off, and on, whatever is between.
#[test]
fn a_packet_leaves_in_the_vlan_of_its_next_hop() {
    needs_flow_table!();
    for case in Case::BOTH {
        // Make.
        let packet = Frame::udp(case.client(0), case.door()).payload(b"question");
        let goes = [customer(7)];
        // Set up.
        let mut world = case.world();
        let mut wanted = case.wanted(Protocol::Udp, MTU);
        let hop = wanted.backends[0].hop.as_mut().expect("it has one");
        hop.tags = hop_tags(&goes);
        world.serve(&wanted);
        // Check.
        for comes in [&[][..], &[customer(5)]] {
            let sent = world.sent("tags", &tagged(&packet.bytes(), comes));
            assert_same("tags", &sent, &tagged(&case.there().leaves(&packet, 0).bytes(), &goes));
        }
    }
}

/// As packets within a family are: by their bytes as they come in.
#[test]
fn packets_are_traced_and_counted() {
    needs_flow_table!();
    for case in Case::BOTH {
        // Make.
        let syn = Frame::tcp(case.client(0), case.door()).syn().bytes();
        let data = Frame::tcp(case.client(0), case.door()).data(b"data").bytes();
        // Set up.
        let mut world = case.world();
        let vip = case.service.vip(Protocol::Tcp);
        let (service, id) = (world.placed(vip).id, world.id(vip, case.backend()));
        // Check.
        let first = world.run(&syn).trace;
        assert_eq!((first.service, first.backend), (service.into(), id), "{case:?}");
        assert_eq!(first.flags, trace_flags::SLOT, "{case:?}");
        let second = world.run(&data).trace;
        assert_eq!((second.backend, second.flags), (id, trace_flags::FLOW), "{case:?}");
        let bytes = (syn.len() + data.len()) as u64;
        for counted in [world.traffic().of_service(service), world.traffic().of_backend(id)] {
            let counted = (counted.packets, counted.bytes, counted.new_flows);
            assert_eq!(counted, (2, bytes, 1), "{case:?}");
        }
        assert_eq!(world.reasons().iter().sum::<u64>(), 0, "{case:?}");
    }
}
