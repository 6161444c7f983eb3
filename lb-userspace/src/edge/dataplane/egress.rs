//! The interfaces that packets are sent through: a devmap.
//!
//! aya makes devmaps whose values have room for a program beside the interface. We have none to put there, and Linux 5.8 to 5.14
//! attach no program in generic mode that uses such a map. So where programs are attached from, the map is made here, with
//! nothing but the interface in its values, and the loader finds it pinned.

use std::path::Path;

use aya::maps::xdp::DevMapHash;
use aya::maps::{HashMap, Map, MapData, MapError};
use lb_common::maps;

use super::DataplaneError;
use super::syscall::{Command, bpf};

/// The attributes of `BPF_MAP_CREATE`, as far as they are needed.
#[repr(C)]
struct Attributes {
    map_type: u32,
    key_bytes: u32,
    value_bytes: u32,
    entries: u32,
    flags: u32,
    inner_map: u32,
    numa_node: u32,
    name: [u8; 16],
}

/// Makes the map and pins it.
pub fn pin(path: &Path, entries: u32) -> Result<(), DataplaneError> {
    const BPF_MAP_TYPE_DEVMAP_HASH: u32 = 25;
    let mut attributes = Attributes {
        map_type: BPF_MAP_TYPE_DEVMAP_HASH,
        key_bytes: size_of::<u32>() as u32,
        value_bytes: size_of::<u32>() as u32,
        entries,
        flags: 0,
        inner_map: 0,
        numa_node: 0,
        name: [0; 16],
    };
    attributes.name[..maps::EGRESS.len()].copy_from_slice(maps::EGRESS.as_bytes());
    // SAFETY: the attributes of this command; they point to nothing.
    let map = unsafe { bpf(Command::MapCreate, &attributes) };
    let map = map.map_err(|error| DataplaneError::create(maps::EGRESS, error))?;
    let map = MapData::from_fd(map).map_err(|error| DataplaneError::map(maps::EGRESS, error))?;
    map.pin(path).map_err(|error| DataplaneError::pin(path, error))
}

/// The map, by what its values have room for.
pub enum Egress {
    /// An interface.
    Narrow(HashMap<MapData, u32, u32>),
    /// An interface and a program: of a data plane that is pinned nowhere.
    Wide(DevMapHash<MapData>),
}

impl Egress {
    pub fn new(data: MapData) -> Result<Self, MapError> {
        if data.info()?.value_size() as usize == size_of::<u32>() {
            // The same three calls as for any hash.
            Ok(Self::Narrow(Map::HashMap(data).try_into()?))
        } else {
            Ok(Self::Wide(Map::DevMapHash(data).try_into()?))
        }
    }

    /// Opens an interface, under its index.
    pub fn insert(&mut self, index: u32) -> Result<(), DataplaneError> {
        match self {
            Self::Narrow(map) => map
                .insert(index, index, 0)
                .map_err(|error| DataplaneError::map(maps::EGRESS, error)),
            Self::Wide(map) => map.insert(index, index, None, 0).map_err(|error| DataplaneError::Map {
                name: maps::EGRESS.into(),
                reason: error.to_string(),
            }),
        }
    }

    pub fn remove(&mut self, index: u32) -> Result<(), MapError> {
        match self {
            Self::Narrow(map) => map.remove(&index),
            Self::Wide(map) => map.remove(index),
        }
    }

    /// Indices of those that are open.
    pub fn indices(&self) -> Result<Vec<u32>, MapError> {
        match self {
            Self::Narrow(map) => map.keys().collect(),
            Self::Wide(map) => map.keys().collect(),
        }
    }
}

const _: () = assert!(size_of::<Attributes>() == 44 && maps::EGRESS.len() < 16);
