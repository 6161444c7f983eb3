//! ICMP errors about packets of a flow (RFC 7915, sections 4.2, 4.3, 5.2 and 5.3): about a backend's, which come from its clients' side, and about
//! a client's, which come from the backends' side.

use std::net::IpAddr;

use lb_common::reason::Reason;
use lb_tests::needs_flow_table;
use lb_tests::packet::places::{Family, MTU, STRANGER, STRANGER6};
use lb_tests::packet::{Frame, Icmp, World, assert_same, bad_checksum};
use lb_userspace::core::model::Protocol;

use super::Way;

/// Type, code, and what stands behind the checksum.
pub type Says = (u8, u8, u32);

/// Each error of IPv4 that has an equal, and that.
const FROM_IPV4: [(Says, Says); 41] = [
    ((3, 0, 0), (1, 0, 0)),
    ((3, 1, 0x0102_0304), (1, 0, 0)),
    ((3, 2, 0), (4, 1, 6)),
    ((3, 3, 0), (1, 4, 0)),
    ((3, 4, 1400), (2, 0, 1420)),
    // Half of the word is not used.
    ((3, 4, 0xabcd_0578), (2, 0, 1420)),
    // IPv6 links take 1280 bytes at least.
    ((3, 4, 68), (2, 0, 1280)),
    ((3, 4, 1259), (2, 0, 1280)),
    ((3, 4, 1260), (2, 0, 1280)),
    ((3, 4, 1261), (2, 0, 1281)),
    ((3, 4, 0xffff), (2, 0, 0x1_0013)),
    ((3, 5, 0), (1, 0, 0)),
    ((3, 6, 0), (1, 0, 0)),
    ((3, 7, 0), (1, 0, 0)),
    ((3, 8, 0), (1, 0, 0)),
    ((3, 9, 0), (1, 1, 0)),
    ((3, 10, 7), (1, 1, 0)),
    ((3, 11, 0), (1, 0, 0)),
    ((3, 12, 0), (1, 0, 0)),
    ((3, 13, 0), (1, 1, 0)),
    ((3, 15, 0), (1, 1, 0)),
    ((11, 0, 0), (3, 0, 0)),
    ((11, 1, 0xffff_ffff), (3, 1, 0)),
    ((11, 9, 0), (3, 9, 0)),
    ((12, 0, 0), (4, 0, 0)),
    ((12, 0, 0x0012_3456), (4, 0, 0)),
    ((12, 0, 0x0100_0000), (4, 0, 1)),
    ((12, 0, 0x0200_0000), (4, 0, 4)),
    ((12, 0, 0x0300_0000), (4, 0, 4)),
    ((12, 0, 0x0800_0000), (4, 0, 7)),
    ((12, 0, 0x0900_0000), (4, 0, 6)),
    ((12, 0, 0x0c00_0000), (4, 0, 8)),
    ((12, 0, 0x0d00_0000), (4, 0, 8)),
    ((12, 0, 0x0e00_0000), (4, 0, 8)),
    ((12, 0, 0x0f00_0000), (4, 0, 8)),
    ((12, 0, 0x1000_0000), (4, 0, 24)),
    ((12, 0, 0x1100_0000), (4, 0, 24)),
    ((12, 0, 0x1200_0000), (4, 0, 24)),
    ((12, 0, 0x1300_0000), (4, 0, 24)),
    ((12, 2, 0), (4, 0, 0)),
    ((12, 2, 0x1000_0000), (4, 0, 24)),
];

/// Each of IPv6.
const FROM_IPV6: [(Says, Says); 29] = [
    ((1, 0, 0), (3, 1, 0)),
    ((1, 1, 0x0102_0304), (3, 10, 0)),
    ((1, 2, 0), (3, 1, 0)),
    ((1, 3, 0), (3, 1, 0)),
    ((1, 4, 0), (3, 3, 0)),
    ((2, 0, 1500), (3, 4, 1480)),
    ((2, 0, 1280), (3, 4, 1260)),
    // Its code is for nobody to look at (RFC 4443, section 3.2).
    ((2, 7, 1280), (3, 4, 1260)),
    ((2, 0, 20), (3, 4, 0)),
    ((2, 0, 3), (3, 4, 0)),
    ((2, 0, 0x1_0012), (3, 4, 0xfffe)),
    ((2, 0, 0x1_0013), (3, 4, 0xffff)),
    ((2, 0, 0x1_0014), (3, 4, 0xffff)),
    ((2, 0, 0xffff_ffff), (3, 4, 0xffff)),
    ((3, 0, 0), (11, 0, 0)),
    ((3, 1, 5), (11, 1, 0)),
    ((3, 200, 0), (11, 200, 0)),
    ((4, 0, 0), (12, 0, 0)),
    ((4, 0, 1), (12, 0, 0x0100_0000)),
    ((4, 0, 4), (12, 0, 0x0200_0000)),
    ((4, 0, 5), (12, 0, 0x0200_0000)),
    ((4, 0, 6), (12, 0, 0x0900_0000)),
    ((4, 0, 7), (12, 0, 0x0800_0000)),
    ((4, 0, 8), (12, 0, 0x0c00_0000)),
    ((4, 0, 23), (12, 0, 0x0c00_0000)),
    ((4, 0, 24), (12, 0, 0x1000_0000)),
    ((4, 0, 39), (12, 0, 0x1000_0000)),
    ((4, 1, 0), (3, 2, 0)),
    ((4, 1, 40), (3, 2, 0)),
];

/// Bytes of an IP header.
fn header(family: Family) -> usize {
    match family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}

/// Somebody on the way of the packet that an error is about.
fn router(family: Family) -> IpAddr {
    match family {
        Family::V4 => (*STRANGER.ip()).into(),
        Family::V6 => (*STRANGER6.ip()).into(),
    }
}

impl Way {
    /// A packet in the other direction, which did not get through: as who says so saw it.
    pub fn quoted(&self, protocol: Protocol, data: usize) -> Frame {
        let flow = u16::from(protocol == Protocol::Udp);
        let (to, from) = self.ends(flow);
        let frame = match protocol {
            Protocol::Udp => Frame::udp(from, to).payload(&vec![0x22; data]),
            _ => Frame::tcp(from, to).data(&vec![0x11; data]),
        };
        frame.ttl(9).dscp_and_ecn(46, 1)
    }

    /// The same as its sender knows it.
    fn known(&self, quoted: &Frame, protocol: Protocol) -> Frame {
        let flow = u16::from(protocol == Protocol::Udp);
        let (to, from) = self.left_ends(flow);
        let is_long = quoted.packet().len() > 1260 + 20;
        quoted.clone().across(from, to).identified(0, is_long)
    }

    /// An error about a packet, as it comes.
    pub fn error(&self, (kind, code, word): Says, quoted: &[u8]) -> Icmp {
        let (_, to) = self.ends(0);
        Icmp {
            class: 0xb9,
            ..Icmp::new(router(self.comes()), to.ip(), (kind, code))
        }
        .rest(word.to_be_bytes())
        .payload(quoted)
    }

    /// As it leaves: from whom the packet that it is about was for.
    fn error_left(&self, error: &Icmp, (kind, code, word): Says, quoted: &[u8]) -> Icmp {
        let (from, to) = self.left_ends(0);
        Icmp {
            macs: self.left_macs(),
            ttl: error.ttl - 1,
            class: error.class,
            is_translated: true,
            ..Icmp::new(from.ip(), to.ip(), (kind, code))
        }
        .rest(word.to_be_bytes())
        .payload(quoted)
    }

    /// Bytes of a quoted packet, of which so many came.
    fn quoted_left(&self, came: usize) -> usize {
        came - header(self.comes()) + header(self.comes().other())
    }
}

fn check(way: &Way, world: &mut World, protocol: Protocol, data: usize, (came, left): (Says, Says)) {
    let seen = way.quoted(protocol, data);
    let known = way.known(&seen, protocol).packet();
    let whole = seen.packet();
    let ports = header(way.comes()) + 8;
    // As little as is allowed, with TCP's checksum, an odd number, and as much as there is room for.
    for quoted in [ports, ports + 12, ports + 31, 500] {
        if quoted > whole.len() {
            continue;
        }
        // Make.
        let error = way.error(came, &whole[..quoted]);
        let wanted = way.error_left(&error, left, &known[..way.quoted_left(quoted)]);
        // Check.
        let what = format!("{way:?} {protocol:?}, {came:?} about {quoted} bytes of {}", whole.len());
        let sent = world.sent(&what, &error.bytes());
        assert_same(&what, &sent, &wanted.bytes());
        assert_eq!(bad_checksum(&sent), None, "{what}");
    }
}

#[test]
fn each_error_gets_to_whom_it_concerns() {
    needs_flow_table!();
    for way in Way::all() {
        let rows = match way.comes() {
            Family::V4 => &FROM_IPV4[..],
            Family::V6 => &FROM_IPV6[..],
        };
        // Set up.
        let mut world = way.world(MTU);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for row in rows {
                check(&way, &mut world, protocol, 900, *row);
            }
        }
    }
}

/// RFC 1191, section 5: a router that does not say what its link takes took less than what it got.
#[test]
fn what_fits_is_guessed_where_it_is_not_said() {
    needs_flow_table!();
    for way in Way::from(Family::V4) {
        // Set up.
        let mut world = way.world(MTU);
        for (total, mtu) in [
            (60_000, 32_020),
            (32_001, 32_020),
            (32_000, 17_934),
            (9000, 8186),
            (4353, 4372),
            (2003, 2022),
            (1500, 1512),
            (1493, 1512),
            (1492, 1280),
            (600, 1280),
        ] {
            // Make, check.
            check(&way, &mut world, Protocol::Udp, total - 28, ((3, 4, 0), (2, 0, mtu)));
        }
    }
}

/// On both sides of what IPv4 may fragment (RFC 7915, section 5.1): the quoted header says so, too.
#[test]
fn quoted_packets_of_each_size() {
    needs_flow_table!();
    for way in Way::all() {
        // Set up.
        let mut world = way.world(MTU);
        let row = match way.comes() {
            Family::V4 => FROM_IPV4[3],
            Family::V6 => FROM_IPV6[4],
        };
        for total in [28, 29, 40, 1259, 1260, 1261, 1262, 1500] {
            // Make, check.
            check(&way, &mut world, Protocol::Udp, total - 28, row);
        }
    }
}

/// Two headers grow; of what does not fit nobody is told, for it is an error itself.
#[test]
fn an_error_that_does_not_fit_is_dropped() {
    needs_flow_table!();
    for way in Way::all() {
        // Make.
        let (row, grows) = match way.comes() {
            Family::V4 => (FROM_IPV4[3], 40),
            Family::V6 => (FROM_IPV6[4], 0),
        };
        let whole = way.quoted(Protocol::Tcp, 900).packet();
        let packet = way.error(row.0, &whole[..500]).bytes();
        let total = (packet.len() - 14) as u16;
        // Set up: on the way to a backend what comes must fit without them, too.
        let mut world = way.world(total + grows);
        let sent = world.sent("it fits", &packet);
        let known = way.known(&way.quoted(Protocol::Tcp, 900), Protocol::Tcp).packet();
        let error = way.error(row.0, &whole[..500]);
        let wanted = way.error_left(&error, row.1, &known[..way.quoted_left(500)]);
        // Check.
        assert_same("it fits", &sent, &wanted.bytes());
        if way.comes() == Family::V4 {
            let mut world = way.world(total + grows - 1);
            world.not_sent("one byte too many", &packet, Reason::TooBig);
        }
    }
}

#[test]
fn an_error_that_came_too_far_is_dropped() {
    needs_flow_table!();
    for way in Way::all() {
        // Make.
        let (says, _) = if way.comes() == Family::V4 {
            FROM_IPV4[3]
        } else {
            FROM_IPV6[4]
        };
        let quoted = way.quoted(Protocol::Udp, 20).packet();
        let error = Icmp {
            ttl: 1,
            ..way.error(says, &quoted)
        };
        // Set up.
        let mut world = way.world(MTU);
        // Check.
        world.not_sent("no hop more", &error.bytes(), Reason::TtlExpired);
    }
}

/// Options, padding, and what is wrong.
#[test]
fn errors_of_all_sorts() {
    needs_flow_table!();
    for way in Way::all() {
        // Make.
        let (came, left) = if way.comes() == Family::V4 {
            FROM_IPV4[3]
        } else {
            FROM_IPV6[4]
        };
        let seen = way.quoted(Protocol::Udp, 101);
        let known = way.known(&seen, Protocol::Udp);
        let error = |quoted: &[u8]| way.error(came, quoted);
        let wanted = |quoted: &[u8]| way.error_left(&error(&[]), left, quoted).bytes();
        let usual = (error(&seen.packet()).bytes(), wanted(&known.packet()));
        let damaged = |mut frame: Vec<u8>| {
            *frame.last_mut().expect("a byte") ^= 0x40;
            frame
        };
        let unchecked = [&seen, &known].map(|frame| frame.clone().without_checksum().packet());
        let padded = |frame: &[u8]| [frame, &[0xee; 9][..]].concat();
        let mut rows = vec![
            ("padding", padded(&usual.0), padded(&usual.1)),
            ("damaged", damaged(usual.0.clone()), damaged(usual.1.clone())),
            ("no checksum", error(&unchecked[0]).bytes(), wanted(&unchecked[1])),
        ];
        if way.comes() == Family::V4 {
            let mut with_options = usual.0.clone();
            with_options.splice(34..34, [1; 8]);
            with_options[14] = 0x47;
            with_options[17] += 8;
            rows.push(("options", with_options, usual.1.clone()));
            // What the quoted header says of fragments, and its own checksum, end here.
            let mut fragment = seen.packet();
            fragment[6] |= 0x60;
            let mut wrong = seen.packet();
            wrong[10] ^= 0x5a;
            rows.push(("about a first fragment", error(&fragment).bytes(), usual.1.clone()));
            rows.push(("about a damaged header", error(&wrong).bytes(), usual.1.clone()));
        } else {
            let mut labelled = seen.packet();
            labelled[3] = 0x77;
            rows.push(("a flow label", error(&labelled).bytes(), usual.1.clone()));
        }
        // Set up.
        let mut world = way.world(MTU);
        for (what, packet, wanted) in rows {
            // Check.
            let what = format!("{way:?}: {what}");
            assert_same(&what, &world.sent(&what, &packet), &wanted);
        }
    }
}
