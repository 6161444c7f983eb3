//! Numbers of source addresses.

use std::net::Ipv4Addr;

use super::super::sources::{Row, row};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const C: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

type Addresses = &'static [Ipv4Addr];

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
