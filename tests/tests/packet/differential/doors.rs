//! The services that both are told of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::abi::Tags;
use lb_tests::packet::places::{Family, MTU, TUNNEL_PORT};
use lb_tests::packet::tag::{Tag, customer, hop_tags, provider};
use lb_tests::packet::world::key;
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::core::observed::ResolvedHop;
use lb_userspace::core::plan::{Wanted, WantedBackend};
use lb_userspace::core::prefix::Prefix;

/// Slots of each table.
const TABLE_SIZE: u32 = 31;

/// What is particular about a service.
#[derive(Clone, Copy)]
pub struct Door {
    pub port: u16,
    /// Of a range.
    last_port: Option<u16>,
    pub protocols: &'static [Protocol],
    /// Whether it has, instead of the service's address, a prefix: this much longer than the shortest.
    pub prefix: Option<u8>,
    pub mode: Mode,
    /// Number of its first backend, and how many there are.
    pub backends: (u8, u8),
    /// Whether those are of the other family.
    pub crossed: bool,
    /// VLANs that they are in; `None`: those that a packet came from.
    tags: Option<&'static [Tag]>,
    mtu: u16,
    mss_clamp: Option<u16>,
    /// Whether outer headers come from a prefix.
    is_spread: bool,
    has_hop: bool,
}

const PLAIN: Door = Door {
    port: 80,
    last_port: None,
    protocols: &[Protocol::Tcp, Protocol::Udp],
    prefix: None,
    mode: Mode::Fullnat,
    backends: (10, 3),
    crossed: false,
    tags: Some(&[]),
    mtu: MTU,
    mss_clamp: None,
    is_spread: false,
    has_hop: true,
};

/// Services of each family, one for each protocol.
pub const DOORS: [Door; 31] = [
    PLAIN,
    Door {
        port: 81,
        mode: Mode::Nat,
        backends: (20, 3),
        tags: Some(&[customer(7)]),
        ..PLAIN
    },
    Door {
        port: 82,
        mode: Mode::L2,
        backends: (30, 3),
        ..PLAIN
    },
    Door {
        port: 83,
        mode: Mode::Ipip,
        backends: (40, 3),
        tags: None,
        ..PLAIN
    },
    Door {
        port: 84,
        mode: Mode::Gue,
        backends: (50, 3),
        tags: Some(&[provider(8), customer(9)]),
        ..PLAIN
    },
    Door {
        port: 85,
        mode: Mode::Ipip,
        backends: (60, 2),
        crossed: true,
        ..PLAIN
    },
    Door {
        port: 86,
        mode: Mode::Gue,
        backends: (70, 2),
        crossed: true,
        ..PLAIN
    },
    // Nobody.
    Door {
        port: 87,
        mode: Mode::L2,
        backends: (80, 0),
        ..PLAIN
    },
    Door {
        port: 88,
        mode: Mode::L2,
        backends: (90, 1),
        has_hop: false,
        ..PLAIN
    },
    Door {
        port: 89,
        mode: Mode::Nat,
        backends: (100, 2),
        mtu: 576,
        ..PLAIN
    },
    Door {
        port: 90,
        mode: Mode::Gue,
        backends: (110, 2),
        mtu: 1280,
        ..PLAIN
    },
    Door {
        port: 91,
        mode: Mode::Nat,
        backends: (120, 2),
        mss_clamp: Some(1200),
        ..PLAIN
    },
    Door {
        port: 92,
        backends: (130, 2),
        mss_clamp: Some(536),
        ..PLAIN
    },
    Door {
        port: 93,
        mode: Mode::Gue,
        backends: (140, 2),
        mss_clamp: Some(1201),
        ..PLAIN
    },
    Door {
        port: 94,
        mode: Mode::L2,
        backends: (150, 2),
        mss_clamp: Some(1000),
        ..PLAIN
    },
    Door {
        port: 95,
        mode: Mode::Ipip,
        backends: (160, 2),
        is_spread: true,
        ..PLAIN
    },
    Door {
        port: 96,
        mode: Mode::Ipip,
        backends: (170, 2),
        is_spread: true,
        crossed: true,
        ..PLAIN
    },
    // Between IP versions; through links that take little, or more than usual.
    Door {
        port: 98,
        backends: (226, 3),
        crossed: true,
        ..PLAIN
    },
    Door {
        port: 99,
        backends: (230, 2),
        crossed: true,
        tags: Some(&[customer(11)]),
        mtu: 1280,
        ..PLAIN
    },
    Door {
        port: 100,
        backends: (232, 2),
        crossed: true,
        tags: None,
        mtu: 3300,
        mss_clamp: Some(1220),
        ..PLAIN
    },
    // A port of its own in the range of another, and that in the one that has all the others.
    Door {
        port: 200,
        mode: Mode::L2,
        backends: (180, 2),
        ..PLAIN
    },
    Door {
        port: 190,
        last_port: Some(309),
        mode: Mode::Gue,
        backends: (190, 2),
        ..PLAIN
    },
    Door {
        port: 0,
        last_port: Some(u16::MAX),
        mode: Mode::Ipip,
        backends: (200, 2),
        ..PLAIN
    },
    // Other protocols.
    Door {
        port: 97,
        protocols: &[Protocol::Sctp],
        mode: Mode::L2,
        backends: (210, 2),
        ..PLAIN
    },
    Door {
        port: 400,
        last_port: Some(499),
        protocols: &[Protocol::Sctp],
        mode: Mode::Gue,
        crossed: true,
        backends: (212, 2),
        ..PLAIN
    },
    Door {
        port: 0,
        last_port: Some(u16::MAX),
        protocols: &[Protocol::Any],
        mode: Mode::Gue,
        mtu: 1400,
        backends: (214, 2),
        ..PLAIN
    },
    // Prefixes in prefixes.
    Door {
        port: 80,
        prefix: Some(0),
        mode: Mode::Ipip,
        backends: (216, 2),
        ..PLAIN
    },
    Door {
        port: 70,
        last_port: Some(90),
        prefix: Some(2),
        protocols: &[Protocol::Tcp, Protocol::Sctp],
        mode: Mode::Gue,
        backends: (218, 2),
        ..PLAIN
    },
    Door {
        port: 81,
        prefix: Some(4),
        mode: Mode::L2,
        backends: (220, 2),
        ..PLAIN
    },
    Door {
        port: 0,
        last_port: Some(u16::MAX),
        prefix: Some(2),
        protocols: &[Protocol::Any],
        mode: Mode::L2,
        backends: (222, 2),
        ..PLAIN
    },
    // One address of them.
    Door {
        port: 82,
        prefix: Some(8),
        mode: Mode::Ipip,
        backends: (224, 2),
        ..PLAIN
    },
];

/// The shortest prefix, which goes to the last octet but for a bit.
fn shortest(family: Family) -> Prefix {
    match family {
        Family::V4 => Prefix {
            address: [198, 18, 7, 0].into(),
            length: 24,
        },
        Family::V6 => Prefix {
            address: [0x2001, 0xdb8, 0x18, 0, 0, 0, 0, 0x700].into(),
            length: 120,
        },
    }
}

/// An address of that, of which each of the longer ones has some.
pub fn in_prefix(family: Family, last: u8) -> IpAddr {
    match shortest(family).address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() | u32::from(last)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() | u128::from(last)).into(),
    }
}

impl Door {
    pub fn vip(&self, family: Family, protocol: Protocol) -> Vip {
        let one = Vip {
            last_port: self.last_port.unwrap_or(self.port),
            ..family.vip(protocol).at(self.port)
        };
        let Some(longer) = self.prefix else { return one };
        let Prefix { address, length } = shortest(family);
        Vip {
            address,
            length: length + longer,
            ..one
        }
    }

    pub fn backend_family(&self, family: Family) -> Family {
        if self.crossed { family.other() } else { family }
    }

    pub fn wanted(&self, family: Family, protocol: Protocol) -> Wanted {
        let of = self.backend_family(family);
        let hop = ResolvedHop {
            mtu: self.mtu,
            tags: self.tags.map_or(Tags::KEPT, hop_tags),
            ..of.hop()
        };
        let (first, count) = self.backends;
        let backend = |number| WantedBackend {
            key: key(of.backend(number)),
            weight: 100,
            alive: true,
            hop: self.has_hop.then_some(hop),
        };
        Wanted {
            vip: self.vip(family, protocol),
            mode: self.mode,
            table_size: TABLE_SIZE,
            tunnel_port: TUNNEL_PORT,
            mss_clamp: self.mss_clamp,
            spread: if self.is_spread { spread(of).into() } else { Vec::new() },
            sources: vec![of.source()],
            backends: (first..first + count).map(backend).collect(),
        }
    }
}

/// Of each family: with fewer bits than two bytes have, and with more.
fn spread(family: Family) -> [Prefix; 1] {
    let (address, length) = match family {
        Family::V4 => (IpAddr::from([10, 77, 16, 0]), 20),
        Family::V6 => (IpAddr::from([0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0]), 64),
    };
    [Prefix { address, length }]
}
