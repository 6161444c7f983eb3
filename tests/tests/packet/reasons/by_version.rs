//! Reasons between a service and a backend of different IP versions. More of them are in `packet::across`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::ip_number;
use lb_common::reason::Reason;
use lb_tests::packet::fragment::cut;
use lb_tests::packet::places::{Family, MTU};
use lb_tests::packet::{Frame, Icmp, World, pool, service};
use lb_userspace::core::model::{Mode, Protocol};

use super::{Row, of_fullnat};

/// The service of this family with one backend of the other, and a client's flow over UDP.
fn across(world: &mut World, family: Family) {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut wanted = service(family.vip(protocol), Mode::Fullnat, pool([family.other().backend(1)]));
        wanted.sources = vec![family.other().source()];
        world.serve(&wanted);
    }
    world.sent("a question", &udp(family).bytes());
}

fn from_ipv4(world: &mut World) {
    across(world, Family::V4);
}

fn from_ipv6(world: &mut World) {
    across(world, Family::V6);
}

fn udp(family: Family) -> Frame {
    Frame::udp(family.client(0), family.service())
}

fn tcp(family: Family) -> Frame {
    Frame::tcp(family.client(0), family.service())
}

/// The first fragment of a datagram.
fn first(frame: &Frame, most: usize) -> Vec<u8> {
    cut(&frame.clone().payload(&[0x77; 3000]).bytes(), 7, most).remove(0)
}

/// An error about a backend's answer.
fn error(family: Family, says: (u8, u8), quoted: usize) -> Vec<u8> {
    let answer = Frame::udp(family.service(), family.client(0)).payload(&vec![0x22; quoted]);
    let (from, to) = (family.client(0).ip(), family.service().ip());
    Icmp::new(from, to, says).payload(&answer.packet()).bytes()
}

pub fn rows() -> Vec<Row> {
    let [v4, v6] = Family::BOTH;
    let unspecified = |frame: Frame, address: std::net::IpAddr| frame.from(SocketAddr::new(address, 40000));
    let nobody = [
        unspecified(udp(v4), Ipv4Addr::UNSPECIFIED.into()),
        unspecified(udp(v6), Ipv6Addr::UNSPECIFIED.into()),
    ];
    let options = [0, 0, 1, 4, 0, 0, 0, 0];
    let with_options = udp(v6).extension(ip_number::IPV6_DESTINATION_OPTIONS, &options);
    let (full, fitting) = (usize::from(MTU), usize::from(MTU) - 20 - 20 - 8);
    vec![
        of_fullnat(
            Reason::NotTranslated,
            "a fragment of UDP without a checksum",
            first(&udp(v4).without_checksum(), 800),
            from_ipv4,
        ),
        of_fullnat(
            Reason::NotTranslated,
            "a fragment with a header in it",
            first(&with_options, 800),
            from_ipv6,
        ),
        of_fullnat(
            Reason::NotTranslated,
            "an error of IPv4 alone",
            error(v4, (3, 14), 8),
            from_ipv4,
        ),
        of_fullnat(
            Reason::NotTranslated,
            "an error of IPv6 alone",
            error(v6, (1, 5), 8),
            from_ipv6,
        ),
        of_fullnat(
            Reason::TooBig,
            "an error that grows",
            error(v4, (3, 3), fitting),
            from_ipv4,
        ),
        of_fullnat(
            Reason::TooBigAnswered,
            "a packet that grows",
            udp(v4).payload(&vec![1; full - 28 - 19]).bytes(),
            from_ipv4,
        ),
        of_fullnat(
            Reason::TooBigAnswered,
            "a fragment that grows",
            first(&udp(v4), 1456),
            from_ipv4,
        ),
        of_fullnat(
            Reason::TooBigAnswered,
            "a packet that does not shrink enough",
            udp(v6).payload(&vec![1; full - 48 + 21]).bytes(),
            from_ipv6,
        ),
        of_fullnat(
            Reason::TtlExpiredAnswered,
            "no hop more",
            udp(v4).ttl(1).bytes(),
            from_ipv4,
        ),
        of_fullnat(
            Reason::NoFlow,
            "data of an unknown flow",
            tcp(v6).data(b"x").bytes(),
            from_ipv6,
        ),
        of_fullnat(Reason::BadSource, "from 0.0.0.0", nobody[0].bytes(), from_ipv4),
        of_fullnat(Reason::BadSource, "from ::", nobody[1].bytes(), from_ipv6),
    ]
}
