//! A data plane that begins anew: its maps as they were made, under the program as it was verified.
//!
//! Most of a short test's time would otherwise go into having the same program verified again.

use std::sync::atomic::Ordering;

use aya::maps::{Array, HashMap, LpmTrie, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use lb_common::abi::{FragmentKey, FragmentWay, Handed};
use lb_common::maps;

use crate::core::image::Image;
use crate::edge::dataplane::mapped::Mapped;
use crate::edge::dataplane::tables::{Tables, duplicate, typed};
use crate::edge::dataplane::{Dataplane, DataplaneError};

/// Puts a data plane that is neither pinned nor attached back to where it began, and gives the account of its maps. `ports` as
/// it was opened with.
///
/// # Errors
///
/// A map that this does not know how to empty: it is new, and has to be named in `empty`.
pub fn begin_anew(dataplane: &mut Dataplane, ports: Option<Vec<u16>>) -> Result<Image, DataplaneError> {
    for name in maps::BALANCER {
        empty(dataplane, name)?;
    }
    dataplane.tables = Tables::new(&mut dataplane.ebpf, &dataplane.limits, ports)?;
    Ok(Image::new(dataplane.limits))
}

fn empty(dataplane: &mut Dataplane, name: &'static str) -> Result<(), DataplaneError> {
    let tables = &mut dataplane.tables;
    let emptied = match name {
        maps::BACKS => empty_hash(&mut tables.backs),
        maps::BACKS6 => empty_hash(&mut tables.backs6),
        maps::PORT_RANGES => empty_trie(&mut tables.ranges.ranges),
        maps::PREFIXES => empty_trie(&mut tables.ranges.prefixes),
        maps::SOURCES => empty_hash(&mut tables.sources),
        maps::FRAGMENTS => empty_hash::<FragmentKey, FragmentWay>(&mut typed(&mut dataplane.ebpf, name)?),
        maps::ROUTES => empty_trie(&mut tables.routes),
        maps::ROUTES6 => empty_trie(&mut tables.routes6),
        maps::EGRESS => {
            let indices = tables.egress.indices();
            indices.and_then(|indices| indices.into_iter().try_for_each(|index| tables.egress.remove(index)))
        }
        maps::SERVICES => empty_array(&mut tables.services),
        maps::SOURCE_ADDRS => empty_array(&mut tables.source_addrs),
        maps::SERVICE_PAST => empty_array(&mut tables.past),
        maps::BACKEND_STATS => empty_counters(&mut tables.backend_stats),
        maps::REASONS => empty_counters(&mut tables.reasons),
        maps::VIPS
        | maps::SLOTS
        | maps::BACKENDS
        | maps::BACKEND_TAGS
        | maps::FLOWS
        | maps::PORTS
        | maps::FREE_PORTS
        | maps::PORT_QUEUES
        | maps::ROLES
        | maps::CLOCK
        | maps::TRACE => return empty_mapped(dataplane, name),
        maps::HANDED => empty_counters::<Handed>(&mut typed(&mut dataplane.ebpf, name)?),
        // What the program was loaded with stays; so does what is written before it is read.
        maps::META | maps::CLIENTS6 | maps::FOUND | maps::PROGRAMS => Ok(()),
        _ => {
            return Err(DataplaneError::Object(format!(
                "map {name}: nobody knows how to empty it"
            )));
        }
    };
    emptied.map_err(|error| DataplaneError::map(name, error))
}

fn empty_hash<K: aya::Pod, V: aya::Pod>(map: &mut HashMap<MapData, K, V>) -> Result<(), MapError> {
    let keys: Vec<K> = map.keys().collect::<Result<_, _>>()?;
    keys.iter().try_for_each(|key| map.remove(key))
}

fn empty_trie<K: aya::Pod, V: aya::Pod>(map: &mut LpmTrie<MapData, K, V>) -> Result<(), MapError> {
    let keys: Vec<_> = map.keys().collect::<Result<_, _>>()?;
    keys.iter().try_for_each(|key| map.remove(key))
}

fn empty_array<V: aya::Pod>(map: &mut Array<MapData, V>) -> Result<(), MapError> {
    (0..map.len()).try_for_each(|index| map.set(index, zero::<V>(), 0))
}

fn empty_counters<V: aya::Pod>(map: &mut PerCpuArray<MapData, V>) -> Result<(), MapError> {
    let cpus = nr_cpus().map_err(|(_, error)| MapError::IoError(error))?;
    (0..map.len()).try_for_each(|index| {
        let zeroes = PerCpuValues::try_from(vec![zero::<V>(); cpus])?;
        map.set(index, zeroes, 0)
    })
}

/// An array that can be mapped, whatever its values are.
fn empty_mapped(dataplane: &mut Dataplane, name: &'static str) -> Result<(), DataplaneError> {
    let map = duplicate(&mut dataplane.ebpf, name)?;
    let made = map.info().map_err(|error| DataplaneError::map(name, error))?;
    let words = made.max_entries() * made.value_size().div_ceil(8);
    let words: Mapped<u64> = Mapped::new(map.fd(), words).map_err(|error| DataplaneError::io(name, error))?;
    for word in (0..words.len()).map(|index| words.word(index, 0)) {
        if word.load(Ordering::Relaxed) != 0 {
            word.store(0, Ordering::Release);
        }
    }
    Ok(())
}

fn zero<V: aya::Pod>() -> V {
    // SAFETY: `Pod` is for types that are valid whatever their bits are.
    unsafe { std::mem::zeroed() }
}
