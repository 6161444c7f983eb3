//! Reasons that lie in the packet alone, whatever the maps say of its flow.

use lb_common::reason::Reason;
use lb_tests::packet::Frame;
use lb_tests::packet::places::{CLIENT, SERVICE, STRANGER};

use super::{Row, row};

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

pub fn rows() -> Vec<Row> {
    let mut rows = not_ours();
    rows.extend(malformed());
    rows.extend(not_forwarded());
    rows
}

fn not_ours() -> Vec<Row> {
    let other_port = std::net::SocketAddrV4::new(*SERVICE.ip(), 81);
    let no_port = std::net::SocketAddrV4::new(*SERVICE.ip(), 0);
    let tagged = {
        let mut packet = syn().bytes();
        packet.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
        packet
    };
    vec![
        row(Reason::NotIpv4, "ARP", patched(&syn(), at::ETHERTYPE, &[0x08, 0x06])),
        row(Reason::NotIpv4, "IPv6", patched(&syn(), at::ETHERTYPE, &[0x86, 0xdd])),
        row(Reason::NotIpv4, "a VLAN tag", tagged),
        row(Reason::NotIpv4, "an Ethernet header of IPv6 and nothing else", {
            cut(patched(&syn(), at::ETHERTYPE, &[0x86, 0xdd]), 14)
        }),
        row(
            Reason::NotTcpUdp,
            "ICMP to the VIP",
            patched(&syn(), at::PROTOCOL, &[1]),
        ),
        row(
            Reason::NotTcpUdp,
            "SCTP to the VIP",
            patched(&syn(), at::PROTOCOL, &[132]),
        ),
        row(
            Reason::NotTcpUdp,
            "a tunnel packet",
            syn().in_tunnel(*CLIENT.ip(), *SERVICE.ip()).bytes(),
        ),
        row(Reason::NoService, "another address", to_stranger().bytes()),
        row(Reason::NoService, "another port", syn().to(other_port).bytes()),
        row(Reason::NoService, "port 0", syn().to(no_port).bytes()),
        row(
            Reason::NoService,
            "a fragment that begins",
            patched(&to_stranger(), at::FRAGMENT, &[0x20, 0]),
        ),
        row(
            Reason::OtherFragment,
            "a later fragment",
            patched(&to_stranger(), at::FRAGMENT, &[0, 100]),
        ),
        row(
            Reason::OtherFragment,
            "the last fragment",
            patched(&to_stranger(), at::FRAGMENT, &[0x1f, 0xff]),
        ),
        row(Reason::OtherMalformed, "no IPv4 header at all", cut(syn().bytes(), 14)),
        row(
            Reason::OtherMalformed,
            "an IPv4 header cut short",
            cut(syn().bytes(), 33),
        ),
        row(
            Reason::OtherMalformed,
            "version 6",
            patched(&syn(), at::VERSION_IHL, &[0x65]),
        ),
        row(
            Reason::OtherMalformed,
            "four words of header",
            patched(&to_stranger(), at::VERSION_IHL, &[0x44]),
        ),
        row(
            Reason::OtherMalformed,
            "ports cut short",
            cut(to_stranger().bytes(), at::L4 + 3),
        ),
        row(Reason::OtherMalformed, "options that cover the ports", {
            patched(&to_stranger(), at::VERSION_IHL, &[0x4f])
        }),
    ]
}

fn malformed() -> Vec<Row> {
    let length = |frame: &Frame, bytes: u16| patched(frame, at::TOTAL_LENGTH, &bytes.to_be_bytes());
    let udp_length = |bytes: u16| patched(&datagram(), at::UDP_LENGTH, &bytes.to_be_bytes());
    let most_options = syn().ip_options(&[1; 40]);
    vec![
        row(Reason::ShortHeader, "ports cut short", cut(syn().bytes(), at::L4 + 3)),
        row(Reason::ShortHeader, "no ports", cut(syn().bytes(), at::L4)),
        row(Reason::ShortHeader, "ports behind the end of the options", {
            cut(most_options.bytes(), 14 + 60 + 3)
        }),
        row(
            Reason::ShortHeader,
            "TCP header cut short",
            cut(length(&syn(), 39), at::L4 + 19),
        ),
        row(
            Reason::ShortHeader,
            "UDP header cut short",
            cut(length(&datagram(), 27), at::L4 + 7),
        ),
        row(
            Reason::BadLength,
            "no words of header",
            patched(&syn(), at::VERSION_IHL, &[0x40]),
        ),
        row(
            Reason::BadLength,
            "four words of header",
            patched(&syn(), at::VERSION_IHL, &[0x44]),
        ),
        row(Reason::BadLength, "more than the frame", length(&syn(), 41)),
        row(
            Reason::BadLength,
            "far more than the frame",
            length(&datagram(), 0xffff),
        ),
        row(Reason::BadLength, "nothing", length(&syn(), 0)),
        row(Reason::BadLength, "less than the headers", length(&syn(), 39)),
        row(Reason::BadLength, "less than the UDP header", length(&datagram(), 27)),
        row(
            Reason::BadLength,
            "no TCP header",
            patched(&syn(), at::TCP_OFFSET, &[0]),
        ),
        row(
            Reason::BadLength,
            "four words of TCP header",
            patched(&syn(), at::TCP_OFFSET, &[0x40]),
        ),
        row(
            Reason::BadLength,
            "TCP options behind the end",
            patched(&syn(), at::TCP_OFFSET, &[0x60]),
        ),
        row(Reason::BadLength, "no UDP length", udp_length(0)),
        row(Reason::BadLength, "less UDP than its header", udp_length(7)),
        row(Reason::BadLength, "more UDP than packet", udp_length(17)),
    ]
}

fn not_forwarded() -> Vec<Row> {
    vec![
        row(
            Reason::Fragment,
            "the first of several",
            patched(&syn(), at::FRAGMENT, &[0x20, 0]),
        ),
        row(
            Reason::Fragment,
            "a later one",
            patched(&syn(), at::FRAGMENT, &[0x20, 10]),
        ),
        row(
            Reason::Fragment,
            "the last one",
            patched(&datagram(), at::FRAGMENT, &[0, 10]),
        ),
        row(Reason::TtlExpired, "time to live 1", syn().ttl(1).bytes()),
        row(Reason::TtlExpired, "time to live 0", datagram().ttl(0).bytes()),
    ]
}
