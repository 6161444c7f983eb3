//! The maps, typed, and the writing of a plan into them.

use std::collections::HashMap as Map;
use std::net::IpAddr;

use aya::Ebpf;
use aya::maps::{Array, HashMap, LpmTrie, MapData, MapError, PerCpuArray, PerCpuValues, lpm_trie::Key};
use lb_common::abi::{
    Address, Back, BackKey, BackKey6, Backend, Counters, Hop, NO_BACKEND, NO_SERVICE, PORTS_PER_SOURCE, Past,
    PortQueue, Service, Slot, Tags,
    role::{self, RoleLine},
    vip_buckets,
};
use lb_common::maps;

use super::DataplaneError;
use super::egress::Egress;
use super::host_ports::host_ports;
use super::keys::{back_key, back_key6, marker, vip_key};
use super::mapped::Mapped;
use super::ranges::{self, Ranges};
use super::vips::VipTable;
use crate::core::image::BackOf;
use crate::core::model::Limits;
use crate::core::plan::Op;
use crate::core::prefix::Prefix;
use crate::core::roles::Roles;

/// Every map that the daemon writes.
pub struct Tables {
    pub vips: VipTable,
    pub ranges: Ranges,
    pub services: Array<MapData, Service>,
    pub slots: Mapped<Slot>,
    pub backends: Mapped<Backend>,
    pub backend_tags: Mapped<Tags>,
    pub backs: HashMap<MapData, BackKey, Back>,
    pub backs6: HashMap<MapData, BackKey6, Back>,
    pub routes: LpmTrie<MapData, u32, Hop>,
    pub routes6: LpmTrie<MapData, [u64; 2], Hop>,
    pub egress: Egress,
    pub free_ports: Mapped<u32>,
    pub port_queues: Mapped<PortQueue>,
    roles: Mapped<RoleLine>,
    /// What `roles` is made from.
    known: Roles,
    pub sources: HashMap<MapData, Address, u32>,
    pub source_addrs: Array<MapData, Address>,
    pub past: Array<MapData, Past>,
    pub backend_stats: PerCpuArray<MapData, Counters>,
    pub reasons: PerCpuArray<MapData, u64>,
    ports: Option<Vec<u16>>,
    cpus: usize,
    ids: Map<&'static str, u32>,
}

impl Tables {
    pub fn new(ebpf: &mut Ebpf, limits: &Limits, ports: Option<Vec<u16>>) -> Result<Self, DataplaneError> {
        let mut ids = Map::new();
        for name in maps::BALANCER {
            ids.insert(
                *name,
                duplicate(ebpf, name)?
                    .info()
                    .map_err(|error| DataplaneError::map(name, error))?
                    .id(),
            );
        }
        Ok(Self {
            vips: VipTable::new(mapped(ebpf, maps::VIPS, vip_buckets(limits.services))?),
            ranges: Ranges::new(typed(ebpf, maps::PORT_RANGES)?, typed(ebpf, maps::PREFIXES)?),
            services: typed(ebpf, maps::SERVICES)?,
            slots: mapped(ebpf, maps::SLOTS, limits.slots)?,
            backends: mapped(ebpf, maps::BACKENDS, limits.backends)?,
            backend_tags: mapped(ebpf, maps::BACKEND_TAGS, limits.backends)?,
            backs: typed(ebpf, maps::BACKS)?,
            backs6: typed(ebpf, maps::BACKS6)?,
            routes: typed(ebpf, maps::ROUTES)?,
            routes6: typed(ebpf, maps::ROUTES6)?,
            egress: duplicate(ebpf, maps::EGRESS)
                .and_then(|data| Egress::new(data).map_err(|error| DataplaneError::map(maps::EGRESS, error)))?,
            free_ports: mapped(ebpf, maps::FREE_PORTS, limits.sources * PORTS_PER_SOURCE)?,
            port_queues: mapped(ebpf, maps::PORT_QUEUES, limits.sources)?,
            roles: mapped(ebpf, maps::ROLES, role::LINES)?,
            known: Roles::default(),
            sources: typed(ebpf, maps::SOURCES)?,
            source_addrs: typed(ebpf, maps::SOURCE_ADDRS)?,
            past: typed(ebpf, maps::SERVICE_PAST)?,
            backend_stats: typed(ebpf, maps::BACKEND_STATS)?,
            reasons: typed(ebpf, maps::REASONS)?,
            ports,
            cpus: aya::util::nr_cpus().map_err(|(file, error)| DataplaneError::io(file, error))?,
            ids,
        })
    }

    /// The kernel's identifier of a map.
    pub fn map_id(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    pub fn apply(&mut self, op: &Op) -> Result<(), DataplaneError> {
        match op {
            Op::Egress { index } => self.egress.insert(*index),
            Op::EgressGone { index } => gone(maps::EGRESS, self.egress.remove(*index)),
            Op::Source { number, address } => self.add_source(*number, *address),
            Op::Backend { id, entry } => {
                self.backends.store(*id as usize, entry);
                Ok(())
            }
            Op::BackendTags { id, tags } => {
                self.backend_tags.store(*id as usize, tags);
                Ok(())
            }
            Op::BackendCleared { id } => self.clear_backend(*id),
            Op::Service { id, entry } => self.put_service(*id, entry),
            Op::ServiceChanged { id, entry } => self.store_service(*id, entry),
            Op::Slots { changes } => {
                for (index, backend) in changes {
                    self.slots.store(*index as usize, &Slot::stable(*backend));
                }
                Ok(())
            }
            Op::Vip { vip, service } => {
                self.write_vip_roles(vip.prefix(), true);
                match ranges::is_here(*vip) {
                    true => self.ranges.put(*vip, *service),
                    false => self
                        .vips
                        .put(vip_key(vip.address, vip.port, vip.protocol.number()), *service),
                }
            }
            Op::VipGone { vip } => {
                if ranges::is_here(*vip) {
                    return self.ranges.remove(*vip);
                }
                self.vips.remove(vip_key(vip.address, vip.port, vip.protocol.number()));
                Ok(())
            }
            Op::Address { prefix } => {
                self.write_vip_roles(*prefix, true);
                // A prefix is told by its group.
                match *prefix == Prefix::host(prefix.address) {
                    true => self.vips.put(marker(prefix.address), NO_SERVICE),
                    false => Ok(()),
                }
            }
            Op::AddressGone { prefix } => {
                if *prefix == Prefix::host(prefix.address) {
                    self.vips.remove(marker(prefix.address));
                }
                self.write_vip_roles(*prefix, false);
                Ok(())
            }
            Op::Back { of, entry } => {
                self.write_role(|known| known.back(*of, true));
                self.put_back(*of, entry)
            }
            Op::BackGone { of } => {
                self.remove_back(*of)?;
                self.write_role(|known| known.back(*of, false));
                Ok(())
            }
            Op::Route { prefix, hop } => self.put_route(*prefix, hop),
            Op::RouteGone { prefix } => self.remove_route(*prefix),
        }
    }

    fn put_back(&mut self, of: BackOf, entry: &Back) -> Result<(), DataplaneError> {
        let (name, done) = match of.backend.address {
            IpAddr::V4(_) => (maps::BACKS, self.backs.insert(back_key(of), entry, 0)),
            IpAddr::V6(_) => (maps::BACKS6, self.backs6.insert(back_key6(of), entry, 0)),
        };
        done.map_err(|error| DataplaneError::map(name, error))
    }

    fn remove_back(&mut self, of: BackOf) -> Result<(), DataplaneError> {
        match of.backend.address {
            IpAddr::V4(_) => gone(maps::BACKS, self.backs.remove(&back_key(of))),
            IpAddr::V6(_) => gone(maps::BACKS6, self.backs6.remove(&back_key6(of))),
        }
    }

    fn put_route(&mut self, prefix: Prefix, hop: &Hop) -> Result<(), DataplaneError> {
        let address = Address::from(prefix.address);
        let length = prefix.length as u32;
        let (name, done) = match prefix.address {
            IpAddr::V4(_) => (
                maps::ROUTES,
                self.routes.insert(&Key::new(length, address.as_v4()), hop, 0),
            ),
            IpAddr::V6(_) => (
                maps::ROUTES6,
                self.routes6.insert(&Key::new(length, address.as_v6()), hop, 0),
            ),
        };
        done.map_err(|error| DataplaneError::map(name, error))
    }

    fn remove_route(&mut self, prefix: Prefix) -> Result<(), DataplaneError> {
        let address = Address::from(prefix.address);
        let length = prefix.length as u32;
        match prefix.address {
            IpAddr::V4(_) => gone(maps::ROUTES, self.routes.remove(&Key::new(length, address.as_v4()))),
            IpAddr::V6(_) => gone(maps::ROUTES6, self.routes6.remove(&Key::new(length, address.as_v6()))),
        }
    }

    /// Writes what addresses can be, out of what the other maps hold.
    pub fn write_roles(&mut self, known: Roles) {
        for (place, line) in known.lines() {
            self.roles.store(place, &line);
        }
        self.known = known;
    }

    fn write_vip_roles(&mut self, prefix: Prefix, there: bool) {
        for (place, line) in self.known.vip(prefix, there) {
            self.roles.store(place, &line);
        }
    }

    fn write_role(&mut self, change: impl FnOnce(&mut Roles) -> (usize, RoleLine)) {
        let (place, line) = change(&mut self.known);
        self.roles.store(place, &line);
    }

    fn put_service(&mut self, id: u16, entry: &Service) -> Result<(), DataplaneError> {
        self.set_past(id, Past::default())?;
        self.store_service(id, entry)
    }

    fn store_service(&mut self, id: u16, entry: &Service) -> Result<(), DataplaneError> {
        self.services
            .set(id as u32, entry, 0)
            .map_err(|error| DataplaneError::map(maps::SERVICES, error))
    }

    /// A backend that nothing names any more: what it counted goes to its service, and its place is empty.
    fn clear_backend(&mut self, id: u32) -> Result<(), DataplaneError> {
        let service = self.add_to_past(id)?;
        self.finish_adding(service)?;
        for word in 0..size_of::<Backend>() / 8 {
            self.backends
                .word(id as usize, word)
                .store(0, std::sync::atomic::Ordering::Release);
        }
        Ok(())
    }

    /// Adds what a backend has counted to its service's past, in one write that also says so. Gives the service.
    pub fn add_to_past(&mut self, id: u32) -> Result<u16, DataplaneError> {
        let service = self.backends.load(id as usize).service;
        let mut past = self.past(service)?;
        past.counters += self.counters(id)?;
        past.added = id;
        self.set_past(service, past)?;
        Ok(service)
    }

    /// Empties the counters of the backend that were last added to a service's past: also where a daemon was killed before it
    /// came to that, so that they count once.
    pub fn finish_adding(&mut self, service: u16) -> Result<(), DataplaneError> {
        let past = self.past(service)?;
        if past.added == NO_BACKEND {
            return Ok(());
        }
        let zero = PerCpuValues::try_from(vec![Counters::default(); self.cpus])
            .map_err(|error| DataplaneError::io(maps::BACKEND_STATS, error))?;
        self.backend_stats
            .set(past.added, zero, 0)
            .map_err(|error| DataplaneError::map(maps::BACKEND_STATS, error))?;
        let added = NO_BACKEND;
        self.set_past(service, Past { added, ..past })
    }

    /// What the backends of a service had counted that are gone.
    pub fn past(&self, service: u16) -> Result<Past, DataplaneError> {
        let past = self.past.get(&(service as u32), 0);
        past.map_err(|error| DataplaneError::map(maps::SERVICE_PAST, error))
    }

    fn set_past(&mut self, service: u16, past: Past) -> Result<(), DataplaneError> {
        let set = self.past.set(service as u32, past, 0);
        set.map_err(|error| DataplaneError::map(maps::SERVICE_PAST, error))
    }

    /// What a backend has counted, all CPUs added up.
    pub fn counters(&self, backend: u32) -> Result<Counters, DataplaneError> {
        let values = self.backend_stats.get(&backend, 0);
        let values = values.map_err(|error| DataplaneError::map(maps::BACKEND_STATS, error))?;
        let mut sum = Counters::default();
        values.iter().for_each(|cpu| sum += *cpu);
        Ok(sum)
    }

    /// A source address and the queue of its ports, before any backend names it.
    fn add_source(&mut self, number: u32, address: IpAddr) -> Result<(), DataplaneError> {
        let ports = self.ports.clone().unwrap_or_else(host_ports);
        for (place, port) in ports.iter().enumerate() {
            self.free_ports
                .store((number * PORTS_PER_SOURCE) as usize + place, &(*port as u32));
        }
        let queue = PortQueue {
            head: 0,
            reserved_head: [0; 7],
            tail: ports.len() as u64,
            reserved_tail: [0; 7],
        };
        self.port_queues.store(number as usize, &queue);
        let own = Address::from(address);
        self.source_addrs
            .set(number, own, 0)
            .map_err(|error| DataplaneError::map(maps::SOURCE_ADDRS, error))?;
        self.sources
            .insert(own, number, 0)
            .map_err(|error| DataplaneError::map(maps::SOURCES, error))?;
        self.write_role(|known| known.source(address, number));
        Ok(())
    }
}

/// Removing what is not there is no error.
pub(super) fn gone(name: &str, result: Result<(), MapError>) -> Result<(), DataplaneError> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if super::error::caused_by(&error, libc::ENOENT) => Ok(()),
        Err(error) => Err(DataplaneError::map(name, error)),
    }
}

/// Another handle on a map of the object.
pub fn duplicate(ebpf: &mut Ebpf, name: &str) -> Result<MapData, DataplaneError> {
    use aya::maps::Map as Any;
    let map = ebpf
        .map(name)
        .ok_or_else(|| DataplaneError::Object(format!("no map {name}")))?;
    let data = match map {
        Any::Array(data)
        | Any::HashMap(data)
        | Any::LruHashMap(data)
        | Any::LpmTrie(data)
        | Any::DevMapHash(data)
        | Any::PerCpuArray(data)
        | Any::ProgramArray(data) => data,
        _ => return Err(DataplaneError::Object(format!("map {name} has an unexpected type"))),
    };
    let id = data.info().map_err(|error| DataplaneError::map(name, error))?.id();
    MapData::from_id(id).map_err(|error| DataplaneError::map(name, error))
}

/// A map of the object, as the type that it has there.
pub fn typed<T>(ebpf: &mut Ebpf, name: &str) -> Result<T, DataplaneError>
where
    T: TryFrom<aya::maps::Map, Error = MapError>,
{
    let data = duplicate(ebpf, name)?;
    let map = aya::maps::Map::from_map_data(data).map_err(|error| DataplaneError::map(name, error))?;
    T::try_from(map).map_err(|error| DataplaneError::map(name, error))
}

/// An mmap-able array of the object, mapped.
pub fn mapped<T: aya::Pod>(ebpf: &mut Ebpf, name: &str, len: u32) -> Result<Mapped<T>, DataplaneError> {
    let data = duplicate(ebpf, name)?;
    let there = data
        .info()
        .map_err(|error| DataplaneError::map(name, error))?
        .max_entries();
    if there != len {
        return Err(DataplaneError::Map {
            name: name.into(),
            reason: format!("has {there} entries, not {len}"),
        });
    }
    Mapped::new(data.fd(), len).map_err(|error| DataplaneError::io(name, error))
}
