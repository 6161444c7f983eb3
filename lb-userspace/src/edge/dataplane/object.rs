//! The objects that are embedded in `lb`, and how they are loaded.

use std::path::Path;

use aya::maps::ProgramArray;
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use lb_common::abi::{Meta, vip_buckets};
use lb_common::maps::{self, globals, programs};
use lb_common::reason::Reason;

use super::single::Tunnels;
use super::{DataplaneError, egress};
use crate::core::model::Limits;

static BALANCER: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/balancer"));
static STATELESS: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/stateless"));
static DECAP: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/decap"));
static PASS: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/pass"));

/// What is fixed when the balancer is loaded.
pub struct Load<'a> {
    /// Where the maps are pinned, or will be; `None`: nowhere.
    pub pin_dir: Option<&'a Path>,
    pub limits: Limits,
    pub meta: Meta,
    /// Whether the program writes the trace record.
    pub traced: bool,
    /// Whether the program has the flow table of `fullnat`; the maps are the same.
    pub flow_table: bool,
}

/// Buckets for a flow table of `flows`, half full when it has that many.
pub fn buckets(flows: u32) -> u32 {
    (flows / (lb_common::abi::BUCKET_ENTRIES as u32 / 2)).max(1)
}

/// Flows that a table of so many buckets is meant for.
pub fn flows(buckets: u32) -> u32 {
    buckets * (lb_common::abi::BUCKET_ENTRIES as u32 / 2)
}

/// Entries of each map under these limits.
pub fn entries(limits: &Limits) -> [(&'static str, u32); 23] {
    let ports = limits.sources * lb_common::abi::PORTS_PER_SOURCE;
    [
        (maps::VIPS, vip_buckets(limits.services)),
        (maps::PORT_RANGES, maps::default_limits::PORT_RANGES),
        (maps::PREFIXES, limits.services),
        (maps::SERVICES, limits.services),
        (maps::SLOTS, limits.slots),
        (maps::BACKENDS, limits.backends),
        (maps::BACKEND_TAGS, limits.backends),
        (maps::BACKS, limits.backends),
        (maps::BACKS6, limits.backends),
        (maps::ROUTES, maps::default_limits::ROUTES),
        (maps::ROUTES6, maps::default_limits::ROUTES),
        (maps::EGRESS, maps::default_limits::EGRESS),
        (maps::FLOWS, buckets(limits.flows)),
        (maps::PORTS, ports),
        (maps::CLIENTS6, ports),
        (maps::FREE_PORTS, ports),
        (maps::PORT_QUEUES, limits.sources),
        (maps::SOURCES, limits.sources),
        (maps::SOURCE_ADDRS, limits.sources),
        (maps::SERVICE_PAST, limits.services),
        (maps::BACKEND_STATS, limits.backends),
        (maps::REASONS, Reason::ALL.len() as u32),
        (maps::CLOCK, 1),
    ]
}

/// The balancer's name in its object.
pub fn name(traced: bool) -> &'static str {
    if traced { "balancer_traced" } else { "balancer" }
}

/// The programs that it hands packets over to, by their place among those; the last is of no use without a flow table.
fn others(traced: bool) -> [(u32, &'static str); programs::COUNT] {
    match traced {
        true => [
            (programs::ICMP, "icmp_traced"),
            (programs::FRAGMENTS, "fragments_traced"),
            (programs::ACROSS, "across_traced"),
        ],
        false => [
            (programs::ICMP, "icmp"),
            (programs::FRAGMENTS, "fragments"),
            (programs::ACROSS, "across"),
        ],
    }
}

/// Loads the balancer: its maps, made or taken from `pin_dir`, and the verified program.
pub fn balancer(load: &Load) -> Result<Ebpf, DataplaneError> {
    let paths: Vec<_> = maps::BALANCER
        .iter()
        .filter_map(|name| load.pin_dir.map(|dir| (*name, dir.join(name))))
        .collect();
    if let Some(path) = load
        .pin_dir
        .map(|dir| dir.join(maps::EGRESS))
        .filter(|path| !path.exists())
    {
        egress::pin(&path, maps::default_limits::EGRESS)?;
    }
    let buckets = buckets(load.limits.flows);
    let vip_mask = vip_buckets(load.limits.services) - 1;
    let mut loader = EbpfLoader::new();
    loader
        .override_global(globals::HASH_KEY, &load.meta.hash_key, true)
        .override_global(globals::FLOW_SEED, &load.meta.flow_seed, true)
        .override_global(globals::FLOW_BUCKETS, &buckets, true)
        .override_global(globals::SOURCE_LIMIT, &load.limits.sources, true)
        .override_global(globals::VIP_MASK, &vip_mask, true);
    for (name, entries) in entries(&load.limits) {
        loader.map_max_entries(name, entries);
    }
    for (name, path) in &paths {
        loader.map_pin_path(name, path.as_path());
    }
    let object = if load.flow_table { BALANCER } else { STATELESS };
    let mut ebpf = loader.load(object).map_err(DataplaneError::load)?;
    program(&mut ebpf, name(load.traced))?
        .load()
        .map_err(DataplaneError::program)?;
    let others = others(load.traced).into_iter();
    for (place, name) in others.filter(|(place, _)| load.flow_table || *place != programs::ACROSS) {
        hand_over(&mut ebpf, place, name)?;
    }
    Ok(ebpf)
}

/// Loads a program that the balancer hands packets over to, in the place of the one that may be there: a packet meets the old or
/// the new one.
fn hand_over(ebpf: &mut Ebpf, place: u32, name: &str) -> Result<(), DataplaneError> {
    program(ebpf, name)?.load().map_err(DataplaneError::program)?;
    let program = loaded(ebpf, name)?
        .fd()
        .and_then(|fd| Ok(fd.try_clone()?))
        .map_err(DataplaneError::program)?;
    let map = ebpf.map_mut(maps::PROGRAMS);
    let map = map.ok_or_else(|| DataplaneError::Object(format!("no map {}", maps::PROGRAMS)))?;
    let programs = ProgramArray::try_from(map);
    programs
        .and_then(|mut programs| programs.set(place, &program, 0))
        .map_err(|error| DataplaneError::map(maps::PROGRAMS, error))
}

/// Loads `decap`; which addresses it knows is for the caller to fill in.
pub fn decap(tunnels: Tunnels<'_>, pins: &[(&'static str, std::path::PathBuf)]) -> Result<Ebpf, DataplaneError> {
    let mut loader = EbpfLoader::new();
    let listed = !tunnels.from.is_empty() as u32;
    let gue_port = tunnels.gue_port.to_be() as u32;
    loader.override_global(globals::FROM_LISTED, &listed, true);
    loader.override_global(globals::GUE_PORT, &gue_port, true);
    for (name, path) in pins {
        loader.map_pin_path(name, path.as_path());
    }
    let mut ebpf = loader.load(DECAP).map_err(DataplaneError::load)?;
    program(&mut ebpf, "decap")?.load().map_err(DataplaneError::program)?;
    Ok(ebpf)
}

/// Loads `pass`.
pub fn pass() -> Result<Ebpf, DataplaneError> {
    let mut ebpf = EbpfLoader::new().load(PASS).map_err(DataplaneError::load)?;
    program(&mut ebpf, "pass")?.load().map_err(DataplaneError::program)?;
    Ok(ebpf)
}

/// The XDP program `name` of a loaded object.
pub fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, DataplaneError> {
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| DataplaneError::Object(format!("no XDP program {name:?}")))
}

/// The same, to be run.
pub fn loaded<'a>(ebpf: &'a Ebpf, name: &str) -> Result<&'a Xdp, DataplaneError> {
    ebpf.program(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| DataplaneError::Object(format!("no XDP program {name:?}")))
}
