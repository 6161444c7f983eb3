//! Fragments that do not get to where their first one went, and why.

use lb_common::abi::FRAGMENT_SECONDS;
use lb_common::maps::default_limits;
use lb_common::reason::Reason;
use lb_tests::packet::fragment::cut;
use lb_tests::packet::places::{BALANCER_MAC, Family, ROUTER_MAC};
use lb_tests::packet::{Flows, Frame, assert_same, bad_checksum};
use lb_tests::{needs_bpf, needs_flow_table};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::edge::dataplane::run::Verdict;
use lb_userspace::edge::dataplane::testing::Hands;

use super::{Case, IDENTIFICATION, MOST};

/// A datagram of three fragments.
fn three(case: &Case) -> [Vec<u8>; 3] {
    let parts = cut(&case.datagram(4000).bytes(), IDENTIFICATION, MOST);
    parts.try_into().expect("three fragments")
}

#[test]
fn one_that_comes_before_its_first() {
    needs_bpf!();
    for case in Case::all() {
        // Make, set up.
        let [first, later, last] = three(&case);
        let mut world = case.world();
        // Check.
        let outcome = world.not_sent("the last", &last, Reason::Fragment);
        assert_eq!(outcome.verdict, Verdict::Drop, "{case:?}");
        world.sent("the first", &first);
        world.sent("a later one", &later);
        world.sent("the last once more", &last);
    }
}

/// They may be for this host, which puts them together.
#[test]
fn one_to_an_address_that_no_service_has_is_passed() {
    needs_bpf!();
    for case in Case::translating() {
        // Make.
        let [first, later, _] = cut(&case.answer(4000).bytes(), IDENTIFICATION, MOST)
            .try_into()
            .expect("three fragments");
        // Set up: the client has not asked, nor has this backend been asked.
        let mut world = case.world_of(&[2]);
        // Check.
        for (what, part, reason) in [
            ("a later one that comes first", &later, Reason::OtherFragment),
            ("the first", &first, Reason::NoService),
            ("a later one", &later, Reason::OtherFragment),
        ] {
            let outcome = world.not_sent(what, part, reason);
            assert_eq!(outcome.verdict, Verdict::Pass, "{case:?}: {what}");
            assert_same(what, &outcome.packet, part);
        }
    }
}

#[test]
fn one_of_another_datagram() {
    needs_bpf!();
    for case in Case::all() {
        // Make.
        let datagram = case.datagram(4000);
        let [first, later, _] = three(&case);
        let client = case.service.client(0);
        let other_client = match case.service {
            Family::V4 => std::net::SocketAddr::new([203, 0, 113, 8].into(), client.port()),
            Family::V6 => std::net::SocketAddr::new("2001:db8:feed:4:1:2:3:8".parse().unwrap(), client.port()),
        };
        let from_other = datagram.clone().from(other_client);
        let tcp = Frame::tcp(client, case.service.service()).payload(&[1; 4000]);
        let mut rows = vec![
            ("another identification", datagram.bytes(), IDENTIFICATION + 1),
            ("another client", from_other.bytes(), IDENTIFICATION),
        ];
        if case.service == Family::V4 {
            rows.push(("another protocol", tcp.bytes(), IDENTIFICATION));
        } else {
            // 32 bits of it count.
            rows.push(("another half", datagram.bytes(), IDENTIFICATION + 0x1_0000));
        }
        // Set up.
        let mut world = case.world();
        world.sent("the first", &first);
        // Check.
        for (what, frame, identification) in rows {
            let parts = cut(&frame, identification, MOST);
            world.not_sent(&format!("{case:?}: {what}"), &parts[1], Reason::Fragment);
        }
        world.sent("a later one", &later);
    }
}

#[test]
fn one_that_comes_too_late() {
    needs_bpf!();
    for case in Case::all() {
        // Make.
        let [first, later, last] = three(&case);
        // Set up.
        let mut world = case.world();
        let clock = Hands::on(&mut world.dataplane).expect("the maps are mapped").clock;
        let at = |second: u32| clock.store(0, &u64::from(second));
        at(1000);
        world.sent("the first", &first);
        // Check.
        at(1000 + FRAGMENT_SECONDS);
        world.sent("a later one", &later);
        at(1001 + FRAGMENT_SECONDS);
        world.not_sent("the last", &last, Reason::Fragment);
        world.sent("another first", &first);
        world.sent("the last", &last);
    }
}

#[test]
fn one_whose_backend_is_gone() {
    needs_bpf!();
    for case in Case::all() {
        // Make.
        let [first, later, _] = three(&case);
        // Set up.
        let mut world = case.world();
        world.sent("the first", &first);
        case.serve(&mut world, &[2]);
        // Check.
        let outcome = world.not_sent("a later one", &later, Reason::BackendGone);
        assert_eq!(outcome.verdict, Verdict::Drop, "{case:?}");
        world.remove(case.service.vip(Protocol::Udp));
        world.remove(case.service.vip(Protocol::Tcp));
        assert_ne!(world.run(&later).verdict, Verdict::Tx, "{case:?}");
    }
}

/// Of a TCP segment the first fragment has to have the whole header (RFC 1858, RFC 3128), of a datagram the eight bytes of UDP.
#[test]
fn a_first_one_without_its_header() {
    needs_bpf!();
    for case in Case::all() {
        // Make: a SYN whose options, or flags, come in the second fragment, and a length that is less than a header.
        let syn = Frame::tcp(case.service.client(0), case.service.service()).syn();
        let syn = syn.tcp_options(&[2, 4, 5, 0xb4]).payload(&[0; 100]);
        let mut short = cut(&case.datagram(100).bytes(), IDENTIFICATION, 8)[0].clone();
        let length = if case.service == Family::V4 { 38 } else { 66 };
        short[length..length + 2].copy_from_slice(&[0, 7]);
        let rows = [
            ("no flags", cut(&syn.bytes(), IDENTIFICATION, 8), Reason::ShortHeader),
            ("no options", cut(&syn.bytes(), IDENTIFICATION, 16), Reason::ShortHeader),
            (
                "half of the options",
                {
                    let mut parts = cut(&syn.bytes(), IDENTIFICATION, 24);
                    let l4 = if case.service == Family::V4 { 34 } else { 62 };
                    // 28 bytes of header, of which 24 are there.
                    parts[0][l4 + 12] = 0x70;
                    parts
                },
                Reason::BadLength,
            ),
            ("no length", vec![short], Reason::BadLength),
        ];
        // Set up.
        let mut world = case.world();
        for (what, parts, reason) in rows {
            // Check.
            world.not_sent(&format!("{case:?}: {what}"), &parts[0], reason);
            if let Some(later) = parts.get(1) {
                world.not_sent(&format!("{case:?}: {what}, a later one"), later, Reason::Fragment);
            }
        }
    }
}

/// IPv4 says nothing of later fragments (RFC 1122, section 3.2.2), IPv6 does.
#[test]
fn one_that_is_not_forwarded() {
    needs_bpf!();
    for case in Case::all() {
        // Make: one that came too far, and one that is larger than what the link takes, as its first was not.
        let first = cut(&case.datagram(4000).bytes(), IDENTIFICATION, 8);
        let too_far = cut(&case.datagram(4000).ttl(1).bytes(), IDENTIFICATION, MOST);
        let too_big = cut(&case.datagram(4000).bytes(), IDENTIFICATION, 1600);
        let rows = [
            ("too far", &too_far[1], Reason::TtlExpired, Reason::TtlExpiredAnswered),
            ("too big", &too_big[1], Reason::TooBig, Reason::TooBigAnswered),
        ];
        // Set up.
        let mut world = case.world();
        world.sent("the first", &first[0]);
        for (what, part, silent, answered) in rows {
            // Check.
            let what = format!("{case:?}: {what}");
            match case.service {
                Family::V4 => assert_eq!(world.not_sent(&what, part, silent).verdict, Verdict::Drop),
                Family::V6 => {
                    let answer = world.answered(&what, part, answered);
                    assert_eq!((&answer[..6], &answer[6..12]), (&ROUTER_MAC[..], &BALANCER_MAC[..]));
                    assert_eq!(bad_checksum(&answer), None, "{what}");
                }
            }
        }
        // A first one is answered as a whole packet is, and its later ones have nobody to follow.
        let [first, later, ..] = &cut(&case.datagram(4000).bytes(), IDENTIFICATION + 1, 1600)[..] else {
            panic!("two fragments at least")
        };
        let answer = world.answered("a first one that is too big", first, Reason::TooBigAnswered);
        assert_eq!(bad_checksum(&answer), None, "{case:?}");
        world.not_sent("its next", later, Reason::Fragment);
    }
}

#[test]
fn one_that_is_shorter_than_it_says() {
    needs_bpf!();
    for case in Case::all() {
        // Make.
        let [first, later, _] = three(&case);
        let cut_off = later[..later.len() - 1].to_vec();
        let mut less_than_header = later.clone();
        match case.service {
            Family::V4 => less_than_header[16..18].copy_from_slice(&[0, 19]),
            Family::V6 => less_than_header[18..20].copy_from_slice(&[0, 7]),
        }
        // Set up.
        let mut world = case.world();
        world.sent("the first", &first);
        // Check.
        world.not_sent("cut off", &cut_off, Reason::BadLength);
        world.not_sent("less than its header", &less_than_header, Reason::BadLength);
        world.sent("a later one", &later);
    }
}

/// More datagrams than are remembered: some later fragments are late, and no flow is touched.
#[test]
fn many_datagrams_at_once() {
    needs_flow_table!();
    for family in Family::BOTH {
        let case = Case {
            mode: Mode::Fullnat,
            service: family,
            backend: family,
            flow_table: true,
        };
        // Make: a flow's datagrams, with a fragment of 8 bytes each.
        let count = default_limits::FRAGMENTS + 4000;
        let datagram = case.datagram(16).bytes();
        let parts = |number: u32| cut(&datagram, number, 8);
        // Set up: flows that do nothing meanwhile.
        let mut world = case.world();
        for n in 0..500 {
            world.sent("a flow", &case.datagram(4).from(family.client(n)).bytes());
        }
        let flows = Flows::on(&mut world);
        let before = (flows.all(), flows.holders());
        // Check.
        let mut run = |number: u32, part: usize| {
            let outcome = world.runner.verdict(&world.dataplane, &parts(number)[part]);
            outcome.expect("the kernel runs it").0 == Verdict::Tx
        };
        let firsts = (0..count).filter(|number| run(*number, 0)).count();
        assert_eq!(firsts, count as usize, "all of them are sent");
        let followed = (0..count).filter(|number| run(*number, 1)).count();
        let most = default_limits::FRAGMENTS as usize;
        assert!((most / 2..=most).contains(&followed), "{followed} of {count}");
        assert!(
            (count - 100..count).all(|number| run(number, 1)),
            "the last ones are remembered"
        );
        assert_eq!((flows.all(), flows.holders()), before);
    }
}
