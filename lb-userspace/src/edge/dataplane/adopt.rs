//! The account of maps that are there already: read once, when a daemon starts.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::path::Path;

use aya::maps::{Array, Map, MapData};
use lb_common::abi::{self, ABI_VERSION, Address, Meta, PORTS_PER_SOURCE, service_flags};
use lb_common::maps;

use super::keys::vip_key;
use super::ranges;
use super::tables::Tables;
use super::{DataplaneError, bpffs, object};
use crate::core::image::{BackOf, BackendKey, Image, Placed, PlacedBackend, Rested};
use crate::core::model::{Limits, Mode, Protocol, Vip};
use crate::core::prefix::Prefix;
use crate::core::roles::Roles;

/// What the pinned maps were made with.
pub struct Pinned {
    pub limits: Limits,
    pub meta: Meta,
}

/// What is pinned in `dir`; `None`: nothing, or the leftovers of a start that did not get to its end, which are removed.
pub fn pinned(dir: &Path) -> Result<Option<Pinned>, DataplaneError> {
    let there = look(dir)?;
    if there.is_none() {
        // Nothing of it is in use: a data plane is complete before its first link is pinned.
        bpffs::clear(dir)?;
    }
    Ok(there)
}

/// The same, with everything left as it is.
pub fn look(dir: &Path) -> Result<Option<Pinned>, DataplaneError> {
    let path = dir.join(maps::META);
    if !path.exists() {
        return Ok(None);
    }
    let map = open(dir, maps::META)?;
    let array: Array<_, Meta> = Array::try_from(map).map_err(|error| DataplaneError::map(maps::META, error))?;
    let meta = array
        .get(&0, 0)
        .map_err(|error| DataplaneError::map(maps::META, error))?;
    match meta.abi_version {
        ABI_VERSION => {}
        0 => return Ok(None),
        found => {
            return Err(DataplaneError::Abi {
                path: dir.into(),
                found,
                own: ABI_VERSION,
            });
        }
    }
    let entries = |name: &str| -> Result<u32, DataplaneError> {
        let path = dir.join(name);
        let map = MapData::from_pin(&path).map_err(|error| DataplaneError::open(&path, error))?;
        Ok(map
            .info()
            .map_err(|error| DataplaneError::map(name, error))?
            .max_entries())
    };
    let limits = Limits {
        services: entries(maps::SERVICES)?,
        backends: entries(maps::BACKENDS)?,
        slots: entries(maps::SLOTS)?,
        flows: object::flows(entries(maps::FLOWS)?),
        sources: entries(maps::PORTS)? / PORTS_PER_SOURCE,
    };
    Ok(Some(Pinned { limits, meta }))
}

/// A pinned map.
pub fn open(dir: &Path, name: &str) -> Result<Map, DataplaneError> {
    let path = dir.join(name);
    let data = MapData::from_pin(&path).map_err(|error| DataplaneError::open(&path, error))?;
    Map::from_map_data(data).map_err(|error| DataplaneError::map(name, error))
}

/// The account of these maps.
pub fn image(tables: &mut Tables, limits: Limits) -> Result<Image, DataplaneError> {
    let mut image = Image::new(limits);
    let mut backends: BTreeMap<u16, Vec<(u32, abi::Backend)>> = BTreeMap::new();
    for id in 1..tables.backends.len() {
        let entry = tables.backends.load(id);
        if entry.mode().is_some() {
            backends.entry(entry.service).or_default().push((id as u32, entry));
        }
    }
    let mut prefixes = BTreeMap::new();
    for (id, vip, service) in found(tables)? {
        if let Some(placed) = placed(tables, id, &service, &mut backends) {
            if vip.is_prefix() {
                prefixes.insert(vip, id);
            } else if ranges::is_here(vip) {
                // A daemon that was killed while it wrote them may have left some of its prefixes to another one.
                tables.ranges.put(vip, id)?;
            }
            image.regions.reserve(placed.base, placed.size);
            image.service_ids.reserve(placed.id as u32);
            placed
                .backends
                .values()
                .for_each(|backend| image.backend_ids.reserve(backend.id));
            tables.finish_adding(placed.id)?;
            image.services.insert(vip, placed);
        }
    }
    tables.ranges.adopt(prefixes)?;
    leftovers(tables, &mut image, backends.into_values().flatten().map(|(id, _)| id))?;
    others(tables, &mut image)?;
    tables.write_roles(roles(&image));
    Ok(image)
}

/// What addresses can be, by this account: a daemon that was killed between two writes may have left something else.
fn roles(image: &Image) -> Roles {
    let mut roles = Roles::default();
    for vip in image.services.keys() {
        roles.vip(vip.prefix(), true);
    }
    for of in image.backs.keys() {
        roles.back(*of, true);
    }
    for (number, address) in (0..).zip(&image.sources) {
        roles.source(*address, number);
    }
    roles
}

/// What the daemon before this one had retired and not freed: it rests until a sweep has found no flow that names it.
fn leftovers(tables: &Tables, image: &mut Image, backends: impl Iterator<Item = u32>) -> Result<(), DataplaneError> {
    for id in backends {
        image.backend_ids.reserve(id);
        image.retired.push((0, Rested::Backend(id)));
    }
    let placed: HashSet<u16> = image.services.values().map(|placed| placed.id).collect();
    for id in 1..image.limits.services.min(u16::MAX as u32) {
        if service(tables, id)?.protocol != 0 && !placed.contains(&(id as u16)) {
            image.service_ids.reserve(id);
            image.retired.push((0, Rested::Service(id as u16)));
        }
    }
    Ok(())
}

/// What stands at a service's number.
pub fn service(tables: &Tables, id: u32) -> Result<abi::Service, DataplaneError> {
    let entry = tables.services.get(&id, 0);
    entry.map_err(|error| DataplaneError::map(maps::SERVICES, error))
}

/// The services that clients find, and their numbers.
pub fn found(tables: &Tables) -> Result<Vec<(u16, Vip, abi::Service)>, DataplaneError> {
    let mut found = Vec::new();
    for (key, id) in tables.vips.entries() {
        // Others are address markers.
        if id != abi::NO_SERVICE {
            let service = service(tables, id.into())?;
            // Of another key's: nobody finds this one by it.
            found.extend(
                vip_of(&service)
                    .filter(|vip| vip_key(vip.address, vip.port, service.protocol) == key)
                    .map(|vip| (id, vip, service)),
            );
        }
    }
    let mut ranges = BTreeMap::new();
    for id in tables.ranges.services()? {
        let service = service(tables, id)?;
        ranges.extend(
            vip_of(&service)
                .filter(|vip| ranges::is_here(*vip))
                .map(|vip| (vip, (id as u16, service))),
        );
    }
    found.extend(ranges.into_iter().map(|(vip, (id, service))| (id, vip, service)));
    Ok(found)
}

/// What clients of a service connect to; `None`: there is no such service.
pub fn vip_of(service: &abi::Service) -> Option<Vip> {
    Some(Vip {
        address: service.address.ip(service.flags & service_flags::IPV6 != 0),
        length: service.prefix_length,
        port: u16::from_be(service.port),
        last_port: u16::from_be(service.last_port),
        protocol: Protocol::from_number(service.protocol)?,
    })
}

/// A service that clients find; `None`: this version does not know its mode.
fn placed(
    tables: &Tables,
    id: u16,
    service: &abi::Service,
    backends: &mut BTreeMap<u16, Vec<(u32, abi::Backend)>>,
) -> Option<Placed> {
    let mode = Mode::from_u8((service.flags >> service_flags::MODE_SHIFT) as u8)?;
    let range = service.table_base as usize..service.table_base as usize + service.table_size as usize;
    let owners: Vec<u32> = range
        .filter(|i| *i < tables.slots.len())
        .map(|i| tables.slots.load(i).current())
        .collect();
    let mut mine = backends.remove(&id).unwrap_or_default();
    // One that was removed and came back has an old entry too, until that has rested: the last of them here is the new one.
    let named: HashSet<u32> = owners.iter().copied().collect();
    mine.sort_by_key(|(id, entry)| (named.contains(id), entry.flags & abi::backend_flags::ALIVE));
    let mut placed = Placed {
        id,
        base: service.table_base,
        size: service.table_size,
        mode,
        mss_clamp: Some((service.flags >> service_flags::MSS_SHIFT) as u16).filter(|bytes| *bytes > 0),
        owners,
        members: None,
        backends: BTreeMap::new(),
    };
    for (number, entry) in mine {
        let key = BackendKey {
            address: entry.address.ip(entry.flags & abi::backend_flags::IPV6 != 0),
            port: u16::from_be(entry.port),
        };
        let tags = match entry.flags & abi::backend_flags::TAGGED {
            0 => abi::Tags::NONE,
            _ => tables.backend_tags.load(number as usize),
        };
        let there = PlacedBackend {
            id: number,
            entry,
            tags,
        };
        if let Some(old) = placed.backends.insert(key, there) {
            backends.entry(id).or_default().push((old.id, old.entry));
        }
    }
    Some(placed)
}

/// Sources, interfaces, ways back and routes.
fn others(tables: &Tables, image: &mut Image) -> Result<(), DataplaneError> {
    let mut sources = BTreeMap::new();
    for pair in tables.sources.iter() {
        let (address, number) = pair.map_err(|error| DataplaneError::map(maps::SOURCES, error))?;
        // An IPv4 address has nothing behind its four bytes, an IPv6 one of this host always has.
        let is_ipv6 = address.as_v6()[1] != 0;
        sources.insert(number, address.ip(is_ipv6));
    }
    image.sources = sources.into_values().collect();
    let open = tables.egress.indices();
    image
        .egress
        .extend(open.map_err(|error| DataplaneError::map(maps::EGRESS, error))?);
    for pair in tables.backs.iter() {
        let (key, back) = pair.map_err(|error| DataplaneError::map(maps::BACKS, error))?;
        image
            .backs
            .extend(back_of(Address::v4(key.address).ip(false), key.port, key.protocol).map(|of| (of, back)));
    }
    for pair in tables.backs6.iter() {
        let (key, back) = pair.map_err(|error| DataplaneError::map(maps::BACKS6, error))?;
        image
            .backs
            .extend(back_of(key.address.ip(true), key.port, key.protocol).map(|of| (of, back)));
    }
    for pair in tables.routes.iter() {
        let (key, hop) = pair.map_err(|error| DataplaneError::map(maps::ROUTES, error))?;
        let (address, length) = (Address::v4(key.data()).ip(false), key.prefix_len() as u8);
        image.routes.insert(Prefix { address, length }, hop);
    }
    for pair in tables.routes6.iter() {
        let (key, hop) = pair.map_err(|error| DataplaneError::map(maps::ROUTES6, error))?;
        let (address, length) = (Address::v6(key.data()).ip(true), key.prefix_len() as u8);
        image.routes.insert(Prefix { address, length }, hop);
    }
    Ok(())
}

/// Port as in the packet.
fn back_of(address: IpAddr, port: u16, protocol: u8) -> Option<BackOf> {
    let port = u16::from_be(port);
    Some(BackOf {
        backend: BackendKey { address, port },
        protocol: Protocol::from_number(protocol)?,
    })
}
