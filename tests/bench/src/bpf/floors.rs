//! The floors: the smallest programs that do a part of a balancer's work.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use aya::maps::{Array, HashMap, PerCpuArray};
use aya::programs::{ProgramFd, XdpMode};
use aya::{Ebpf, EbpfLoader};
use lb_common::bench::{FLOOR_TABLE_SIZE, FloorBackend, FloorCounters, FloorService, FloorVip, maps};
use lb_common::encap;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("LB_BENCH_OBJECTS"), "/bench_floors"));

/// Number of the one service.
const SERVICE: u32 = 1;

/// A program of the floors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Floor {
    Drop,
    Tx,
    Parse,
    Balancer,
}

impl Floor {
    pub const ALL: [Self; 4] = [Self::Drop, Self::Tx, Self::Parse, Self::Balancer];

    pub fn program(self) -> &'static str {
        match self {
            Self::Drop => "floor_drop",
            Self::Tx => "floor_tx",
            Self::Parse => "floor_parse",
            Self::Balancer => "floor_balancer",
        }
    }
}

/// The smallest balancer in C.
static IN_C: &str = include_str!("floor.c");

/// Names of clang: Debian's, and those of its versions.
const CLANGS: [&str; 7] = [
    "clang", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16",
];

/// What the smallest balancer is to do.
pub struct Job<'a> {
    pub vip: SocketAddrV4,
    /// IP protocol numbers.
    pub protocols: &'a [u8],
    pub backends: &'a [Ipv4Addr],
    /// Source of the outer headers.
    pub source: Ipv4Addr,
    pub destination_mac: [u8; 6],
    pub source_mac: [u8; 6],
}

/// The loaded floors.
pub struct Floors {
    ebpf: Ebpf,
}

impl Floors {
    /// Loads them, the smallest balancer with this job.
    pub fn new(job: &Job) -> Result<Self> {
        let mut ebpf = EbpfLoader::new().load(OBJECT).context("the object of the floors")?;
        for floor in Floor::ALL {
            super::load(&mut ebpf, floor.program())?;
        }
        fill(&mut ebpf, job)?;
        Ok(Self { ebpf })
    }

    /// The smallest balancer alone, as a C compiler makes it; none where there is no clang.
    pub fn in_c(job: &Job) -> Result<Option<Self>> {
        let Some(object) = compiled()? else { return Ok(None) };
        let mut ebpf = EbpfLoader::new().load(&object).context("the object of floor.c")?;
        super::load(&mut ebpf, Floor::Balancer.program())?;
        fill(&mut ebpf, job)?;
        Ok(Some(Self { ebpf }))
    }

    pub fn program(&mut self, floor: Floor) -> Result<ProgramFd> {
        Ok(super::load(&mut self.ebpf, floor.program())?.fd()?.try_clone()?)
    }

    /// Attaches one to interface `device` of this thread's namespace, in the driver.
    pub fn attach(&mut self, floor: Floor, device: &str) -> Result<()> {
        let program = super::load(&mut self.ebpf, floor.program())?;
        let attached = program.attach(device, XdpMode::Driver).map(drop);
        attached.with_context(|| format!("{device}: cannot attach {}", floor.program()))
    }

    /// Packets that the smallest balancer has sent.
    pub fn sent(&self) -> Result<u64> {
        let map = self.ebpf.map(maps::FLOOR_SERVICE).ok_or_else(|| anyhow!("no map"))?;
        let counters: PerCpuArray<_, FloorCounters> = PerCpuArray::try_from(map)?;
        Ok(counters.get(&SERVICE, 0)?.iter().map(|cpu| cpu.packets).sum())
    }
}

fn fill(ebpf: &mut Ebpf, job: &Job) -> Result<()> {
    ensure!(!job.backends.is_empty(), "the smallest balancer needs a backend");
    let mut macs = [0u8; 12];
    macs[..6].copy_from_slice(&job.destination_mac);
    macs[6..].copy_from_slice(&job.source_mac);
    let word = |at: usize| u32::from_ne_bytes([macs[at], macs[at + 1], macs[at + 2], macs[at + 3]]);
    let source = u32::from_ne_bytes(job.source.octets());
    let mut backends: Array<_, FloorBackend> = Array::try_from(map(ebpf, maps::FLOOR_REALS)?)?;
    for (number, backend) in (1..).zip(job.backends) {
        let address = u32::from_ne_bytes(backend.octets());
        let entry = FloorBackend {
            macs: [word(0), word(4), word(8)],
            sum: encap::outer_sum(source, address, encap::PROTOCOL_IPV4) as u32,
            source,
            address,
            reserved: [0; 10],
        };
        backends.set(number, entry, 0)?;
    }
    let mut slots: Array<_, u32> = Array::try_from(map(ebpf, maps::FLOOR_SLOTS)?)?;
    for slot in 0..FLOOR_TABLE_SIZE {
        slots.set(slot, 1 + slot % job.backends.len() as u32, 0)?;
    }
    let mut vips: HashMap<_, FloorVip, FloorService> = HashMap::try_from(map(ebpf, maps::FLOOR_VIPS)?)?;
    for protocol in job.protocols {
        let vip = FloorVip {
            address: u32::from_ne_bytes(job.vip.ip().octets()),
            port: job.vip.port().to_be(),
            protocol: *protocol as u16,
        };
        vips.insert(vip, FloorService { id: SERVICE, base: 0 }, 0)?;
    }
    Ok(())
}

fn map<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut aya::maps::Map> {
    ebpf.map_mut(name).ok_or_else(|| anyhow!("no map {name}"))
}

/// The object of [`IN_C`], by the first clang that there is.
fn compiled() -> Result<Option<Vec<u8>>> {
    let dir = tempfile::tempdir()?;
    let (source, object) = (dir.path().join("floor.c"), dir.path().join("floor.o"));
    std::fs::write(&source, IN_C)?;
    for clang in CLANGS {
        let mut command = Command::new(clang);
        command.args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-c"]);
        let output = match command.arg(&source).arg("-o").arg(&object).output() {
            Err(missing) if missing.kind() == ErrorKind::NotFound => continue,
            output => output.with_context(|| format!("cannot run {clang}"))?,
        };
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{clang} cannot compile floor.c: {said}");
        return Ok(Some(std::fs::read(object)?));
    }
    Ok(None)
}
