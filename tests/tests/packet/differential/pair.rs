//! The program and the model, told the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use lb_common::flow::DEFAULT_HASH_KEY;
use lb_tests::model::{Backend, Balancer, Fate, Flow, Flows, Fragments, Service, Wanted as Frame};
use lb_tests::packet::places::{CLIENT_HOP, Family, GATEWAY_MAC};
use lb_tests::packet::tag::{customer, hop_tags, untagged};
use lb_tests::packet::{Setup, World};
use lb_userspace::core::model::{Limits, Mode};
use lb_userspace::core::observed::{ResolvedHop, RouteHop};
use lb_userspace::core::plan::{Wanted, WantedBackend};
use lb_userspace::edge::dataplane::run::{Outcome, Verdict};

use super::doors::DOORS;

/// What became of packets.
#[derive(Default)]
pub struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    /// `crossed`: backends that are of another family than their service in `fullnat`.
    fn add(&mut self, fate: &Fate, outcome: &Outcome, crossed: &BTreeSet<u32>) {
        let kind = match (fate, outcome.verdict) {
            (Fate::Sent { backend, frame }, _) if crossed.contains(backend) => across(&frame.bytes),
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
            "not_translated",
        ]
        .into_iter()
        .chain(ACROSS.concat())
        {
            assert!(named(kind) > 10, "{kind}: {}", named(kind));
        }
        let all: u64 = self.0.values().sum();
        assert!(named("sent") * 4 > all, "{self}");
    }
}

/// What goes from one IP version to the other, to backends and back.
const ACROSS: [[&str; 3]; 2] = [
    ["across", "across in part", "across, about one"],
    ["back across", "back across in part", "back across, about one"],
];

/// The kind of what was sent so.
fn across(frame: &[u8]) -> &'static str {
    let (_, frame) = untagged(frame);
    let (protocol, is_in_part) = match frame[14] >> 4 {
        4 => (frame[23], u16::from_be_bytes([frame[20], frame[21]]) & 0x3fff != 0),
        _ => (frame[20], frame[20] == 44),
    };
    let kind = match protocol {
        _ if is_in_part => 1,
        1 | 58 => 2,
        _ => 0,
    };
    ACROSS[usize::from(frame[..6] == GATEWAY_MAC)][kind]
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
    /// Backends of `fullnat` that are of another family than their service.
    crossed: BTreeSet<u32>,
    pub tally: Tally,
}

impl Pair {
    pub fn new() -> Self {
        let defaults = Setup::default();
        let setup = Setup {
            limits: Limits {
                services: 4 * DOORS.len() as u32 + 1,
                backends: 512,
                ..defaults.limits
            },
            ..defaults
        };
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
            fragments: Fragments::default(),
        };
        let mut crossed = BTreeSet::new();
        for (door, family) in DOORS.iter().flat_map(|door| Family::BOTH.map(|family| (door, family))) {
            for protocol in door.protocols {
                let wanted = door.wanted(family, *protocol);
                world.serve(&wanted);
                let service = told(&wanted, &world, door.backend_family(family));
                if door.crossed && door.mode == Mode::Fullnat {
                    crossed.extend(service.backends.keys());
                }
                model.services.push(service);
            }
        }
        Self {
            world,
            model,
            crossed,
            tally: Tally::default(),
        }
    }

    /// Flows of `fullnat` that have begun.
    pub fn flows(&self) -> &[Flow] {
        self.model.flows()
    }

    /// Later fragments that have followed their first.
    pub fn followed(&self) -> u64 {
        self.model.fragments.followed
    }

    /// Runs a packet through both; what they disagree on, if they do.
    pub fn difference(&mut self, packet: &[u8]) -> Option<String> {
        let fate = self.model.run(packet);
        let outcome = self.world.run(packet);
        self.tally.add(&fate, &outcome, &self.crossed);
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
    let wanted_spread = &wanted.spread;
    let backend = |wanted: &WantedBackend| {
        let address = SocketAddr::new(wanted.key.address, wanted.key.port);
        let spread = wanted_spread.first();
        (
            placed.backends[&wanted.key].id,
            Backend {
                address,
                hop: wanted.hop,
                source: spread.map_or(backends.source(), |spread| spread.address),
                spread: spread.map_or(0, |spread| spread.mask()),
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
