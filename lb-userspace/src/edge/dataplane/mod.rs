//! The data plane: everything that touches BPF.
//!
//! # Layout
//!
//! - `object`: the embedded objects and how they are loaded
//! - `kernel`: what the kernel can do
//! - `mapped`: arrays in this process's memory
//! - `grace`: waiting for the programs that run at this moment
//! - `egress`: the interfaces that packets are sent through; `ranges`: services with several ports; `host_ports`: ports of
//!   this host that `fullnat` may use
//! - `syscall`: what aya has no words for
//! - `keys`: keys of the maps
//! - `tables`: the maps, typed, and the writing of a plan into them
//! - `vips`: the table of what clients connect to
//! - `adopt`: the account of maps that are there already; `copy`: a data plane of our own that is like one that is pinned
//! - `links`: attaching to interfaces
//! - `stats`: what was counted
//! - [`janitor`]: the thread that sweeps the flow table and keeps its clock
//! - [`run`]: packets through the program without an interface
//! - [`single`]: `decap` and `pass`, which need no daemon
//! - `testing`: what the packet tests need besides

mod adopt;
mod bpffs;
mod copy;
mod egress;
mod error;
mod grace;
mod host_ports;
mod kernel;
mod keys;
mod links;
mod mapped;
mod object;
mod ranges;
mod stats;
mod syscall;
mod tables;
mod vips;

pub mod janitor;
pub mod run;
pub mod single;
#[doc(hidden)]
pub mod testing;

use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::maps::{Array, MapData};
use lb_common::abi::{ABI_VERSION, Meta};
use lb_common::maps;

pub use copy::{ServiceEntry, pinned_links};
pub use error::DataplaneError;
pub use host_ports::free_ports;
pub use kernel::capabilities;
pub use links::{Attached, index_of};
pub use stats::Traffic;

use crate::core::image::Image;
use crate::core::model::Limits;
use crate::core::plan::Op;

/// How a data plane is made, where none is pinned yet.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where programs, links and maps are pinned; `None`: nowhere, they go with this process.
    pub pin_dir: Option<PathBuf>,
    pub limits: Limits,
    pub hash_key: [u64; 2],
    /// Whether the program writes the trace record, for `lb replay` and `lb trace`.
    pub traced: bool,
    /// Whether the program has the flow table of `fullnat`, which not every kernel takes: see [`capabilities`].
    pub flow_table: bool,
    /// Ports that `fullnat` uses, where they are not those of [`host_ports::host_ports`].
    pub ports: Option<Vec<u16>>,
}

/// The loaded program with its maps.
pub struct Dataplane {
    ebpf: Ebpf,
    /// Name of the program in it.
    program: &'static str,
    tables: tables::Tables,
    links: links::Links,
    meta: Meta,
    limits: Limits,
    pin_dir: Option<PathBuf>,
    adopted: bool,
    /// Keeps other daemons off the pinned maps.
    lock: Option<std::fs::File>,
}

impl Dataplane {
    /// Adopts the data plane that is pinned, or makes one. The account says what its maps hold.
    ///
    /// # Errors
    ///
    /// No permission; a pinned data plane of another ABI version, which is left as it is; a kernel that refuses the program.
    pub fn open(options: &Options) -> Result<(Self, Image), DataplaneError> {
        let Some(dir) = &options.pin_dir else {
            return Self::load(options, None, None);
        };
        bpffs::prepare(dir)?;
        let lock = bpffs::lock(dir)?;
        let pinned = adopt::pinned(dir)?;
        let adopted = pinned.is_some();
        Self::load(options, pinned, Some(lock)).inspect_err(|_| {
            if !adopted {
                // Half a data plane is of no use to anybody; that it cannot be removed either is not the error to tell.
                let _ = bpffs::remove(dir);
            }
        })
    }

    fn load(
        options: &Options,
        pinned: Option<adopt::Pinned>,
        lock: Option<std::fs::File>,
    ) -> Result<(Self, Image), DataplaneError> {
        let adopted = pinned.is_some();
        let (limits, meta) = match pinned {
            Some(there) => (there.limits, there.meta),
            None => (options.limits, fresh_meta(options)),
        };
        let pin_dir = options.pin_dir.as_deref();
        let program = object::name(options.traced);
        let mut ebpf = object::balancer(&object::Load {
            pin_dir,
            limits,
            meta,
            traced: options.traced,
            flow_table: options.flow_table,
        })?;
        if !adopted {
            write_meta(&mut ebpf, meta)?;
        }
        let mut tables = tables::Tables::new(&mut ebpf, &limits, options.ports.clone())?;
        let image = if adopted {
            adopt::image(&mut tables, limits)?
        } else {
            Image::new(limits)
        };
        let links = match pin_dir {
            Some(dir) => links::Links::adopt(dir, object::program(&mut ebpf, program)?)?,
            None => links::Links::default(),
        };
        let pin_dir = options.pin_dir.clone();
        Ok((
            Self {
                ebpf,
                program,
                tables,
                links,
                meta,
                limits,
                pin_dir,
                adopted,
                lock,
            },
            image,
        ))
    }

    /// Whether the maps were there before.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// What the maps were made with.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Writes the steps of a plan, in their order.
    ///
    /// # Errors
    ///
    /// The first write that the kernel refuses; those before it stand.
    pub fn apply(&mut self, ops: &[Op]) -> Result<(), DataplaneError> {
        ops.iter().try_for_each(|op| self.tables.apply(op))
    }

    /// What the janitor needs: its own view of the maps.
    pub fn janitor_view(&mut self) -> Result<janitor::View, DataplaneError> {
        janitor::View::new(&mut self.ebpf, &self.limits, self.meta.flow_seed)
    }

    /// The kernel's identifier of the loaded program.
    pub fn program_id(&self) -> Option<u32> {
        let program: &aya::programs::Xdp = self.ebpf.program(self.program)?.try_into().ok()?;
        Some(program.info().ok()?.id())
    }

    /// Interfaces that the program is attached to.
    pub fn attached(&self) -> Vec<Attached> {
        self.links.attached()
    }

    /// Attaches to an interface. What is attached already stays as it is.
    ///
    /// # Errors
    ///
    /// There is no such interface, its driver has no native XDP, another program is attached, or no permission.
    pub fn attach(&mut self, interface: &str, xdp: crate::core::model::XdpMode) -> Result<Attached, DataplaneError> {
        if let Some(dir) = self.pin_dir.clone() {
            self.pin(&dir)?;
        }
        self.links.attach(
            self.pin_dir.as_deref(),
            object::program(&mut self.ebpf, self.program)?,
            interface,
            xdp,
        )
    }

    /// Detaches from the interface with this index.
    pub fn detach(&mut self, index: u32) -> Result<(), DataplaneError> {
        self.links.detach(index)
    }

    /// Detaches from everything and removes every pin. The maps live on in this process alone.
    pub fn remove(&mut self) -> Result<(), DataplaneError> {
        self.links.detach_all()?;
        self.lock = None;
        match &self.pin_dir {
            Some(dir) => bpffs::remove(dir),
            None => Ok(()),
        }
    }

    /// Pins the maps again after [`Dataplane::remove`]; does nothing where they are pinned.
    fn pin(&mut self, dir: &Path) -> Result<(), DataplaneError> {
        if self.lock.is_none() {
            bpffs::prepare(dir)?;
            self.lock = Some(bpffs::lock(dir)?);
        }
        for name in maps::BALANCER {
            let path = dir.join(name);
            if !path.exists()
                && let Some(id) = self.tables.map_id(name)
            {
                let map = MapData::from_id(id).map_err(|error| DataplaneError::map(name, error))?;
                map.pin(&path).map_err(|error| DataplaneError::pin(&path, error))?;
            }
        }
        Ok(())
    }
}

fn fresh_meta(options: &Options) -> Meta {
    let mut seed = [0u8; 8];
    // Only fails before the kernel has gathered entropy at all; then a fixed seed is as good.
    let _ = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
    let created = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Meta {
        abi_version: ABI_VERSION,
        reserved: 0,
        hash_key: options.hash_key,
        flow_seed: u64::from_ne_bytes(seed),
        created,
        reserved_tail: [0; 3],
    }
}

fn write_meta(ebpf: &mut Ebpf, meta: Meta) -> Result<(), DataplaneError> {
    let map = ebpf
        .map_mut(maps::META)
        .ok_or_else(|| DataplaneError::Object(format!("no map {}", maps::META)))?;
    let mut array: Array<_, Meta> = Array::try_from(map).map_err(|error| DataplaneError::map(maps::META, error))?;
    array
        .set(0, meta, 0)
        .map_err(|error| DataplaneError::map(maps::META, error))
}
