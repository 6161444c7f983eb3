//! `decap`: unpacks what a balancer packed, and leaves everything else alone.

use std::net::{IpAddr, Ipv4Addr};

use lb_common::maps::decap;
use lb_tests::needs_bpf;
use lb_tests::packet::places::{
    BACKEND_MAC, BALANCER_MAC, CLIENT, Family, SERVICE, SOURCES, STRANGER, TUNNEL_PORT, backend, vip,
};
use lb_tests::packet::tag::{customer, provider, tagged};
use lb_tests::packet::{Frame, World, assert_same, bad_checksum, pool, service};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::core::prefix::Prefix;
use lb_userspace::edge::dataplane::run::Verdict;
use lb_userspace::edge::dataplane::single::Tunnels;
use lb_userspace::edge::dataplane::testing::Unpacker;

/// The address that balancers send to.
const HERE: Ipv4Addr = *backend(1).ip();

/// Offsets in a frame.
mod at {
    pub const ETHERTYPE: usize = 12;
    pub const OUTER: usize = 14;
    pub const OUTER_LENGTH: usize = 16;
    pub const OUTER_FRAGMENT: usize = 20;
    pub const OUTER_PROTOCOL: usize = 23;
    pub const INNER: usize = 34;
    pub const INNER_LENGTH: usize = 36;
    pub const UDP_PORT: usize = 36;
    pub const UDP_LENGTH: usize = 38;
    pub const IN_UDP: usize = 42;
}

fn unpacker(local: &[IpAddr], from: &[Prefix]) -> Unpacker {
    let tunnels = Tunnels {
        local,
        from,
        gue_port: TUNNEL_PORT,
    };
    Unpacker::new(tunnels).expect("decap loads")
}

struct Row {
    what: &'static str,
    packet: Vec<u8>,
    /// Index of the counter.
    outcome: u32,
    /// As it is passed on; `None`: it is not.
    after: Option<Vec<u8>>,
}

/// A client's packet as it comes from the balancer.
fn inner() -> Frame {
    Frame::tcp(CLIENT, SERVICE)
        .data(b"data")
        .macs(BALANCER_MAC, BACKEND_MAC)
}

fn packed() -> Frame {
    inner().in_tunnel(SOURCES[0], HERE)
}

fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut packet = packed().bytes();
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    packet
}

fn unpacked(what: &'static str, frame: Frame) -> Row {
    let packet = frame.clone().in_tunnel(SOURCES[0], HERE).bytes();
    let after = Some(frame.bytes());
    let outcome = decap::UNPACKED;
    Row {
        what,
        packet,
        outcome,
        after,
    }
}

fn other(what: &'static str, packet: Vec<u8>) -> Row {
    let after = Some(packet.clone());
    let outcome = decap::OTHER;
    Row {
        what,
        packet,
        outcome,
        after,
    }
}

fn dropped(outcome: u32, what: &'static str, packet: Vec<u8>) -> Row {
    let after = None;
    Row {
        what,
        packet,
        outcome,
        after,
    }
}

fn good() -> Vec<Row> {
    let udp = Frame::udp(CLIENT, SERVICE)
        .payload(b"question")
        .macs(BALANCER_MAC, BACKEND_MAC);
    vec![
        unpacked("TCP", inner()),
        unpacked("UDP", udp),
        unpacked("options inside", inner().ip_options(&[1; 40])),
        unpacked("filled up behind the packet", inner().padded(9)),
        unpacked("full size", inner().payload(&[0x33; 1440])),
        unpacked("congestion experienced", inner().dscp_and_ecn(46, 3)),
        unpacked_of_gue("TCP in UDP", inner()),
        unpacked_of_gue("options inside, in UDP", inner().ip_options(&[1; 40])),
        unpacked_of_gue("filled up behind the packet, in UDP", inner().padded(9)),
    ]
}

fn in_gue(frame: Frame) -> Frame {
    frame.in_gue(SOURCES[0], HERE, TUNNEL_PORT)
}

fn unpacked_of_gue(what: &'static str, frame: Frame) -> Row {
    Row {
        packet: in_gue(frame.clone()).bytes(),
        ..unpacked(what, frame)
    }
}

/// A packet in UDP with these bytes in it.
fn patched_in_gue(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut packet = in_gue(inner()).bytes();
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    packet
}

fn others() -> Vec<Row> {
    let elsewhere = inner().in_tunnel(SOURCES[0], *backend(2).ip());
    let mut optioned = patched(at::OUTER, &[0x46]);
    optioned.splice(at::INNER..at::INNER, [1, 1, 1, 1]);
    vec![
        other("no tunnel packet", Frame::tcp(CLIENT, backend(1)).syn().bytes()),
        other("no IPv4", patched(at::ETHERTYPE, &[0x86, 0xdd])),
        other("to another address", elsewhere.bytes()),
        other("another protocol", patched(at::OUTER_PROTOCOL, &[47])),
        other("options outside", optioned),
        other("the first fragment", patched(at::OUTER_FRAGMENT, &[0x20, 0])),
        other("a later fragment", patched(at::OUTER_FRAGMENT, &[0, 50])),
        other("UDP to another port", patched_in_gue(at::UDP_PORT, &[0x17, 0xc1])),
        other(
            "GUE with a header of its own",
            patched_in_gue(at::IN_UDP, &[0, 4, 0, 0]),
        ),
        other("nothing in UDP", in_gue(inner()).bytes()[..at::IN_UDP].to_vec()),
        other(
            "a UDP header cut short",
            in_gue(inner()).bytes()[..at::IN_UDP - 1].to_vec(),
        ),
        other("an Ethernet header alone", packed().bytes()[..14].to_vec()),
        other("an outer header cut short", packed().bytes()[..33].to_vec()),
    ]
}

fn bad() -> Vec<Row> {
    let from_elsewhere = inner().in_tunnel(*STRANGER.ip(), HERE);
    let length = |at, bytes: u16| patched(at, &bytes.to_be_bytes());
    let malformed = |what, packet| dropped(decap::MALFORMED, what, packet);
    vec![
        dropped(decap::NOT_ALLOWED, "from elsewhere", from_elsewhere.bytes()),
        malformed("less than the packet in UDP", patched_in_gue(at::UDP_LENGTH, &[0, 51])),
        malformed("more inside than UDP has", patched_in_gue(at::IN_UDP + 2, &[0, 45])),
        malformed(
            "cut in the packet in UDP",
            in_gue(inner()).bytes()[..at::IN_UDP + 30].to_vec(),
        ),
        malformed("IPv6 inside", patched(at::INNER, &[0x60])),
        malformed("an inner header cut short", packed().bytes()[..at::INNER + 19].to_vec()),
        malformed("nothing inside", packed().bytes()[..at::INNER].to_vec()),
        malformed("more inside than the outer header says", length(at::INNER_LENGTH, 45)),
        malformed("more than the frame", length(at::OUTER_LENGTH, 65)),
        malformed("less than what is inside", length(at::OUTER_LENGTH, 63)),
    ]
}

fn allowed() -> [Prefix; 1] {
    [Prefix {
        address: [10, 0, 0, 0].into(),
        length: 24,
    }]
}

#[test]
fn each_packet_has_its_outcome() {
    needs_bpf!();
    // Set up.
    let mut unpacker = unpacker(&[HERE.into()], &allowed());
    let mut counted = [0; decap::COUNT];
    // Make.
    for row in good().into_iter().chain(others()).chain(bad()) {
        for tags in [&[][..], &[customer(0x6064)], &[provider(10), customer(20)]] {
            // Check.
            let what = format!("{}, {tags:x?}", row.what);
            let (verdict, after) = unpacker.run(&tagged(&row.packet, tags)).expect("the kernel runs it");
            match &row.after {
                Some(wanted) => {
                    assert_eq!(verdict, Verdict::Pass, "{what}");
                    assert_same(&what, after, &tagged(wanted, tags));
                }
                None => assert_eq!(verdict, Verdict::Drop, "{what}"),
            }
            counted[row.outcome as usize] += 1;
            assert_eq!(unpacker.counters().expect("counters"), counted, "{what}");
        }
    }
    let in_three = tagged(&packed().bytes(), &[provider(1), provider(2), customer(3)]);
    let (verdict, after) = unpacker.run(&in_three).expect("the kernel runs it");
    assert_eq!(verdict, Verdict::Pass);
    assert_same("three tags", after, &in_three);
}

#[test]
fn without_a_list_anybody_may_send() {
    needs_bpf!();
    // Make.
    let packet = inner().in_tunnel(*STRANGER.ip(), HERE);
    // Set up.
    let mut unpacker = unpacker(&[HERE.into()], &[]);
    // Check.
    let (verdict, after) = unpacker.run(&packet.bytes()).expect("the kernel runs it");
    assert_eq!(verdict, Verdict::Pass);
    assert_same("unpacked", after, &inner().bytes());
}

#[test]
fn each_listed_prefix_and_address_counts() {
    needs_bpf!();
    // Make: from and to, and whether that is unpacked.
    let (near, far) = (Ipv4Addr::new(10, 0, 0, 200), Ipv4Addr::new(192, 168, 7, 1));
    let rows = [
        (near, HERE, decap::UNPACKED),
        (near, SOURCES[1], decap::UNPACKED),
        (far, HERE, decap::UNPACKED),
        (Ipv4Addr::new(192, 168, 7, 2), HERE, decap::NOT_ALLOWED),
        (Ipv4Addr::new(10, 0, 1, 0), HERE, decap::NOT_ALLOWED),
        (near, *STRANGER.ip(), decap::OTHER),
    ];
    // Set up.
    let [network] = allowed();
    let host = Prefix {
        address: far.into(),
        length: 32,
    };
    let mut unpacker = unpacker(&[HERE.into(), SOURCES[1].into()], &[network, host]);
    let mut counted = [0; decap::COUNT];
    for (from, to, outcome) in rows {
        // Check.
        unpacker
            .run(&inner().in_tunnel(from, to).bytes())
            .expect("the kernel runs it");
        counted[outcome as usize] += 1;
        assert_eq!(unpacker.counters().expect("counters"), counted, "{from} to {to}");
    }
}

/// What the balancer packs, `decap` unpacks: the client's packet, its time to live one less.
#[test]
fn there_and_back_again() {
    needs_bpf!();
    // Make.
    let tcp = || Frame::tcp(CLIENT, SERVICE);
    let udp = || Frame::udp(CLIENT, SERVICE);
    let packets = [
        tcp().syn().tcp_options(&[2, 4, 5, 0xb4]),
        tcp().data(b"odd"),
        tcp().data(&[7; 1432]).dscp_and_ecn(34, 2),
        tcp().ack().padded(6).ttl(2),
        tcp().fin().ip_options(&[1; 8]),
        udp().payload(b"question"),
        udp().payload(b"question").without_checksum(),
    ];
    let mut unpacker = unpacker(&[HERE.into()], &allowed());
    for mode in [Mode::Ipip, Mode::Gue] {
        // Set up.
        let mut world = World::default();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            world.serve(&service(vip(protocol), mode, pool([backend(1)])));
        }
        for packet in &packets {
            // Check.
            let packed = world.sent("packed", &packet.bytes());
            let (verdict, after) = unpacker.run(&packed).expect("the kernel runs it");
            assert_eq!(verdict, Verdict::Pass, "{mode:?}");
            let wanted = packet.clone().forwarded().macs(BALANCER_MAC, BACKEND_MAC);
            assert_same("unpacked", after, &wanted.bytes());
            assert_eq!(bad_checksum(after), None, "{mode:?}");
        }
    }
}

type Pack = fn(Frame, IpAddr, IpAddr) -> Frame;

/// Each tunnel, how it packs, and either family in either.
fn tunnels() -> impl Iterator<Item = (&'static str, Pack, Family, Family)> {
    let kinds: [(&str, Pack); 2] = [
        ("ipip", |frame, from, to| frame.in_tunnel(from, to)),
        ("gue", |frame, from, to| frame.in_gue(from, to, TUNNEL_PORT)),
    ];
    kinds.into_iter().flat_map(|(name, pack)| {
        let each = Family::BOTH.into_iter();
        each.flat_map(move |one| Family::BOTH.map(|other| (name, pack, one, other)))
    })
}

/// Either family in either, as the balancer packs it; and what Linux's own tunnels unpack too.
#[test]
fn either_family_in_either() {
    needs_bpf!();
    for (tunnel, pack, service, backend) in tunnels() {
        // Set up.
        let here = backend.backend(1).ip();
        let from = backend.source();
        let length = if from.is_ipv6() { 128 } else { 32 };
        let mut unpacker = unpacker(&[here], &[Prefix { address: from, length }]);
        let what = format!("{service:?} in {backend:?}, {tunnel}");
        let inner = Frame::tcp(service.client(0), service.service()).data(b"data");
        // Check.
        let (verdict, after) = unpacker.run(&pack(inner.clone(), from, here).bytes()).expect("it runs");
        assert_eq!(verdict, Verdict::Pass, "{what}");
        assert_same(&what, after, &inner.bytes());
        let stranger = backend.client(0).ip();
        let (verdict, _) = unpacker
            .run(&pack(inner.clone(), stranger, here).bytes())
            .expect("it runs");
        assert_eq!(verdict, Verdict::Drop, "{what}, from a stranger");
        let elsewhere = pack(inner.clone(), from, backend.backend(2).ip()).bytes();
        let (verdict, after) = unpacker.run(&elsewhere).expect("it runs");
        assert_eq!(verdict, Verdict::Pass, "{what}, to another host");
        assert_same(&what, after, &elsewhere);
        let mut short = pack(inner, from, here).bytes();
        short.truncate(short.len() - 1);
        let (verdict, _) = unpacker.run(&short).expect("it runs");
        assert_eq!(verdict, Verdict::Drop, "{what}, cut short");
        let counted = unpacker.counters().expect("counters");
        assert_eq!(counted, [1, 1, 1, 1, 0], "{what}");
    }
}

/// What a router has marked as congested comes out marked, or not at all (RFC 6040, figure 4).
#[test]
fn marks_of_congestion_are_handed_on() {
    needs_bpf!();
    const CONGESTED: u8 = 3;
    for (tunnel, pack, service, backend) in tunnels() {
        // Set up.
        let here = backend.backend(1).ip();
        let mut unpacker = unpacker(&[here], &[]);
        // Make.
        for ecn in 0..4 {
            let inner = Frame::udp(service.client(0), service.service())
                .payload(b"question")
                .dscp_and_ecn(46, ecn);
            let mut packet = pack(inner.clone(), backend.source(), here).bytes();
            mark(&mut packet, backend);
            let (verdict, after) = unpacker.run(&packet).expect("it runs");
            // Check.
            let what = format!("{ecn} of {service:?} in {backend:?}, {tunnel}");
            if ecn == 0 {
                assert_eq!(verdict, Verdict::Drop, "{what}");
            } else {
                assert_eq!(verdict, Verdict::Pass, "{what}");
                assert_same(&what, after, &inner.dscp_and_ecn(46, CONGESTED).bytes());
                assert_eq!(bad_checksum(after), None, "{what}");
            }
        }
        let counted = unpacker.counters().expect("counters");
        assert_eq!(counted, [3, 0, 0, 0, 1]);
    }
}

/// Marks the outer header as congested; its checksum is of no matter to the program.
fn mark(packet: &mut [u8], outer: Family) {
    match outer {
        Family::V4 => packet[15] |= 3,
        Family::V6 => packet[15] |= 3 << 4,
    }
}
