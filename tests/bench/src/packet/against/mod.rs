//! `--against`: another balancer's compiled object, measured in the same rounds as ours.
//!
//! # Layout
//!
//! - here: what an adapter does, and which one an object is for
//! - [`cases`]: what is measured
//! - [`object`]: the object as a file
//! - [`rival`]: the other balancer under load, and the proof of the way that its packets take
//! - [`tunnelled`]: one packet as it was sent
//! - [`katran`]: the adapter for objects with the maps of Katran's balancer
//!
//! Nothing of another balancer is in this repository: whoever wants to compare compiles its object and names the file.

mod cases;
mod katran;
mod object;
mod rival;
mod tunnelled;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use anyhow::{Result, bail};

use crate::bpf::ProgramFd;

pub use cases::{Case, Rivals, Room};
use object::{Maps, Needed, Object};
use rival::Rival;

/// Names an object where no argument does. There is none in this repository.
pub const OBJECT_VARIABLE: &str = "LB_BENCH_AGAINST";

/// What the other balancer is to do.
#[derive(Clone, Debug)]
struct Job {
    /// Over TCP and UDP, with a connection table.
    pub service: SocketAddrV4,
    /// Over TCP, without one.
    pub stateless: SocketAddrV4,
    pub backends: Vec<Ipv4Addr>,
    /// Where everything is sent.
    pub gateway: [u8; 6],
    /// The balancer's own address.
    pub source: Ipv4Addr,
    /// The CPU that packets come to.
    pub cpu: u32,
    /// Connections that the table of that CPU has room for.
    pub connections: u32,
}

/// Knows the objects of one balancer.
trait Adapter {
    /// What figures call it.
    fn name(&self) -> &'static str;
    /// The maps that it fills or reads.
    fn needs(&self) -> &'static [Needed];
    /// Loads the object and fills its maps.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or there is no room.
    fn load(&self, object: &Object, job: &Job) -> Result<Box<dyn Peer>>;
}

/// A loaded balancer with its service.
trait Peer {
    /// What was loaded, and how it was set up; a sentence.
    fn setup(&self) -> &str;

    fn program(&self) -> Result<ProgramFd>;

    /// Packets that may come after [`Peer::make_ready`] until it is called again.
    fn packets_at_once(&self) -> u32;

    /// Lets the next packets be treated as if none had come in the last second.
    fn make_ready(&mut self) -> Result<()>;

    fn counters(&self) -> Result<Counters>;
}

/// What the balancer itself has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    /// All packets.
    seen: u64,
    sent: u64,
    dropped: u64,
    passed: u64,
    /// Packets to a service.
    to_service: u64,
    /// Of those, the ones that the connection table did not answer.
    not_in_table: u64,
    /// Packets that were not looked up in the table that they should have been.
    wrong_table: u64,
    /// Packets by backend, in sum.
    to_backends: u64,
    /// New flows that were not stored because there were too many.
    not_stored: u64,
}

impl Counters {
    /// Each with what it counts.
    fn each(&self) -> [(&'static str, u64); 9] {
        [
            ("seen", self.seen),
            ("sent", self.sent),
            ("dropped", self.dropped),
            ("passed", self.passed),
            ("to a service", self.to_service),
            ("not answered by the connection table", self.not_in_table),
            ("looked up in another connection table", self.wrong_table),
            ("to backends", self.to_backends),
            ("not stored because too many flows were new", self.not_stored),
        ]
    }

    /// What was counted after `before`.
    fn since(&self, before: &Self) -> Self {
        Self {
            seen: self.seen - before.seen,
            sent: self.sent - before.sent,
            dropped: self.dropped - before.dropped,
            passed: self.passed - before.passed,
            to_service: self.to_service - before.to_service,
            not_in_table: self.not_in_table - before.not_in_table,
            wrong_table: self.wrong_table - before.wrong_table,
            to_backends: self.to_backends - before.to_backends,
            not_stored: self.not_stored - before.not_stored,
        }
    }

    /// What is not as in `wanted`; empty: nothing.
    fn unlike(&self, wanted: &Self) -> String {
        let pairs = self.each().into_iter().zip(wanted.each());
        let unlike = pairs.filter(|((_, is), (_, wanted))| is != wanted);
        let unlike: Vec<String> = unlike
            .map(|((what, is), (_, wanted))| format!("{is} {what}, not {wanted}"))
            .collect();
        unlike.join("; ")
    }
}

const ADAPTERS: [&dyn Adapter; 1] = [&katran::Katran];

/// The balancer of an object, which can be loaded several times.
struct Opponent {
    adapter: &'static dyn Adapter,
    object: Object,
}

impl Opponent {
    /// Finds out which balancer's object it is.
    ///
    /// # Errors
    ///
    /// It cannot be read, or no adapter knows it.
    fn recognise(path: &Path) -> Result<Self> {
        let object = Object::read(path)?;
        let adapter = adapter_for(&object.maps);
        match adapter {
            Some(adapter) => Ok(Self { adapter, object }),
            None => bail!("{}: {}", path.display(), unknown(&object.maps)),
        }
    }

    /// What figures call it.
    fn name(&self) -> &'static str {
        self.adapter.name()
    }

    /// Loads it anew.
    ///
    /// # Errors
    ///
    /// The kernel refuses, or there is no room.
    fn load(&self, job: &Job) -> Result<Rival> {
        Rival::new(self.adapter.load(&self.object, job)?, job)
    }
}

fn adapter_for(maps: &Maps) -> Option<&'static dyn Adapter> {
    let knows = |adapter: &&dyn Adapter| adapter.needs().iter().all(|needed| needed.is_in(maps));
    ADAPTERS.into_iter().find(knows)
}

/// Why no adapter knows an object.
fn unknown(maps: &Maps) -> String {
    let lacks = |adapter: &dyn Adapter| {
        let missing = adapter.needs().iter().filter(|needed| !needed.is_in(maps));
        let missing: Vec<String> = missing.map(Needed::to_string).collect();
        let looked_for: Vec<&str> = adapter.needs().iter().map(|needed| needed.name).collect();
        format!(
            "{} has the maps {}, of which this object lacks {}",
            adapter.name(),
            looked_for.join(", "),
            missing.join(", ")
        )
    };
    let reasons: Vec<String> = ADAPTERS.into_iter().map(lacks).collect();
    format!("no adapter knows this object: {}", reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::object::Shape;
    use super::*;

    fn maps_of(adapter: &dyn Adapter) -> Maps {
        let shape = |needed: &Needed| Shape {
            key: needed.key,
            value: needed.value,
            entries: 1,
        };
        let maps = adapter.needs().iter();
        maps.map(|needed| (needed.name.to_owned(), shape(needed))).collect()
    }

    #[test]
    fn an_object_is_known_by_all_of_its_maps() {
        for adapter in ADAPTERS {
            let maps = maps_of(adapter);
            assert_eq!(adapter_for(&maps).map(Adapter::name), Some(adapter.name()));
            for needed in adapter.needs() {
                let mut less = maps.clone();
                less.remove(needed.name);
                assert!(adapter_for(&less).is_none(), "without {}", needed.name);
                let text = unknown(&less);
                assert!(text.ends_with(&format!("lacks {needed}")), "{text}");
                assert_eq!(text.lines().count(), 1);
            }
        }
    }
}
