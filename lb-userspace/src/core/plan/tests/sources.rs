//! Numbers of source addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::sources::{Row, of, row};
use super::wanted_with;

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const C: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3));

type Addresses = &'static [IpAddr];

fn at(first: usize, count: usize, new: Addresses) -> Row {
    let new = new.to_vec();
    Row { first, count, new }
}

#[test]
fn an_address_keeps_its_number() {
    let rows: [(&str, Addresses, Addresses, Row); 10] = [
        ("the first ones", &[], &[A, B], at(0, 2, &[A, B])),
        ("the same", &[A, B], &[A, B], at(0, 2, &[])),
        ("in another order", &[A, B], &[B, A], at(0, 2, &[])),
        ("one more", &[A], &[A, B], at(0, 2, &[B])),
        ("one more, first", &[A], &[B, A], at(0, 2, &[B])),
        ("one less", &[A, B], &[B], at(1, 1, &[])),
        ("the last one and a new one", &[A, B], &[B, C], at(1, 2, &[C])),
        ("others", &[A], &[B, C], at(1, 2, &[B, C])),
        ("they do not adjoin", &[A, B], &[A, C], at(2, 1, &[C])),
        ("the same again", &[A, B, C], &[A, C], at(2, 1, &[])),
    ];
    for (what, numbered, list, wanted) in rows {
        assert_eq!(row(numbered, list), wanted, "{what}");
    }
}

#[test]
fn a_backend_has_the_sources_of_its_family() {
    let lists: [(Addresses, IpAddr, Addresses); 5] = [
        (&[A, C], B, &[A]),
        (&[A, B], C, &[C]),
        (&[C], A, &[A]),
        (&[], C, &[C]),
        (&[], IpAddr::V6(Ipv6Addr::UNSPECIFIED), &[]),
    ];
    for (sources, of_hop, wanted) in lists {
        assert_eq!(
            of(&wanted_with(sources.to_vec()), of_hop),
            wanted,
            "{sources:?} {of_hop}"
        );
    }
}
