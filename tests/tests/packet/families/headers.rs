//! What an IPv6 packet can have between its header and TCP or UDP, and what ends there.

use etherparse::{IpNumber, ip_number};
use lb_common::reason::Reason;
use lb_tests::needs_bpf;
use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, Family, STRANGER6, backend6, client6};
use lb_tests::packet::{Frame, World, assert_same};
use lb_userspace::core::model::{Mode, Protocol};

use super::Cell;

const HOP_BY_HOP: IpNumber = ip_number::IPV6_HEADER_HOP_BY_HOP;
const ROUTING: IpNumber = ip_number::IPV6_ROUTE_HEADER;
const FRAGMENT: IpNumber = ip_number::IPV6_FRAGMENTATION_HEADER;
const DESTINATION: IpNumber = ip_number::IPV6_DESTINATION_OPTIONS;

/// Extension headers, each with its number.
type Chain = Vec<(IpNumber, Vec<u8>)>;
/// Makes a packet out of a SYN.
type Make = Box<dyn Fn(Frame) -> Vec<u8>>;

/// Options of so many units of 8 bytes, all padding.
fn options(units: u8) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(units) * 8];
    bytes[1] = units - 1;
    (bytes[2], bytes[3]) = (1, bytes.len() as u8 - 4);
    bytes
}

/// A routing header of a kind that nobody knows, with so many segments left.
fn routing(left: u8) -> Vec<u8> {
    vec![0, 0, 253, left, 0, 0, 0, 0]
}

/// A fragment header: offset in units of 8 bytes, and whether more follow.
fn fragment(offset: u16, more: bool) -> Vec<u8> {
    let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
    vec![0, 0, high, low, 0, 0, 0, 42]
}

fn cell(mode: Mode) -> Cell {
    Cell {
        mode,
        service: Family::V6,
        backend: Family::V6,
        protocol: Protocol::Tcp,
    }
}

fn syn() -> Frame {
    Frame::tcp(client6(0), Family::V6.service()).syn()
}

#[test]
fn a_packet_with_extension_headers_is_forwarded_with_them() {
    needs_bpf!();
    // Make: chains as long as they may be, and one that says that a packet is no fragment (RFC 6946).
    let chains: [(&str, Chain); 6] = [
        ("hop-by-hop options", vec![(HOP_BY_HOP, options(1))]),
        ("destination options", vec![(DESTINATION, options(3))]),
        ("a route that ends here", vec![(ROUTING, routing(0))]),
        ("a fragment that is all", vec![(FRAGMENT, fragment(0, false))]),
        ("eight of them", vec![(DESTINATION, options(1)); 8]),
        ("208 bytes", vec![(DESTINATION, options(26))]),
    ];
    for mode in [Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue] {
        for (what, chain) in &chains {
            let with = |frame: Frame| {
                let add = |frame: Frame, (number, bytes): &(IpNumber, Vec<u8>)| frame.extension(*number, bytes);
                chain.iter().fold(frame, add)
            };
            // Set up.
            let mut world = cell(mode).world();
            let packet = with(syn());
            // Check.
            let sent = world.sent(what, &packet.bytes());
            assert_same(what, &sent, &cell(mode).there(&packet).spread_as(&sent).bytes());
            if mode == Mode::Nat {
                let answer = with(Frame::tcp(backend6(1), client6(0)).syn_ack());
                let sent = world.sent(what, &answer.bytes());
                assert_same(what, &sent, &cell(mode).back(&answer).bytes());
                assert_eq!(sent[..6], lb_tests::packet::places::GATEWAY_MAC);
            } else {
                assert_eq!((&sent[..6], &sent[6..12]), (&BACKEND_MAC[..], &BALANCER_MAC[..]));
            }
        }
    }
}

/// Packets, the reason for those to a service, and for those to nobody here.
fn rows() -> Vec<(&'static str, Make, Reason, Reason)> {
    fn cut(frame: Frame, bytes: usize) -> Vec<u8> {
        frame.bytes()[..bytes].to_vec()
    }
    fn patched(frame: Frame, at: usize, byte: u8) -> Vec<u8> {
        let mut bytes = frame.bytes();
        bytes[at] = byte;
        bytes
    }
    use Reason::*;
    vec![
        (
            "nine headers",
            Box::new(|f| (0..9).fold(f, |f, _| f.extension(DESTINATION, &options(1))).bytes()),
            ExtensionHeaders,
            NoService,
        ),
        (
            "216 bytes of headers",
            Box::new(|f| f.extension(DESTINATION, &options(27)).bytes()),
            ExtensionHeaders,
            NoService,
        ),
        (
            "2 KiB of headers",
            Box::new(|f| {
                let f = f.extension(DESTINATION, &options(1));
                patched(f, 55, 255)
            }),
            ExtensionHeaders,
            NoService,
        ),
        (
            "a route that goes on",
            Box::new(|f| f.extension(ROUTING, &routing(1)).bytes()),
            ExtensionHeaders,
            NoService,
        ),
        (
            "a fragment header that ends behind the 255th byte",
            Box::new(|f| {
                let f = f.extension(DESTINATION, &options(26));
                f.extension(FRAGMENT, &fragment(3, true)).bytes()
            }),
            ExtensionHeaders,
            NoService,
        ),
        (
            "a later fragment",
            Box::new(|f| f.extension(FRAGMENT, &fragment(3, true)).bytes()),
            Fragment,
            OtherFragment,
        ),
        (
            "the last fragment",
            Box::new(|f| f.extension(FRAGMENT, &fragment(0x1fff, false)).bytes()),
            Fragment,
            OtherFragment,
        ),
        (
            "an IPv6 header cut short",
            Box::new(|f| cut(f, 53)),
            OtherMalformed,
            OtherMalformed,
        ),
        (
            "version 4",
            Box::new(|f| patched(f, 14, 0x45)),
            OtherMalformed,
            OtherMalformed,
        ),
        ("ports cut short", Box::new(|f| cut(f, 57)), ShortHeader, OtherMalformed),
        (
            "an extension header cut short",
            Box::new(|f| cut(f.extension(DESTINATION, &options(1)), 57)),
            ShortHeader,
            OtherMalformed,
        ),
        (
            "a fragment header cut short",
            Box::new(|f| cut(f.extension(FRAGMENT, &fragment(0, false)), 61)),
            ShortHeader,
            OtherMalformed,
        ),
        (
            "ports cut short behind an extension header",
            Box::new(|f| cut(f.extension(DESTINATION, &options(1)), 65)),
            ShortHeader,
            OtherMalformed,
        ),
        ("ICMPv6", Box::new(|f| patched(f, 20, 58)), NotTcpUdp, NotTcpUdp),
        ("nothing behind", Box::new(|f| patched(f, 20, 59)), NotTcpUdp, NotTcpUdp),
        (
            "ICMPv6 behind an extension header",
            Box::new(|f| patched(f.extension(DESTINATION, &options(1)), 54, 58)),
            NotTcpUdp,
            NotTcpUdp,
        ),
        (
            "more payload than frame",
            Box::new(|f| patched(f, 19, 21)),
            BadLength,
            NoService,
        ),
        ("no payload", Box::new(|f| patched(f, 19, 0)), BadLength, NoService),
        (
            "less payload than the TCP header",
            Box::new(|f| patched(f, 19, 19)),
            BadLength,
            NoService,
        ),
        (
            "hop limit 1",
            Box::new(|f| f.ttl(1).bytes()),
            TtlExpiredAnswered,
            NoService,
        ),
        (
            "hop limit 0",
            Box::new(|f| f.ttl(0).bytes()),
            TtlExpiredAnswered,
            NoService,
        ),
        (
            "another port",
            Box::new(|f| f.to(std::net::SocketAddr::new(Family::V6.service().ip(), 81)).bytes()),
            NoService,
            NoService,
        ),
    ]
}

#[test]
fn what_ends_here_is_counted_under_its_reason() {
    needs_bpf!();
    for mode in [Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue] {
        // Set up.
        let mut world = cell(mode).world();
        for (what, make, ours, of_others) in rows() {
            // Check.
            check(&mut world, what, &make(syn()), ours);
            let to_other = Frame::tcp(client6(0), STRANGER6).syn();
            if what != "another port" {
                check(&mut world, what, &make(to_other), of_others);
            }
        }
    }
}

fn check(world: &mut World, what: &str, packet: &[u8], reason: Reason) {
    let before = world.reasons();
    let outcome = world.not_sent(what, packet, reason);
    let after = world.reasons();
    let counted: u64 = after.iter().sum::<u64>() - before.iter().sum::<u64>();
    assert_eq!(counted, 1, "{what}");
    if outcome.verdict == lb_userspace::edge::dataplane::run::Verdict::Pass {
        assert_same(what, &outcome.packet, packet);
    }
}

/// What a service is found by is a hash: a packet that meets it is still compared.
#[test]
fn what_is_not_the_service_itself_is_nobodys() {
    needs_bpf!();
    let mut world = cell(Mode::L2).world();
    let door = Family::V6.service();
    let std::net::IpAddr::V6(address) = door.ip() else {
        panic!("{door} is not IPv6")
    };
    for bit in 0..128 {
        let other = std::net::Ipv6Addr::from_bits(address.to_bits() ^ 1 << bit);
        let packet = syn().to(std::net::SocketAddr::new(other.into(), door.port()));
        world.not_sent("another address", &packet.bytes(), Reason::NoService);
    }
    world.not_sent(
        "another protocol",
        &Frame::udp(client6(0), door).payload(b"x").bytes(),
        Reason::NoService,
    );
}
