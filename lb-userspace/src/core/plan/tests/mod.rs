//! Random histories, step by step.

mod maps;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::abi::tag_protocol;
use proptest::prelude::*;

use super::*;
use crate::core::model::{Limits, Protocol};
use crate::core::observed::RouteHop;
use maps::Maps;

/// Small, so that histories reach them.
const LIMITS: Limits = Limits {
    services: 9,
    backends: 20,
    slots: 120,
    flows: 64,
    sources: 3,
};

const TABLE_SIZES: [u32; 3] = [7, 13, 31];

/// What happens to a balancer.
#[derive(Clone, Debug)]
enum Event {
    Serve(Wanted),
    Remove(Vip),
    Routes(BTreeMap<Prefix, RouteHop>),
    Interfaces(BTreeSet<u32>),
    Flow(usize),
    /// A sweep that ends those flows whose bit is 0.
    Sweep(u64),
}

/// Services 2 and 3 have an IPv6 address.
fn vip(number: u8) -> Vip {
    let protocol = if number == 3 { Protocol::Udp } else { Protocol::Tcp };
    Vip::new(address(number >= 2, 0), 80 + u16::from(number), protocol)
}

fn address(is_ipv6: bool, last: u8) -> IpAddr {
    if is_ipv6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, last.into()).into()
    } else {
        Ipv4Addr::new(10, 0, 1, last).into()
    }
}

fn wanted_with(sources: Vec<IpAddr>) -> Wanted {
    Wanted {
        vip: vip(0),
        mode: Mode::Fullnat,
        table_size: 7,
        tunnel_port: 6080,
        spread: Vec::new(),
        mss_clamp: None,
        sources,
        backends: Vec::new(),
    }
}

fn hop(egress: u32, is_ipv6: bool) -> ResolvedHop {
    ResolvedHop {
        egress,
        source_mac: [2, 0, 0, 0, 0, egress as u8],
        destination_mac: [2, 0, 0, 0, 1, egress as u8],
        source: address(is_ipv6, 100 + egress as u8),
        mtu: 1500,
        // The second one is a VLAN.
        tags: match egress {
            1 => Tags::NONE,
            id => Tags::NONE.within(tag_protocol::CUSTOMER, id as u16).expect("one tag"),
        },
    }
}

fn hops(is_ipv6: bool) -> impl Strategy<Value = Option<ResolvedHop>> {
    prop_oneof![1 => Just(None), 6 => (1..3u32).prop_map(move |egress| Some(hop(egress, is_ipv6)))]
}

/// Backends of a service on ports of its own, as in `nat` they have to be.
fn backends(service: u8, mode: Mode) -> impl Strategy<Value = Vec<WantedBackend>> {
    let backend = move |host: u8| {
        let is_ipv6 = match mode {
            Mode::Nat | Mode::Fullnat => service >= 2,
            Mode::L2 | Mode::Ipip | Mode::Gue => host % 2 == 1,
        };
        (0..3u32, any::<bool>(), hops(is_ipv6)).prop_map(move |(weight, alive, hop)| WantedBackend {
            key: BackendKey {
                address: address(is_ipv6, 1 + host),
                port: 8000 + u16::from(service),
            },
            // What is not alive takes nothing new.
            weight: if alive { weight } else { 0 },
            alive,
            hop,
        })
    };
    proptest::sample::subsequence((0..6u8).collect::<Vec<_>>(), 0..=6)
        .prop_flat_map(move |hosts| hosts.into_iter().map(backend).collect::<Vec<_>>())
}

fn source_lists() -> impl Strategy<Value = Vec<IpAddr>> {
    let addresses: Vec<IpAddr> = (0..4).map(|n| address(n == 3, 200 + n)).collect();
    proptest::sample::subsequence(addresses, 0..=2).prop_shuffle()
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let modes = proptest::sample::select(&[Mode::Nat, Mode::Fullnat, Mode::L2, Mode::Ipip, Mode::Gue][..]);
    let sizes = proptest::sample::select(&TABLE_SIZES[..]);
    let ports = 6080..6082u16;
    (0..4u8, modes, sizes, ports, source_lists()).prop_flat_map(|(number, mode, table_size, tunnel_port, sources)| {
        backends(number, mode).prop_map(move |backends| Wanted {
            vip: vip(number),
            mode,
            table_size,
            tunnel_port,
            // As good a number as any.
            spread: Vec::new(),
            mss_clamp: Some(tunnel_port).filter(|port| port % 3 == 0),
            sources: sources.clone(),
            backends,
        })
    })
}

fn routes_wanted() -> impl Strategy<Value = BTreeMap<Prefix, RouteHop>> {
    let prefix = (0..3u8).prop_map(|n| Prefix {
        address: if n == 2 {
            address(true, 0)
        } else {
            Ipv4Addr::new(10 * n, 0, 0, 0).into()
        },
        length: 8 * n,
    });
    let to = hops(false).prop_map(|hop| hop.map_or(RouteHop::AskKernel, RouteHop::Via));
    proptest::collection::btree_map(prefix, to, 0..3)
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => wanted().prop_map(Event::Serve),
        1 => (0..4u8).prop_map(|number| Event::Remove(vip(number))),
        1 => routes_wanted().prop_map(Event::Routes),
        1 => proptest::collection::btree_set(1..4u32, 0..3).prop_map(Event::Interfaces),
        4 => any::<usize>().prop_map(Event::Flow),
        4 => any::<u64>().prop_map(Event::Sweep),
    ]
}

/// A balancer: its account, its maps, and what was accepted.
struct Balancer {
    image: Image,
    maps: Maps,
    wanted: BTreeMap<Vip, Wanted>,
}

impl Balancer {
    fn new() -> Self {
        Self {
            image: Image::new(LIMITS),
            maps: Maps::new(LIMITS.slots),
            wanted: BTreeMap::new(),
        }
    }

    fn go_through(&mut self, event: &Event) {
        let sweep = self.maps.sweeps;
        let ops = match event {
            Event::Serve(wanted) => self.serve(wanted),
            Event::Remove(vip) => {
                self.wanted.remove(vip);
                service_gone(&mut self.image, *vip, sweep)
            }
            Event::Routes(wanted) => routes(&mut self.image, wanted),
            Event::Interfaces(wanted) => interfaces(&mut self.image, wanted),
            Event::Flow(seed) => {
                self.maps.open_flow(*seed);
                Vec::new()
            }
            Event::Sweep(bits) => {
                let named = self.maps.sweep(|flow| bits >> (flow % 64) & 1 == 1);
                collect(&mut self.image, self.maps.sweeps, &named)
            }
        };
        self.maps.write(&ops);
    }

    fn serve(&mut self, wanted: &Wanted) -> Vec<Op> {
        let before = said(&self.image);
        match service(&mut self.image, wanted, self.maps.sweeps) {
            Ok(ops) => {
                self.wanted.insert(wanted.vip, wanted.clone());
                ops
            }
            Err(_) => {
                assert_eq!(said(&self.image), before, "a refusal leaves nothing half done");
                Vec::new()
            }
        }
    }
}

/// The account, but for which number is given out next.
fn said(image: &Image) -> String {
    let Image {
        services,
        regions,
        sources,
        egress,
        backs,
        routes,
        retired,
        ..
    } = image;
    let room = (image.service_ids.room(), image.backend_ids.room());
    format!("{services:?} {regions:?} {sources:?} {egress:?} {backs:?} {routes:?} {retired:?} {room:?}")
}

/// What a service looks like to its packets, whatever the numbers: mode, owner of each slot, entries, ways back.
type Content = (
    Mode,
    Vec<Option<BackendKey>>,
    BTreeMap<BackendKey, abi::Backend>,
    BTreeSet<BackendKey>,
);

fn content(image: &Image) -> BTreeMap<Vip, Content> {
    let of = |placed: &Placed| {
        let by_id: BTreeMap<u32, BackendKey> = placed.backends.iter().map(|(key, there)| (there.id, *key)).collect();
        let owners = placed.owners.iter().map(|id| by_id.get(id).copied()).collect();
        let mut entries = BTreeMap::new();
        for (key, there) in &placed.backends {
            let (service, source_count_or_spread) = (0, 0);
            let is_gue = there.entry.mode == Mode::Gue as u8;
            let source_first_or_tunnel_port = if is_gue {
                there.entry.source_first_or_tunnel_port
            } else {
                0
            };
            entries.insert(
                *key,
                abi::Backend {
                    service,
                    source_first_or_tunnel_port,
                    source_count_or_spread,
                    ..there.entry
                },
            );
        }
        let backs = image.backs.values().filter(|back| back.service == placed.id);
        let backs = backs.map(|back| by_id[&back.backend]).collect();
        (placed.mode, owners, entries, backs)
    };
    image.services.iter().map(|(vip, placed)| (*vip, of(placed))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// After every single store, whatever a packet can reach is whole; no number is given out while something names it; and the
    /// end is what a plan for empty maps would have made.
    #[test]
    fn any_history_is_safe_at_every_step(history in proptest::collection::vec(events(), 1..40)) {
        let mut balancer = Balancer::new();
        for event in &history {
            balancer.go_through(event);
            balancer.maps.assert_as_in(&balancer.image);
        }
        let mut fresh = Image::new(Limits { services: 100, backends: 1000, slots: 10_000, sources: 60, ..LIMITS });
        for wanted in balancer.wanted.values() {
            service(&mut fresh, wanted, 0).unwrap();
        }
        prop_assert_eq!(content(&balancer.image), content(&fresh));
        balancer.maps.assert_sources(&balancer.image, &balancer.wanted);
    }

    /// Planning what is there already writes nothing.
    #[test]
    fn a_second_plan_is_empty(history in proptest::collection::vec(events(), 1..20)) {
        let mut balancer = Balancer::new();
        history.iter().for_each(|event| balancer.go_through(event));
        for wanted in balancer.wanted.values() {
            prop_assert_eq!(service(&mut balancer.image, wanted, balancer.maps.sweeps).unwrap(), vec![]);
        }
    }

    /// What is retired comes free again: in the end nothing is in use but what is wanted.
    #[test]
    fn nothing_is_lost_for_good(history in proptest::collection::vec(events(), 1..40)) {
        let mut balancer = Balancer::new();
        history.iter().for_each(|event| balancer.go_through(event));
        for number in 0..4 {
            balancer.go_through(&Event::Remove(vip(number)));
        }
        for _ in 0..3 {
            balancer.go_through(&Event::Sweep(0));
        }
        let empty = Image::new(LIMITS);
        let image = &mut balancer.image;
        prop_assert_eq!(image.service_ids.room(), empty.service_ids.room());
        prop_assert_eq!(image.backend_ids.room(), empty.backend_ids.room());
        prop_assert_eq!(image.regions.take(LIMITS.slots), Some(0));
        prop_assert!(image.retired.is_empty() && image.backs.is_empty());
    }
}
