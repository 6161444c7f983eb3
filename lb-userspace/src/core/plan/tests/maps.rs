//! The maps as a packet finds them: after each single store everything that it can reach must be right.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use lb_common::abi::{self, NO_BACKEND, Tags, backend_flags, service_flags};

use super::super::{Op, Wanted, entry};
use crate::core::image::{BackOf, BackendKey, Image, Named};
use crate::core::model::{Mode, Protocol, Vip};
use crate::core::prefix::Prefix;

/// Sweeps that lie between a number's last use and its next: a grace period is over by then.
const REST: u64 = 2;

#[derive(Default)]
pub struct Maps {
    vips: BTreeMap<Vip, u16>,
    addresses: BTreeSet<Prefix>,
    services: HashMap<u16, abi::Service>,
    slots: Vec<u32>,
    backends: HashMap<u32, abi::Backend>,
    backend_tags: HashMap<u32, Tags>,
    backs: BTreeMap<BackOf, abi::Back>,
    routes: BTreeMap<Prefix, abi::Hop>,
    egress: BTreeSet<u32>,
    /// By number.
    sources: Vec<IpAddr>,
    /// Service and backend of each flow in the table.
    flows: Vec<(u16, u32)>,
    /// The janitor's sweeps so far.
    pub sweeps: u64,
    /// The last sweep before which a packet could reach them.
    backend_seen: HashMap<u32, u64>,
    service_seen: HashMap<u16, u64>,
    slot_seen: HashMap<u32, u64>,
}

impl Maps {
    pub fn new(slots: u32) -> Self {
        Self {
            slots: vec![NO_BACKEND; slots as usize],
            ..Self::default()
        }
    }

    /// Writes steps, and looks at what a packet would find after each store.
    pub fn write(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Slots { changes } => {
                    for (slot, backend) in changes {
                        self.store_slot(*slot, *backend);
                        self.look();
                    }
                }
                other => self.store(other),
            }
            self.look();
        }
    }

    fn store_slot(&mut self, slot: u32, backend: u32) {
        if !self.is_reachable(slot) {
            assert_rested(self.slot_seen.get(&slot), self.sweeps, format!("slot {slot}"));
        }
        self.slots[slot as usize] = backend;
    }

    fn is_reachable(&self, slot: u32) -> bool {
        let holds =
            |service: &abi::Service| (service.table_base..service.table_base + service.table_size).contains(&slot);
        self.reachable().any(|(_, _, service)| holds(service))
    }

    fn store(&mut self, op: &Op) {
        match op {
            Op::Egress { index } => assert!(self.egress.insert(*index)),
            Op::EgressGone { index } => assert!(self.egress.remove(index)),
            Op::Source { number, address } => {
                assert_eq!(*number as usize, self.sources.len(), "numbers come in turn");
                assert!(
                    !self.sources.contains(address),
                    "{address} has a number already: its flows would be lost"
                );
                self.sources.push(*address);
            }
            Op::BackendTags { id, tags } => drop(self.backend_tags.insert(*id, *tags)),
            Op::Backend { id, entry } => match self.backends.insert(*id, *entry) {
                Some(before) => {
                    let fixed = |entry: &abi::Backend| (entry.address, entry.port, entry.mode, entry.service);
                    assert_eq!(fixed(&before), fixed(entry), "backend {id} became another one");
                }
                None => {
                    assert!(
                        self.flows.iter().all(|(_, backend)| backend != id),
                        "flows name backend {id}"
                    );
                    assert_rested(self.backend_seen.get(id), self.sweeps, format!("backend {id}"));
                }
            },
            Op::BackendCleared { id } => {
                assert!(self.backends.remove(id).is_some(), "backend {id} is cleared twice");
                assert!(
                    self.flows.iter().all(|(_, backend)| backend != id),
                    "flows name backend {id}"
                );
            }
            Op::Service { id, entry } => self.store_service(*id, entry),
            Op::ServiceChanged { id, entry } => {
                let before = self.services.insert(*id, *entry).expect("it is there");
                let fixed = |entry: &abi::Service| (entry.address, entry.port, entry.protocol, entry.table_base);
                assert_eq!(fixed(&before), fixed(entry), "service {id} became another one");
            }
            Op::Vip { vip, service } => drop(self.vips.insert(*vip, *service)),
            Op::VipGone { vip } => assert!(self.vips.remove(vip).is_some()),
            Op::Address { prefix } => assert!(self.addresses.insert(*prefix)),
            Op::AddressGone { prefix } => assert!(self.addresses.remove(prefix)),
            Op::Back { of, entry } => drop(self.backs.insert(*of, *entry)),
            Op::BackGone { of } => assert!(self.backs.remove(of).is_some()),
            Op::Route { prefix, hop } => drop(self.routes.insert(*prefix, *hop)),
            Op::RouteGone { prefix } => assert!(self.routes.remove(prefix).is_some()),
            Op::Slots { .. } => unreachable!("stored one by one"),
        }
    }

    fn store_service(&mut self, id: u16, entry: &abi::Service) {
        assert!(
            self.flows.iter().all(|(service, _)| *service != id),
            "flows name service {id}"
        );
        assert_rested(self.service_seen.get(&id), self.sweeps, format!("service {id}"));
        if *entry == abi::Service::NONE {
            assert!(self.services.remove(&id).is_some(), "service {id} is cleared twice");
        } else {
            assert!(
                self.backends.values().all(|backend| backend.service != id),
                "a backend of another service {id} would count for this one"
            );
            assert!(
                self.services.insert(id, *entry).is_none(),
                "the number of service {id} is in use"
            );
        }
    }

    /// Services that packets find.
    fn reachable(&self) -> impl Iterator<Item = (&Vip, u16, &abi::Service)> {
        self.vips
            .iter()
            .map(|(key, id)| (key, *id, self.services.get(id).expect("the service is there")))
    }

    fn table(&self, service: &abi::Service) -> &[u32] {
        let base = service.table_base as usize;
        &self.slots[base..base + service.table_size as usize]
    }

    /// What holds for every packet at every moment.
    fn look(&mut self) {
        for (vip, number, service) in self.reachable() {
            assert_eq!(
                (service.address, service.port, service.protocol),
                (vip.address.into(), vip.port.to_be(), vip.protocol.number())
            );
            for id in self.table(service).iter().filter(|id| **id != NO_BACKEND) {
                let backend = self
                    .backends
                    .get(id)
                    .expect("a slot names a backend that is in its map");
                self.look_at_backend(service, number, *id, backend);
            }
        }
        let seen: Vec<(u16, abi::Service)> = self.reachable().map(|(_, id, service)| (id, *service)).collect();
        for (id, service) in seen {
            self.service_seen.insert(id, self.sweeps);
            for slot in service.table_base..service.table_base + service.table_size {
                self.slot_seen.insert(slot, self.sweeps);
                self.backend_seen.insert(self.slots[slot as usize], self.sweeps);
            }
        }
    }

    fn look_at_backend(&self, service: &abi::Service, number: u16, id: u32, backend: &abi::Backend) {
        assert_eq!(backend.service, number, "a slot names another service's backend");
        assert_eq!(
            u32::from(backend.mode),
            service.flags >> service_flags::MODE_SHIFT & 0xff
        );
        assert_eq!(backend.protocol, service.protocol);
        if backend.mode == Mode::Nat as u8 {
            let address = backend.address.ip(backend.flags & backend_flags::IPV6 != 0);
            let port = u16::from_be(backend.port);
            let from = BackOf {
                backend: BackendKey { address, port },
                protocol: Protocol::from_number(backend.protocol).expect("one that a service has"),
            };
            let back = self.backs.get(&from);
            let back = back.unwrap_or_else(|| panic!("backend {id} has no way back, and a packet can go there"));
            let leads_to = self
                .services
                .get(&back.service)
                .expect("the way back knows its address");
            assert_eq!(
                (leads_to.address, leads_to.port),
                (service.address, service.port),
                "the way back of backend {id}"
            );
        }
        let end = usize::from(backend.source_first_or_tunnel_port) + usize::from(backend.source_count_or_spread);
        let is_fullnat = backend.mode == Mode::Fullnat as u8;
        assert!(
            !is_fullnat || end <= self.sources.len(),
            "a backend has a source without a number"
        );
    }

    /// A packet begins a flow: it goes where its slot says.
    pub fn open_flow(&mut self, seed: usize) {
        let is_fullnat = |service: &abi::Service| service.flags & service_flags::FLOW_TABLE != 0;
        let found = self.reachable().map(|(_, id, service)| (id, *service));
        let found: Vec<(u16, abi::Service)> = found.filter(|(_, service)| is_fullnat(service)).collect();
        if found.is_empty() {
            return;
        }
        let (id, service) = found[seed % found.len()];
        let table = self.table(&service);
        let backend = table[seed / 7 % table.len()];
        if backend != NO_BACKEND {
            self.flows.push((id, backend));
        }
    }

    /// A sweep: the flows of dead backends and of services that are gone are over, and those that `keeps` does not keep.
    pub fn sweep(&mut self, mut keeps: impl FnMut(usize) -> bool) -> Named {
        self.sweeps += 1;
        let mut number = 0;
        let alive = |id: &u32| self.backends[id].flags & abi::backend_flags::ALIVE != 0;
        self.flows.retain(|(_, backend)| {
            number += 1;
            alive(backend) && keeps(number)
        });
        Named {
            services: self.flows.iter().map(|(service, _)| *service).collect(),
            backends: self.flows.iter().map(|(_, backend)| *backend).collect(),
        }
    }

    /// The account says what is in the maps.
    pub fn assert_as_in(&self, image: &Image) {
        let mut vips = BTreeMap::new();
        for (vip, placed) in &image.services {
            let service = entry::service(*vip, placed);
            assert_eq!(self.table(&service), placed.owners, "{vip}");
            for backend in placed.backends.values() {
                assert_eq!(self.backends.get(&backend.id), Some(&backend.entry), "{vip}");
                let is_tagged = backend.entry.flags & backend_flags::TAGGED != 0;
                assert_eq!(is_tagged, backend.tags != Tags::NONE, "{vip}");
                let tags = self.backend_tags.get(&backend.id).filter(|_| is_tagged);
                assert_eq!(*tags.unwrap_or(&Tags::NONE), backend.tags, "{vip}");
            }
            assert_eq!(self.services.get(&placed.id), Some(&service), "{vip}");
            vips.insert(*vip, placed.id);
        }
        assert_eq!(self.vips, vips);
        assert_eq!(self.addresses, vips.keys().map(|vip| vip.prefix()).collect());
        assert_eq!(self.backs, image.backs);
        assert_eq!(self.routes, image.routes);
        assert_eq!(self.egress, image.egress);
        assert_eq!(self.sources, image.sources);
    }

    /// Each backend of `fullnat` has sources, and only such as are wanted.
    pub fn assert_sources(&self, image: &Image, wanted: &BTreeMap<Vip, Wanted>) {
        for (vip, wanted) in wanted.iter().filter(|(_, wanted)| wanted.mode == Mode::Fullnat) {
            for backend in &wanted.backends {
                let entry = image.services[vip].backends[&backend.key].entry;
                let first = usize::from(entry.source_first_or_tunnel_port);
                let has = &self.sources[first..first + usize::from(entry.source_count_or_spread)];
                let Some(hop) = backend.hop else { continue };
                let wants = super::super::sources::of(wanted, hop.source);
                assert!(!has.is_empty(), "{vip}: no source");
                assert!(
                    has.iter().all(|source| wants.contains(source)),
                    "{vip}: {has:?} of {wants:?}"
                );
            }
        }
    }
}

fn assert_rested(seen: Option<&u64>, sweeps: u64, what: String) {
    if let Some(seen) = seen {
        assert!(
            seen + REST <= sweeps,
            "{what} was in use at sweep {seen} and is again at {sweeps}"
        );
    }
}
