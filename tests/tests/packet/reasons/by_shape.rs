//! Reasons that lie in the packet alone, whatever the maps say of its flow.

use std::net::SocketAddrV4;

use etherparse::ip_number;
use lb_common::reason::Reason;
use lb_tests::packet::places::{CLIENT, Family, SERVICE, SERVICE6, STRANGER, backend6, client6};
use lb_tests::packet::tag::{customer, provider, tagged};
use lb_tests::packet::{Frame, Icmp, World, pool, service};
use lb_userspace::core::model::{Mode, Protocol};

use super::{Row, row, special};

/// Offsets in a frame without IPv4 options.
mod at {
    pub const ETHERTYPE: usize = 12;
    pub const VERSION_IHL: usize = 14;
    pub const TOTAL_LENGTH: usize = 16;
    pub const FRAGMENT: usize = 20;
    pub const PROTOCOL: usize = 23;
    pub const L4: usize = 34;
    pub const UDP_LENGTH: usize = 38;
    pub const TCP_OFFSET: usize = 46;
}

/// A packet with some bytes overwritten; the checksums are of no matter to the program.
fn patched(frame: &Frame, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut packet = frame.bytes();
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    packet
}

/// The first bytes of a packet.
fn cut(packet: Vec<u8>, length: usize) -> Vec<u8> {
    packet[..length].to_vec()
}

fn syn() -> Frame {
    Frame::tcp(CLIENT, SERVICE).syn()
}

fn datagram() -> Frame {
    Frame::udp(CLIENT, SERVICE).payload(b"question")
}

fn to_stranger() -> Frame {
    Frame::tcp(CLIENT, STRANGER).syn()
}

/// Packets that all have one reason.
fn each<const N: usize>(reason: Reason, packets: [(&'static str, Vec<u8>); N]) -> Vec<Row> {
    packets
        .into_iter()
        .map(|(what, packet)| row(reason, what, packet))
        .collect()
}

/// More of it in `packet::icmp`.
fn echo() -> Vec<Row> {
    let request = Icmp::new((*CLIENT.ip()).into(), (*SERVICE.ip()).into(), (8, 0));
    each(Reason::EchoAnswered, [("an echo request", request.bytes())])
}

pub fn rows() -> Vec<Row> {
    let groups = [
        echo(),
        not_ours(),
        of_others(),
        other_malformed(),
        short(),
        bad_length(),
        bad_udp_length(),
        not_forwarded(),
        extension_headers(),
    ];
    groups.into_iter().flatten().collect()
}

fn not_ours() -> Vec<Row> {
    let ethertype = |bytes: [u8; 2]| patched(&syn(), at::ETHERTYPE, &bytes);
    let in_three = tagged(&syn().bytes(), &[provider(1), provider(2), customer(3)]);
    let mut rows = each(
        Reason::NotIp,
        [
            ("ARP", ethertype([0x08, 0x06])),
            ("MPLS", ethertype([0x88, 0x47])),
            ("three VLAN tags", in_three),
            ("an Ethernet header and nothing else", cut(ethertype([0x88, 0x47]), 14)),
        ],
    );
    rows.extend(each(
        Reason::NotTcpUdp,
        [
            ("ICMP to the VIP", patched(&syn(), at::PROTOCOL, &[1])),
            ("SCTP to the VIP", patched(&syn(), at::PROTOCOL, &[132])),
            ("a tunnel packet", syn().in_tunnel(*CLIENT.ip(), *SERVICE.ip()).bytes()),
        ],
    ));
    rows
}

fn of_others() -> Vec<Row> {
    let to = |port| syn().to(SocketAddrV4::new(*SERVICE.ip(), port)).bytes();
    let fragment = |bytes: [u8; 2]| patched(&to_stranger(), at::FRAGMENT, &bytes);
    let mut rows = each(
        Reason::NoService,
        [
            ("another address", to_stranger().bytes()),
            ("another port", to(81)),
            ("port 0", to(0)),
            ("a fragment that begins", fragment([0x20, 0])),
        ],
    );
    rows.extend(each(
        Reason::OtherFragment,
        [
            ("a later fragment", fragment([0, 100])),
            ("the last fragment", fragment([0x1f, 0xff])),
        ],
    ));
    rows
}

fn other_malformed() -> Vec<Row> {
    each(
        Reason::OtherMalformed,
        [
            ("no IPv4 header at all", cut(syn().bytes(), 14)),
            (
                "no IPv6 header at all",
                cut(patched(&syn(), at::ETHERTYPE, &[0x86, 0xdd]), 14),
            ),
            ("an IPv4 header cut short", cut(syn().bytes(), 33)),
            ("version 6", patched(&syn(), at::VERSION_IHL, &[0x65])),
            (
                "four words of header",
                patched(&to_stranger(), at::VERSION_IHL, &[0x44]),
            ),
            ("ports cut short", cut(to_stranger().bytes(), at::L4 + 3)),
            (
                "options over the ports",
                patched(&to_stranger(), at::VERSION_IHL, &[0x4f]),
            ),
        ],
    )
}

/// A packet whose IPv4 header says that it has so many bytes.
fn long(frame: &Frame, bytes: u16) -> Vec<u8> {
    patched(frame, at::TOTAL_LENGTH, &bytes.to_be_bytes())
}

fn short() -> Vec<Row> {
    let optioned = syn().ip_options(&[1; 40]).bytes();
    each(
        Reason::ShortHeader,
        [
            ("ports cut short", cut(syn().bytes(), at::L4 + 3)),
            ("no ports", cut(syn().bytes(), at::L4)),
            ("ports cut short behind options", cut(optioned, at::L4 + 40 + 3)),
            ("TCP header cut short", cut(long(&syn(), 39), at::L4 + 19)),
            ("UDP header cut short", cut(long(&datagram(), 27), at::L4 + 7)),
        ],
    )
}

fn bad_length() -> Vec<Row> {
    let words = |byte: u8| patched(&syn(), at::VERSION_IHL, &[byte]);
    let tcp_words = |byte: u8| patched(&syn(), at::TCP_OFFSET, &[byte]);
    each(
        Reason::BadLength,
        [
            ("no words of header", words(0x40)),
            ("four words of header", words(0x44)),
            ("more than the frame", long(&syn(), 41)),
            ("far more than the frame", long(&datagram(), 0xffff)),
            ("nothing", long(&syn(), 0)),
            ("less than the headers", long(&syn(), 39)),
            ("less than the UDP header", long(&datagram(), 27)),
            ("no TCP header", tcp_words(0)),
            ("four words of TCP header", tcp_words(0x40)),
            ("TCP options behind the end", tcp_words(0x60)),
        ],
    )
}

fn bad_udp_length() -> Vec<Row> {
    let says = |bytes: u16| patched(&datagram(), at::UDP_LENGTH, &bytes.to_be_bytes());
    each(
        Reason::BadLength,
        [
            ("no UDP length", says(0)),
            ("less UDP than its header", says(7)),
            ("more UDP than packet", says(17)),
        ],
    )
}

fn not_forwarded() -> Vec<Row> {
    let mut rows = each(
        Reason::Fragment,
        [
            (
                "a later one that comes first",
                patched(&syn(), at::FRAGMENT, &[0x20, 10]),
            ),
            ("the last one, too", patched(&datagram(), at::FRAGMENT, &[0, 10])),
        ],
    );
    rows.extend(each(
        Reason::TtlExpiredAnswered,
        [
            ("time to live 1", syn().ttl(1).bytes()),
            ("time to live 0", datagram().ttl(0).bytes()),
        ],
    ));
    let nobody = SocketAddrV4::new([224, 0, 0, 5].into(), 40000);
    rows.extend(each(
        Reason::TtlExpired,
        [("time to live 1, from a group", syn().from(nobody).ttl(1).bytes())],
    ));
    rows
}

/// More of them in `packet::families`.
fn extension_headers() -> Vec<Row> {
    let [kind, left] = [253, 1];
    let routing = [0, 0, kind, left, 0, 0, 0, 0];
    let syn = Frame::tcp(client6(0), SERVICE6).syn();
    let packet = syn.extension(ip_number::IPV6_ROUTE_HEADER, &routing).bytes();
    let fill = |world: &mut World| {
        let vip = Family::V6.vip(Protocol::Tcp);
        world.serve(&service(vip, Mode::L2, pool([backend6(1)])));
    };
    vec![special(Reason::ExtensionHeaders, "a route that goes on", packet, fill)]
}
