//! Objects with the maps of Katran's balancer (github.com/facebookincubator/katran), as IPIP or as GUE. In its source tree:
//!
//! ```text
//! clang -O2 -g -target bpf -mcpu=v3 -D__KERNEL__ -I. -I/usr/include/x86_64-linux-gnu -Wno-everything \
//!     -c katran/lib/bpf/balancer.bpf.c -o katran.o          # with -DGUE_ENCAP: GUE
//! cargo xtask bench packet --against katran.o
//! ```
//!
//! What a packet costs there depends on where its connection is found. A connection table of the CPU, an LRU, answers for
//! established flows; a SYN, and whatever the table does not know, goes through a ring of the service, and is then stored, unless
//! more than 125,000 new flows came to that CPU in the same second. Beginning that second anew lets all be stored: so tables are
//! filled, and so new flows are measured, by packets alone.

mod layout;

use std::net::SocketAddrV4;

use anyhow::{Context as _, Result, anyhow, ensure};
use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, PerCpuArray, PerCpuValues};
use aya::programs::{ProgramFd, Xdp};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader};
use lb_common::abi::protocol;

use super::object::{Maps, Needed, Object};
use super::{Adapter, Counters, Job, Peer};
use layout::{Control, FLOW_BYTES, FLOW_VALUE_BYTES, Meta, NEW_FLOWS_LIMIT, Pair, Real, Vip, counter, flags};

const PROGRAM: &str = "balancer_ingress";
const VIPS: &str = "vip_map";
const RINGS: &str = "ch_rings";
const REALS: &str = "reals";
const CONTROL: &str = "ctl_array";
const TABLES: &str = "lru_mapping";
const FALLBACK: &str = "fallback_cache";
const COUNTERS: &str = "stats";
const REAL_COUNTERS: &str = "reals_stats";
/// Sources of outer headers, where they are not made from the client's: GUE.
const SOURCES: &str = "pckt_srcs";

/// Kernel's number of the map type `BPF_MAP_TYPE_LRU_HASH`.
const LRU_HASH: u32 = 9;
/// Room for a few more than are sent at once: the feeder sends some to see what a call costs.
const AT_ONCE: u32 = NEW_FLOWS_LIMIT as u32 * 4 / 5;

/// The adapter.
pub struct Katran;

impl Adapter for Katran {
    fn name(&self) -> &'static str {
        "katran"
    }

    fn needs(&self) -> &'static [Needed] {
        const NEEDED: &[Needed] = &[
            Needed::new(VIPS, size_of::<Vip>() as u32, size_of::<Meta>() as u32),
            Needed::new(RINGS, 4, 4),
            Needed::new(REALS, 4, size_of::<Real>() as u32),
            Needed::new(CONTROL, 4, size_of::<Control>() as u32),
            Needed::new(TABLES, 4, 4),
            Needed::new(FALLBACK, FLOW_BYTES, FLOW_VALUE_BYTES),
            Needed::new(COUNTERS, 4, size_of::<Pair>() as u32),
            Needed::new(REAL_COUNTERS, 4, size_of::<Pair>() as u32),
        ];
        NEEDED
    }

    fn load(&self, object: &Object, job: &Job) -> Result<Box<dyn Peer>> {
        let sizes = Sizes::of(&object.maps)?;
        ensure!(
            job.backends.len() < sizes.reals as usize,
            "{} backends are too many for this object: {} at most",
            job.backends.len(),
            sizes.reals - 1
        );
        let mut ebpf = EbpfLoader::new()
            .load(&object.bytes)
            .with_context(|| format!("cannot load {}", object.path.display()))?;
        fill(&mut ebpf, &sizes, job)?;
        let program: &mut Xdp = ebpf
            .program_mut(PROGRAM)
            .with_context(|| format!("no program {PROGRAM} in {}", object.path.display()))?
            .try_into()
            .with_context(|| format!("{PROGRAM} is no XDP program"))?;
        program
            .load()
            .with_context(|| format!("the kernel refuses {PROGRAM}"))?;
        let setup = format!(
            "{}: {} backends, a ring of {}, an LRU of {} connections on the one CPU.",
            object.name(),
            job.backends.len(),
            sizes.ring,
            job.connections
        );
        Ok(Box::new(Loaded {
            ebpf,
            sizes,
            backends: job.backends.len() as u32,
            setup,
        }))
    }
}

/// What the object was compiled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    services: u32,
    reals: u32,
    /// Places of a service's ring.
    ring: u32,
    has_sources: bool,
}

impl Sizes {
    /// The counters are twice as many as the services: each its own, then those of all.
    fn of(maps: &Maps) -> Result<Self> {
        let entries = |name: &str| maps.get(name).map_or(0, |shape| shape.entries);
        let services = entries(COUNTERS) / 2;
        ensure!(
            services > counter::PASSED,
            "the map {COUNTERS} has only {} entries",
            entries(COUNTERS)
        );
        let ring = entries(RINGS) / services;
        ensure!(ring > 0, "the map {RINGS} has no ring for each of {services} services");
        Ok(Self {
            services,
            reals: entries(REALS),
            ring,
            has_sources: maps.contains_key(SOURCES),
        })
    }
}

/// A loaded balancer.
struct Loaded {
    ebpf: Ebpf,
    sizes: Sizes,
    backends: u32,
    setup: String,
}

impl Loaded {
    /// Counters of all services.
    fn pair(&self, place: u32) -> Result<Pair> {
        self.sum(COUNTERS, self.sizes.services + place)
    }

    /// Counters, summed over the CPUs.
    fn sum(&self, name: &str, place: u32) -> Result<Pair> {
        let map = self.ebpf.map(name).ok_or_else(|| anyhow!("no map {name}"))?;
        let counters: PerCpuArray<_, Pair> = PerCpuArray::try_from(map)?;
        let each = counters.get(&place, 0).with_context(|| format!("cannot read {name}"))?;
        Ok(each.iter().fold(Pair::default(), |sum, cpu| Pair {
            first: sum.first + cpu.first,
            second: sum.second + cpu.second,
        }))
    }
}

impl Peer for Loaded {
    fn setup(&self) -> &str {
        &self.setup
    }

    fn program(&self) -> Result<ProgramFd> {
        let program: &Xdp = self
            .ebpf
            .program(PROGRAM)
            .ok_or_else(|| anyhow!("no program"))?
            .try_into()?;
        Ok(program.fd()?.try_clone()?)
    }

    fn packets_at_once(&self) -> u32 {
        AT_ONCE
    }

    fn make_ready(&mut self) -> Result<()> {
        let mut counters: PerCpuArray<_, Pair> = PerCpuArray::try_from(map(&mut self.ebpf, COUNTERS)?)?;
        let cpus = nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?;
        let none = PerCpuValues::try_from(vec![Pair::default(); cpus])?;
        counters.set(self.sizes.services + counter::NEW_FLOWS, none, 0)?;
        Ok(())
    }

    fn counters(&self) -> Result<Counters> {
        let mut to_backends = 0;
        for real in 1..=self.backends {
            to_backends += self.sum(REAL_COUNTERS, real)?.first;
        }
        let table = self.pair(counter::TABLE)?;
        let new_flows = self.pair(counter::NEW_FLOWS)?.first;
        Ok(Counters {
            seen: self.pair(counter::TOTAL)?.first,
            sent: self.pair(counter::SENT)?.first,
            dropped: self.pair(counter::DROPPED)?.first,
            passed: self.pair(counter::PASSED)?.first,
            to_service: table.first,
            not_in_table: table.second,
            wrong_table: self.pair(counter::FALLBACK)?.first,
            to_backends,
            not_stored: new_flows.saturating_sub(NEW_FLOWS_LIMIT),
        })
    }
}

/// Services, rings, backends, the gateway, and the connection table.
fn fill(ebpf: &mut Ebpf, sizes: &Sizes, job: &Job) -> Result<()> {
    let mut reals: Array<_, Real> = Array::try_from(map(ebpf, REALS)?)?;
    // 0 is no backend.
    for (number, backend) in (1..).zip(&job.backends) {
        reals.set(number, Real::new(backend.octets()), 0)?;
    }
    let mut control: Array<_, Control> = Array::try_from(map(ebpf, CONTROL)?)?;
    let gateway = Control {
        mac: job.gateway,
        reserved: [0; 2],
    };
    control.set(0, gateway, 0)?;
    if sizes.has_sources {
        let mut sources: Array<_, Real> = Array::try_from(map(ebpf, SOURCES)?)?;
        sources.set(0, Real::new(job.source.octets()), 0)?;
    }
    let services = [
        (job.service, protocol::TCP, 0),
        (job.service, protocol::UDP, 0),
        (job.stateless, protocol::TCP, flags::BYPASS),
    ];
    for (number, (at, protocol, flags)) in (0..).zip(services) {
        serve(ebpf, sizes, job, Meta { flags, number }, at, protocol)?;
    }
    connections(ebpf, job)
}

fn serve(ebpf: &mut Ebpf, sizes: &Sizes, job: &Job, meta: Meta, at: SocketAddrV4, protocol: u8) -> Result<()> {
    let mut rings: Array<_, u32> = Array::try_from(map(ebpf, RINGS)?)?;
    for place in 0..sizes.ring {
        let real = 1 + place % job.backends.len() as u32;
        rings.set(meta.number * sizes.ring + place, real, 0)?;
    }
    let mut vips: HashMap<_, Vip, Meta> = HashMap::try_from(map(ebpf, VIPS)?)?;
    vips.insert(Vip::new(at, protocol), meta, 0)?;
    Ok(())
}

/// Makes the connection table of the CPU that packets come to.
fn connections(ebpf: &mut Ebpf, job: &Job) -> Result<()> {
    let shape = aya_obj::Map::new_from_params(LRU_HASH, FLOW_BYTES, FLOW_VALUE_BYTES, job.connections, 0);
    let table = MapData::create(shape, "connections", None)
        .with_context(|| format!("no memory for a table of {} connections", job.connections))?;
    let mut tables: ArrayOfMaps<_> = ArrayOfMaps::try_from(map(ebpf, TABLES)?)?;
    tables
        .set(job.cpu, &table, 0)
        .context("cannot give the CPU its connection table")?;
    Ok(())
}

fn map<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Map> {
    ebpf.map_mut(name).ok_or_else(|| anyhow!("no map {name}"))
}

#[cfg(test)]
mod tests {
    use super::super::object::Shape;
    use super::*;

    fn maps(counters: u32, rings: u32) -> Maps {
        let shape = |entries| Shape {
            key: 4,
            value: 4,
            entries,
        };
        Maps::from([
            (COUNTERS.to_owned(), shape(counters)),
            (RINGS.to_owned(), shape(rings)),
            (REALS.to_owned(), shape(4096)),
        ])
    }

    #[test]
    fn sizes_are_the_objects_own() {
        let sizes = Sizes::of(&maps(1024, 512 * 65_537)).expect("the defaults");
        let wanted = Sizes {
            services: 512,
            reals: 4096,
            ring: 65_537,
            has_sources: false,
        };
        assert_eq!(sizes, wanted);
        assert!(Sizes::of(&maps(8, 65_537)).is_err());
        assert!(Sizes::of(&maps(1024, 0)).is_err());
    }
}
