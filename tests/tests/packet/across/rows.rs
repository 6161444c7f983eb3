//! Packets with all that they can have, of either version.

use std::net::SocketAddr;

use etherparse::ip_number;
use lb_tests::packet::Frame;
use lb_tests::packet::frame::Transport;

/// Options of IPv4: no operation, router alert (RFC 2113), no operation, end.
const IP_OPTIONS: [u8; 8] = [1, 0x94, 4, 0, 0, 1, 1, 0];
/// Options of a usual SYN: segment size, selective acknowledgements, window scale.
const SYN_OPTIONS: [u8; 12] = [2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 1, 1];
/// Options of IPv6, all padding.
const OPTIONS: [u8; 16] = [0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// A route that ends here.
const ROUTING: [u8; 8] = [0, 0, 253, 0, 0, 0, 0, 0];
/// A fragment header that says that a packet is no fragment (RFC 6946).
const ATOMIC: [u8; 8] = [0, 0, 0, 0, 1, 2, 3, 4];

/// Each packet of a flow of its own, between what these say of its number.
pub fn rows(ends: impl Fn(u16) -> (SocketAddr, SocketAddr)) -> Vec<(&'static str, Frame)> {
    let mut rows: Vec<(&'static str, Frame)> = Vec::new();
    let is_ipv6 = ends(0).0.is_ipv6();
    let of_version = if is_ipv6 { of_ipv6 } else { of_ipv4 };
    for (what, is_tcp, make) in of_both().into_iter().chain(of_version()) {
        let (from, to) = ends(rows.len() as u16);
        let frame = if is_tcp {
            Frame::tcp(from, to)
        } else {
            Frame::udp(from, to)
        };
        rows.push((what, make(frame)));
    }
    rows
}

/// Whether a packet has to follow a SYN of its flow.
pub fn follows_a_syn(packet: &Frame) -> bool {
    matches!(&packet.transport, Transport::Tcp(header) if !header.syn || header.ack)
}

/// Description, whether it is TCP, and what makes it out of an empty one.
type Row = (&'static str, bool, fn(Frame) -> Frame);

fn of_both() -> Vec<Row> {
    vec![
        ("SYN", true, |f| f.syn()),
        ("SYN with options", true, |f| f.syn().tcp_options(&SYN_OPTIONS)),
        ("SYN with data", true, |f| f.syn().payload(b"fast open")),
        ("SYN ACK", true, |f| f.syn_ack().tcp_options(&SYN_OPTIONS)),
        ("ACK", true, |f| f.ack()),
        ("data", true, |f| f.data(b"GET / HTTP/1.1\r\n\r\n")),
        ("odd length", true, |f| f.data(b"odd")),
        ("FIN", true, |f| f.fin()),
        ("RST", true, |f| f.rst()),
        ("DSCP and ECN", true, |f| f.syn().dscp_and_ecn(46, 1)),
        ("congestion experienced", true, |f| f.data(b"abc").dscp_and_ecn(10, 3)),
        ("padding", true, |f| f.ack().padded(6)),
        ("one hop more", true, |f| f.ack().ttl(2)),
        ("many hops more", true, |f| f.ack().ttl(255)),
        ("full size", true, |f| f.data(&[0xa5; 1440])),
        ("UDP", false, |f| f.payload(b"question")),
        ("UDP, odd length", false, |f| f.payload(b"odd")),
        ("UDP without data", false, |f| f),
        ("UDP, DSCP and ECN", false, |f| f.payload(b"abc").dscp_and_ecn(63, 2)),
        ("UDP, padding", false, |f| f.payload(b"abc").padded(15)),
        ("UDP, one hop more", false, |f| f.ttl(2)),
        ("UDP, full size", false, |f| f.payload(&[0x5a; 1452])),
    ]
}

fn of_ipv4() -> Vec<Row> {
    vec![
        ("options", true, |f| f.data(b"odd").ip_options(&IP_OPTIONS)),
        ("most options", true, |f| f.data(b"x").ip_options(&[1; 40])),
        ("options and padding", true, |f| f.ack().ip_options(&[1; 4]).padded(5)),
        ("UDP, options", false, |f| f.payload(b"abc").ip_options(&IP_OPTIONS)),
        ("UDP, not to be fragmented", false, |f| {
            f.payload(b"abc").identified(7, true)
        }),
    ]
}

fn of_ipv6() -> Vec<Row> {
    vec![
        ("hop-by-hop options", true, |f| {
            f.ack().extension(ip_number::IPV6_HEADER_HOP_BY_HOP, &OPTIONS)
        }),
        ("destination options", true, |f| {
            f.data(b"odd").extension(ip_number::IPV6_DESTINATION_OPTIONS, &OPTIONS)
        }),
        ("a route that ends here, and padding", true, |f| {
            f.ack().extension(ip_number::IPV6_ROUTE_HEADER, &ROUTING).padded(5)
        }),
        ("a fragment header of a whole packet", true, |f| {
            f.ack().extension(ip_number::IPV6_FRAGMENTATION_HEADER, &ATOMIC)
        }),
        ("that in front of options", false, |f| {
            let f = f
                .payload(b"abc")
                .extension(ip_number::IPV6_FRAGMENTATION_HEADER, &ATOMIC);
            f.extension(ip_number::IPV6_DESTINATION_OPTIONS, &OPTIONS)
        }),
        ("as many headers as are followed", false, |f| {
            (0..8).fold(f.payload(b"odd"), |f, _| {
                f.extension(ip_number::IPV6_DESTINATION_OPTIONS, &OPTIONS)
            })
        }),
    ]
}
