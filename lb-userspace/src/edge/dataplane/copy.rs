//! A data plane of our own that is like one that is pinned: what a packet does in it, nobody notices.
//!
//! Every map is copied in the order in which it is pinned, which is that in which maps name each other: what a slot names was there
//! before the slot named it. Counters begin at 0, and the program that packets are handed over to is our own.

use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::Ordering;

use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError};
use lb_common::abi::{self, Address, Client6, Hop};
use lb_common::maps;

use super::egress::Egress;
use super::links::Pinned as PinnedLink;
use super::mapped::Mapped;
use super::tables::{Tables, duplicate, typed};
use super::{Dataplane, DataplaneError, adopt, links, object, write_meta};
use crate::core::model::{Mode, Vip};

/// What the maps say of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    pub vip: Vip,
    pub mode: Mode,
    pub table_size: u32,
}

/// The links of the data plane that is pinned in `dir`.
///
/// # Errors
///
/// Nothing is pinned there, or by another ABI version; no permission.
pub fn pinned_links(dir: &Path) -> Result<Vec<PinnedLink>, DataplaneError> {
    there(dir)?;
    links::pinned(dir)
}

fn there(dir: &Path) -> Result<adopt::Pinned, DataplaneError> {
    let nothing = "no data plane is pinned here; start one with: lb daemon, or name its directory with --pin-dir";
    adopt::look(dir)?.ok_or_else(|| DataplaneError::pin(dir, nothing))
}

impl Dataplane {
    /// A copy of what is pinned in `dir`, which is only read. Its program traces.
    ///
    /// # Errors
    ///
    /// Nothing is pinned there, or by another ABI version; no permission; not the network namespace of its interfaces.
    pub fn copy_of(dir: &Path, flow_table: bool) -> Result<Self, DataplaneError> {
        let there = there(dir)?;
        let (limits, meta) = (there.limits, there.meta);
        let mut ebpf = object::balancer(&object::Load {
            pin_dir: None,
            limits,
            meta,
            traced: true,
            flow_table,
        })?;
        write_meta(&mut ebpf, meta)?;
        let mut tables = Tables::new(&mut ebpf, &limits, None)?;
        for name in maps::BALANCER {
            copy(dir, name, &mut ebpf, &mut tables)?;
        }
        Ok(Self {
            ebpf,
            program: object::name(true),
            tables,
            links: links::Links::default(),
            meta,
            limits,
            pin_dir: None,
            adopted: false,
            lock: None,
        })
    }

    /// The service with this number; `None`: there is none.
    ///
    /// # Errors
    ///
    /// The kernel does not let it be read.
    pub fn service_entry(&self, id: u32) -> Result<Option<ServiceEntry>, DataplaneError> {
        let entry = adopt::service(&self.tables, id)?;
        let mode = Mode::from_u8((entry.flags >> abi::service_flags::MODE_SHIFT) as u8);
        Ok(adopt::vip_of(&entry).zip(mode).map(|(vip, mode)| ServiceEntry {
            vip,
            mode,
            table_size: entry.table_size,
        }))
    }

    /// What clients find services by.
    ///
    /// # Errors
    ///
    /// As [`Dataplane::service_entry`].
    pub fn vips(&self) -> Result<Vec<Vip>, DataplaneError> {
        Ok(adopt::found(&self.tables)?.into_iter().map(|(_, vip, _)| vip).collect())
    }

    /// The backend with this identifier; `None`: there is none.
    pub fn backend_entry(&self, id: u32) -> Option<abi::Backend> {
        let is_there = id != abi::NO_BACKEND && (id as usize) < self.tables.backends.len();
        is_there.then(|| self.tables.backends.load(id as usize))
    }

    /// Where packets to a client go, by the mirror of the routes.
    pub fn hop(&self, client: IpAddr) -> Option<Hop> {
        let address = Address::from(client);
        match client {
            IpAddr::V4(_) => self.tables.routes.get(&Key::new(32, address.as_v4()), 0).ok(),
            IpAddr::V6(_) => self.tables.routes6.get(&Key::new(128, address.as_v6()), 0).ok(),
        }
    }

    /// Whether it is a source address of `fullnat`.
    pub fn is_source(&self, address: IpAddr) -> bool {
        self.tables.sources.get(&Address::from(address), 0).is_ok()
    }
}

fn copy(dir: &Path, name: &'static str, ebpf: &mut Ebpf, tables: &mut Tables) -> Result<(), DataplaneError> {
    let copied = match name {
        maps::SERVICES => copy_array(pinned(dir, name)?, &mut tables.services),
        maps::SOURCE_ADDRS => copy_array(pinned(dir, name)?, &mut tables.source_addrs),
        maps::PORT_RANGES => copy_trie(pinned(dir, name)?, &mut tables.ranges.ranges),
        maps::PREFIXES => copy_trie(pinned(dir, name)?, &mut tables.ranges.prefixes),
        maps::ROUTES => copy_trie(pinned(dir, name)?, &mut tables.routes),
        maps::ROUTES6 => copy_trie(pinned(dir, name)?, &mut tables.routes6),
        maps::BACKS => copy_hash(pinned(dir, name)?, &mut tables.backs),
        maps::BACKS6 => copy_hash(pinned(dir, name)?, &mut tables.backs6),
        maps::SOURCES => copy_hash(pinned(dir, name)?, &mut tables.sources),
        maps::EGRESS => return copy_egress(dir, tables),
        maps::CLIENTS6 => return copy_clients(dir, ebpf),
        maps::VIPS
        | maps::SLOTS
        | maps::BACKENDS
        | maps::BACKEND_TAGS
        | maps::FLOWS
        | maps::PORTS
        | maps::FREE_PORTS
        | maps::PORT_QUEUES
        | maps::ROLES
        | maps::CLOCK => return copy_mapped(dir, name, ebpf),
        // What the program was loaded with, what is counted, what only fragments ask, and what is written before it is read.
        maps::META
        | maps::FRAGMENTS
        | maps::PROGRAMS
        | maps::SERVICE_PAST
        | maps::BACKEND_STATS
        | maps::REASONS
        | maps::FOUND
        | maps::HANDED
        | maps::TRACE => Ok(()),
        _ => {
            return Err(DataplaneError::Object(format!(
                "map {name}: nobody knows how to copy it"
            )));
        }
    };
    copied.map_err(|error| DataplaneError::map(name, error))
}

/// A pinned map, as the type that it has.
fn pinned<T: TryFrom<Map, Error = MapError>>(dir: &Path, name: &str) -> Result<T, DataplaneError> {
    T::try_from(adopt::open(dir, name)?).map_err(|error| DataplaneError::map(name, error))
}

fn pinned_data(dir: &Path, name: &str) -> Result<MapData, DataplaneError> {
    let path = dir.join(name);
    MapData::from_pin(&path).map_err(|error| DataplaneError::open(&path, error))
}

fn copy_array<V: aya::Pod>(from: Array<MapData, V>, to: &mut Array<MapData, V>) -> Result<(), MapError> {
    (0..from.len()).try_for_each(|index| to.set(index, from.get(&index, 0)?, 0))
}

fn copy_hash<K: aya::Pod, V: aya::Pod>(
    from: HashMap<MapData, K, V>,
    to: &mut HashMap<MapData, K, V>,
) -> Result<(), MapError> {
    from.iter().try_for_each(|pair| {
        let (key, value) = pair?;
        to.insert(key, value, 0)
    })
}

fn copy_trie<K: aya::Pod, V: aya::Pod>(
    from: LpmTrie<MapData, K, V>,
    to: &mut LpmTrie<MapData, K, V>,
) -> Result<(), MapError> {
    from.iter().try_for_each(|pair| {
        let (key, value) = pair?;
        to.insert(&key, value, 0)
    })
}

/// An array that can be mapped, whatever its values are, without those words that are 0.
fn copy_mapped(dir: &Path, name: &str, ebpf: &mut Ebpf) -> Result<(), DataplaneError> {
    let (from, to) = (pinned_data(dir, name)?, duplicate(ebpf, name)?);
    let words = |map: &MapData| {
        let made = map.info().map_err(|error| DataplaneError::map(name, error))?;
        Ok(made.max_entries() * made.value_size().div_ceil(8))
    };
    let count = words(&to)?;
    if words(&from)? != count {
        return Err(DataplaneError::pin(
            dir.join(name),
            "it is not as large as the other maps say",
        ));
    }
    let io = |error| DataplaneError::io(name, error);
    let from: Mapped<u64> = Mapped::read_only(from.fd(), count).map_err(io)?;
    let to: Mapped<u64> = Mapped::new(to.fd(), count).map_err(io)?;
    for index in 0..from.len() {
        let word = from.word(index, 0).load(Ordering::Acquire);
        if word != 0 {
            to.word(index, 0).store(word, Ordering::Relaxed);
        }
    }
    Ok(())
}

fn copy_egress(dir: &Path, tables: &mut Tables) -> Result<(), DataplaneError> {
    let failed = |error| DataplaneError::map(maps::EGRESS, error);
    let from = Egress::new(pinned_data(dir, maps::EGRESS)?).map_err(failed)?;
    let mut indices = from.indices().map_err(failed)?.into_iter();
    indices.try_for_each(|index| tables.egress.insert(index))
}

/// The clients of IPv6 flows: what stands at ports that no flow holds is left out, for it is nearly all.
fn copy_clients(dir: &Path, ebpf: &mut Ebpf) -> Result<(), DataplaneError> {
    let ports = pinned_data(dir, maps::PORTS)?;
    let count = ports.info().map_err(|error| DataplaneError::map(maps::PORTS, error))?;
    let count = count.max_entries();
    let ports: Mapped<abi::Entry> =
        Mapped::read_only(ports.fd(), count).map_err(|error| DataplaneError::io(maps::PORTS, error))?;
    let from: Array<_, Client6> = pinned(dir, maps::CLIENTS6)?;
    let mut to: Array<_, Client6> = typed(ebpf, maps::CLIENTS6)?;
    let held = (0..count).filter(|index| ports.word(*index as usize, 0).load(Ordering::Acquire) != 0);
    for index in held {
        let copied = from.get(&index, 0).and_then(|client| to.set(index, client, 0));
        copied.map_err(|error| DataplaneError::map(maps::CLIENTS6, error))?;
    }
    Ok(())
}
