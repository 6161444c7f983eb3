//! Hands for the packet tests and the benchmark: into states that no plan and no packet makes, and onto `decap` without an interface.
//!
//! A daemon that died half way through a deletion, a place in the flow table that is being filled at this moment, maps that
//! another version left: what the program and the janitor do then has to be tested too, and no public way leads there. This
//! module is part of the library so that only the data plane touches BPF; nothing in `lb` uses it.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;

use aya::Ebpf;
use aya::maps::{Array, Map, MapData};
use aya::programs::ProgramFd;
use lb_common::abi::role::{self, RoleLine};
use lb_common::abi::{Bucket, Entry, Meta, PORTS_PER_SOURCE, PortQueue};
use lb_common::maps;

mod anew;

pub use super::mapped::Mapped;
use super::run::{Arrival, Verdict, once};
use super::tables::{duplicate, mapped};
use super::{Dataplane, DataplaneError, object, single};
pub use anew::begin_anew;

/// The flow table, the ports and the clock, word by word.
pub struct Hands {
    pub flows: Mapped<Bucket>,
    pub ports: Mapped<Entry>,
    pub free_ports: Mapped<u32>,
    pub queues: Mapped<PortQueue>,
    pub clock: Mapped<u64>,
}

impl Hands {
    pub fn on(dataplane: &mut Dataplane) -> Result<Self, DataplaneError> {
        let limits = dataplane.limits;
        let ebpf = &mut dataplane.ebpf;
        let ports = limits.sources * PORTS_PER_SOURCE;
        Ok(Self {
            flows: mapped(ebpf, maps::FLOWS, object::buckets(limits.flows))?,
            ports: mapped(ebpf, maps::PORTS, ports)?,
            free_ports: mapped(ebpf, maps::FREE_PORTS, ports)?,
            queues: mapped(ebpf, maps::PORT_QUEUES, limits.sources)?,
            clock: mapped(ebpf, maps::CLOCK, 1)?,
        })
    }
}

/// The balancer as the kernel has it, for the benchmark to feed.
pub fn program(dataplane: &Dataplane) -> Result<ProgramFd, DataplaneError> {
    let fd = object::loaded(&dataplane.ebpf, dataplane.program)?.fd();
    let fd = fd.map_err(DataplaneError::program)?;
    fd.try_clone()
        .map_err(|error| DataplaneError::io("the descriptor of the balancer", error))
}

/// Makes the pinned data plane forget what addresses can be, as if a daemon had been killed before it wrote that.
pub fn forget_roles(dir: &Path) -> Result<(), DataplaneError> {
    let path = dir.join(maps::ROLES);
    let data = MapData::from_pin(&path).map_err(|error| DataplaneError::pin(&path, error))?;
    let lines: Mapped<RoleLine> =
        Mapped::new(data.fd(), role::LINES).map_err(|error| DataplaneError::io(maps::ROLES, error))?;
    (0..lines.len()).for_each(|line| lines.store(line, &RoleLine([0; role::LINE_BYTES])));
    Ok(())
}

/// Adds what a backend has counted to its service's past, as if the daemon had been killed right then.
pub fn add_to_past(dataplane: &mut Dataplane, backend: u32) -> Result<(), DataplaneError> {
    dataplane.tables.add_to_past(backend).map(drop)
}

/// Bytes that the kernel accounts for each map of the balancer: `memlock` of its descriptor (since Linux 6.4 what the map really
/// takes, before that an estimate).
pub fn map_bytes(dataplane: &Dataplane) -> Result<Vec<(&'static str, u64)>, DataplaneError> {
    let bytes = |name: &'static str| {
        let id = dataplane.tables.map_id(name);
        let id = id.ok_or_else(|| DataplaneError::Object(format!("no map {name}")))?;
        let map = MapData::from_id(id).map_err(|error| DataplaneError::map(name, error))?;
        let path = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
        let text = std::fs::read_to_string(&path).map_err(|error| DataplaneError::io(&path, error))?;
        let memlock = text.lines().find_map(|line| line.strip_prefix("memlock:"));
        let bytes = memlock.and_then(|bytes| bytes.trim().parse().ok());
        let bytes = bytes.ok_or_else(|| DataplaneError::io(&path, std::io::ErrorKind::InvalidData.into()))?;
        Ok((name, bytes))
    };
    maps::BALANCER.iter().copied().map(bytes).collect()
}

/// The programs of the balancer that are loaded, and how many instructions the verifier looked at for each (Linux 5.16 and later
/// say so).
pub fn verified(dataplane: &Dataplane) -> Vec<(String, Option<u32>)> {
    let programs = dataplane.ebpf.programs();
    let loaded = programs.filter_map(|(name, program)| Some((name.to_owned(), program.info().ok()?)));
    loaded
        .map(|(name, info)| (name, info.verified_instruction_count()))
        .collect()
}

/// Makes the data plane pinned in `dir` look as if another version had made it; 0: as if its making had not come to its end.
pub fn set_abi_version(dir: &Path, version: u32) -> Result<(), DataplaneError> {
    let path = dir.join(maps::META);
    let data = MapData::from_pin(&path).map_err(|error| DataplaneError::pin(&path, error))?;
    let meta = |error| DataplaneError::map(maps::META, error);
    let mut array: Array<_, Meta> = Map::from_map_data(data).and_then(Array::try_from).map_err(meta)?;
    let there = array.get(&0, 0).map_err(meta)?;
    let changed = Meta {
        abi_version: version,
        ..there
    };
    array.set(0, changed, 0).map_err(meta)
}

/// `decap`, attached nowhere.
pub struct Unpacker {
    ebpf: Ebpf,
    buffer: Vec<u8>,
}

impl Unpacker {
    pub fn new(tunnels: single::Tunnels<'_>) -> Result<Self, DataplaneError> {
        let mut ebpf = object::decap(tunnels, &[])?;
        single::fill_decap(&mut ebpf, tunnels)?;
        let buffer = vec![0; 8192];
        Ok(Self { ebpf, buffer })
    }

    /// Runs one packet.
    pub fn run(&mut self, packet: &[u8]) -> Result<(Verdict, &[u8]), DataplaneError> {
        let program = object::loaded(&self.ebpf, "decap")?;
        let (verdict, length) = once(program, Arrival::default(), packet, &mut self.buffer)?;
        Ok((verdict, &self.buffer[..length]))
    }

    /// Packets by outcome, in the order of [`maps::decap`].
    pub fn counters(&mut self) -> Result<[u64; maps::decap::COUNT], DataplaneError> {
        let data = duplicate(&mut self.ebpf, maps::DECAP_STATS)?;
        let map = Map::from_map_data(data).map_err(|error| DataplaneError::map(maps::DECAP_STATS, error))?;
        single::read_decap(map)
    }
}
