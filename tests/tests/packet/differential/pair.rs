//! The program and the model, told the same.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use lb_common::abi::Tags;
use lb_common::flow::DEFAULT_HASH_KEY;
use lb_tests::model::{Backend, Balancer, Fate, Flows, Service, Wanted as Frame};
use lb_tests::packet::places::{CLIENT_HOP, Family, MTU, TUNNEL_PORT};
use lb_tests::packet::tag::{Tag, customer, hop_tags, provider};
use lb_tests::packet::world::key;
use lb_tests::packet::{Setup, World};
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::core::observed::{ResolvedHop, RouteHop};
use lb_userspace::core::plan::{Wanted, WantedBackend};
use lb_userspace::edge::dataplane::run::{Outcome, Verdict};

/// Slots of each table.
const TABLE_SIZE: u32 = 31;

/// What is particular about a service.
#[derive(Clone, Copy)]
pub struct Door {
    pub port: u16,
    pub mode: Mode,
    /// Number of its first backend, and how many there are.
    pub backends: (u8, u8),
    /// Whether those are of the other family.
    pub crossed: bool,
    /// VLANs that they are in; `None`: those that a packet came from.
    tags: Option<&'static [Tag]>,
    mtu: u16,
    mss_clamp: Option<u16>,
    has_hop: bool,
}

const PLAIN: Door = Door {
    port: 80,
    mode: Mode::Fullnat,
    backends: (10, 3),
    crossed: false,
    tags: Some(&[]),
    mtu: MTU,
    mss_clamp: None,
    has_hop: true,
};

/// Services of each family, each over TCP and UDP.
pub const DOORS: [Door; 15] = [
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
];

impl Door {
    pub fn vip(&self, family: Family, protocol: Protocol) -> Vip {
        Vip {
            port: self.port,
            ..family.vip(protocol)
        }
    }

    pub fn backend_family(&self, family: Family) -> Family {
        match (self.crossed, family) {
            (false, family) => family,
            (true, Family::V4) => Family::V6,
            (true, Family::V6) => Family::V4,
        }
    }

    fn wanted(&self, family: Family, protocol: Protocol) -> Wanted {
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
            sources: vec![of.source()],
            backends: (first..first + count).map(backend).collect(),
        }
    }
}

/// What became of packets.
#[derive(Default)]
pub struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn add(&mut self, fate: &Fate, outcome: &Outcome) {
        let kind = match (fate, outcome.verdict) {
            (Fate::Sent { .. }, _) => "sent",
            (Fate::Answered { .. }, Verdict::Tx) => "answered",
            (Fate::Answered { .. }, _) => "not answered, for many were",
            (Fate::Passed { reason, .. } | Fate::Dropped(reason), _) => reason.name(),
        };
        *self.0.entry(kind).or_default() += 1;
    }

    /// Whether the packets were of all sorts: that they agree says little otherwise.
    pub fn assert_all_kinds(&self) {
        let named = |kind: &str| self.0.get(kind).copied().unwrap_or(0);
        for kind in [
            "sent",
            "answered",
            "not_ip",
            "not_tcp_udp",
            "no_service",
            "other_fragment",
            "other_malformed",
            "short_header",
            "bad_length",
            "fragment",
            "no_backend",
            "no_next_hop",
            "no_flow",
            "extension_headers",
        ] {
            assert!(named(kind) > 10, "{kind}: {}", named(kind));
        }
        let all: u64 = self.0.values().sum();
        assert!(named("sent") * 4 > all, "{self}");
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<String> = self
            .0
            .iter()
            .map(|(kind, packets)| format!("{kind} {packets}"))
            .collect();
        f.write_str(&kinds.join(", "))
    }
}

pub struct Pair {
    world: World,
    model: Balancer,
    pub tally: Tally,
}

impl Pair {
    pub fn new() -> Self {
        let setup = Setup::default();
        let mut world = World::new(&setup);
        let clients = ResolvedHop {
            tags: hop_tags(&[customer(5)]),
            ..CLIENT_HOP
        };
        world.route_clients(Some(RouteHop::Via(clients)));
        let mut model = Balancer {
            services: Vec::new(),
            clients,
            hash_key: DEFAULT_HASH_KEY,
            ports: setup.ports,
            flows: Flows::default(),
        };
        for (door, family) in DOORS.iter().flat_map(|door| Family::BOTH.map(|family| (door, family))) {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let wanted = door.wanted(family, protocol);
                world.serve(&wanted);
                model.services.push(told(&wanted, &world, door.backend_family(family)));
            }
        }
        Self {
            world,
            model,
            tally: Tally::default(),
        }
    }

    /// Runs a packet through both; what they disagree on, if they do.
    pub fn difference(&mut self, packet: &[u8]) -> Option<String> {
        let fate = self.model.run(packet);
        let outcome = self.world.run(packet);
        self.tally.add(&fate, &outcome);
        let found = difference(&fate, &outcome)?;
        Some(format!(
            "{found}\nin    {packet:02x?}\nmodel {fate:02x?}\nprogram {:?} {:?} backend {} {:02x?}",
            outcome.verdict, outcome.reason, outcome.trace.backend, outcome.packet
        ))
    }
}

/// A service as the model is told of it.
fn told(wanted: &Wanted, world: &World, backends: Family) -> Service {
    let placed = world.placed(wanted.vip);
    let backend = |wanted: &WantedBackend| {
        let address = SocketAddr::new(wanted.key.address, wanted.key.port);
        let source: IpAddr = backends.source();
        (
            placed.backends[&wanted.key].id,
            Backend {
                address,
                hop: wanted.hop,
                source,
            },
        )
    };
    Service {
        vip: wanted.vip,
        mode: wanted.mode,
        tunnel_port: wanted.tunnel_port,
        mss_clamp: wanted.mss_clamp,
        owners: placed.owners.clone(),
        backends: wanted.backends.iter().map(backend).collect(),
    }
}

fn difference(fate: &Fate, outcome: &Outcome) -> Option<String> {
    let verdict = (outcome.verdict, outcome.reason);
    match fate {
        Fate::Sent { backend, frame } => {
            if verdict != (Verdict::Tx, None) || outcome.trace.backend != *backend {
                return Some("not sent there".to_owned());
            }
            of_frames(frame, &outcome.packet)
        }
        Fate::Answered { else_, .. } if verdict == (Verdict::Drop, Some(*else_)) => None,
        Fate::Answered { reason, frame, .. } => match verdict {
            (Verdict::Tx, Some(said)) if said == *reason => of_frames(frame, &outcome.packet),
            _ => Some("not answered".to_owned()),
        },
        Fate::Passed { reason, frame } => match verdict {
            (Verdict::Pass, Some(why)) if why == *reason => of_frames(frame, &outcome.packet),
            _ => Some("not passed for that".to_owned()),
        },
        Fate::Dropped(reason) => match verdict {
            (Verdict::Drop, Some(why)) if why == *reason => None,
            _ => Some("not dropped for that".to_owned()),
        },
    }
}

fn of_frames(wanted: &Frame, is: &[u8]) -> Option<String> {
    if wanted.bytes.len() != is.len() {
        return Some(format!("{} bytes instead of {}", is.len(), wanted.bytes.len()));
    }
    let word = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let mut masked = is.to_vec();
    let mut agree = |at: usize| masked[at..at + 2].copy_from_slice(&wanted.bytes[at..at + 2]);
    for at in wanted.sums.wrong.iter().copied() {
        let pair = (word(&wanted.bytes, at), word(is, at));
        if matches!(pair, (0, 0xffff) | (0xffff, 0)) {
            agree(at);
        }
    }
    if let Some(at) = wanted.sums.not_this {
        if word(&wanted.bytes, at) == word(is, at) {
            return Some(format!("the sum at {at} hides that something is wrong"));
        }
        agree(at);
    }
    if let Some(at) = wanted.sums.unknown {
        agree(at);
    }
    let place = masked.iter().zip(&wanted.bytes).position(|(is, wanted)| is != wanted)?;
    Some(format!("byte {place} is another"))
}
