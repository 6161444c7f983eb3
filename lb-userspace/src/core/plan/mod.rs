//! The difference between what should be in the maps and what is, as steps in a safe order.
//!
//! Order of writes: a backend stands in its map before a slot names it, a table is complete before its service is found, and what
//! is taken out is first unreachable, then retired (see [`super::image`]). Each step is one store, or harmless when seen half done.
//!
//! # Layout
//!
//! - here: services: placing, changing, taking out
//! - `entry`: what is wanted, as the structs that lie in the maps
//! - `routes`: where packets to clients go
//! - `sources`: numbers of source addresses

mod entry;
mod routes;
mod sources;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::abi::{self, NO_BACKEND, Tags, backend_flags};

pub use entry::ethernet;
pub use routes::{interfaces, routes};

use super::image::{BackOf, BackendKey, Image, Named, Placed, PlacedBackend, Rested};
use super::maglev;
use super::model::{Mode, Vip};
use super::observed::ResolvedHop;
use crate::core::prefix::Prefix;

/// One write to the maps.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Packets can be sent through this interface.
    Egress {
        index: u32,
    },
    EgressGone {
        index: u32,
    },
    /// A source address of `fullnat` with all its ports free.
    Source {
        number: u32,
        address: IpAddr,
    },
    /// A backend that is new, or changes in place.
    Backend {
        id: u32,
        entry: abi::Backend,
    },
    /// VLAN tags of frames to a backend, before its entry says that there are any.
    BackendTags {
        id: u32,
        tags: Tags,
    },
    /// A service at its number, before anything leads there: its counters start at 0. [`abi::Service::NONE`]: nothing names
    /// the number any more.
    Service {
        id: u16,
        entry: abi::Service,
    },
    /// The same service at its number, a setting changed; its counters go on.
    ServiceChanged {
        id: u16,
        entry: abi::Service,
    },
    /// Nothing names this backend any more: what it counted goes to its service.
    BackendCleared {
        id: u32,
    },
    /// Slots that change hands: index in the slots' array, backend.
    Slots {
        changes: Vec<(u32, u32)>,
    },
    /// Clients find this service from now on.
    Vip {
        vip: Vip,
        service: u16,
    },
    VipGone {
        vip: Vip,
    },
    /// Some service has these addresses: packets to them whose ports cannot be read are ours.
    Address {
        prefix: Prefix,
    },
    AddressGone {
        prefix: Prefix,
    },
    Back {
        of: BackOf,
        entry: abi::Back,
    },
    BackGone {
        of: BackOf,
    },
    Route {
        prefix: Prefix,
        hop: abi::Hop,
    },
    RouteGone {
        prefix: Prefix,
    },
}

/// What a service should be in the maps.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub vip: Vip,
    pub mode: Mode,
    pub table_size: u32,
    /// `gue`: the port that tunnels go to.
    pub tunnel_port: u16,
    /// TCP: largest segment that either side is told to send, in bytes.
    pub mss_clamp: Option<u16>,
    /// The node's source addresses; empty: each egress interface's own.
    pub sources: Vec<IpAddr>,
    /// `ipip`: prefixes that outer headers come from instead.
    pub spread: Vec<Prefix>,
    pub backends: Vec<WantedBackend>,
}

/// What a backend should be in the maps.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedBackend {
    pub key: BackendKey,
    /// 0: no new flows.
    pub weight: u32,
    pub alive: bool,
    /// `None`: not known.
    pub hop: Option<ResolvedHop>,
}

/// A limit that the maps were made with is reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("service {0}: no number is free, there is room for {1} services; raise node.limits.services")]
    Services(Vip, u32),
    #[error("service {0}: no room for {1} slots in one piece, there are {2} in all; raise node.limits.slots")]
    Slots(Vip, u32, u32),
    #[error("service {0}: no room for another backend, there are {1} in all; raise node.limits.backends")]
    Backends(Vip, u32),
    #[error("service {0}: no room for source address {1}, there is room for {2}; raise node.limits.sources")]
    Sources(Vip, IpAddr, u32),
}

/// Brings one service into the maps, or up to date. `sweep` is the number of the janitor's current sweep.
pub fn service(image: &mut Image, wanted: &Wanted, sweep: u64) -> Result<Vec<Op>, PlanError> {
    let mut ops = Vec::new();
    let there = image
        .services
        .get(&wanted.vip)
        .filter(|p| p.mode == wanted.mode && p.size == wanted.table_size);
    check_room(image, wanted, there)?;
    if there.is_some() {
        update(image, wanted, sweep, &mut ops);
    } else {
        place(image, wanted, sweep, &mut ops)?;
    }
    Ok(ops)
}

/// Whether there is room for the backends and sources of a service, of which `there` is in the maps already. Asked before
/// anything is changed, so that a refusal leaves nothing half done.
fn check_room(image: &Image, wanted: &Wanted, there: Option<&Placed>) -> Result<(), PlanError> {
    let new = wanted
        .backends
        .iter()
        .filter(|b| there.is_none_or(|placed| !placed.backends.contains_key(&b.key)))
        .count();
    if new > image.backend_ids.room() {
        return Err(PlanError::Backends(wanted.vip, image.limits.backends.saturating_sub(1)));
    }
    if wanted.mode != Mode::Fullnat {
        return Ok(());
    }
    let mut numbered = image.sources.clone();
    for hop in wanted.backends.iter().filter_map(|backend| backend.hop) {
        let row = sources::row(&numbered, &sources::of(wanted, hop.source));
        numbered.extend(row.new);
    }
    match numbered.get(image.limits.sources as usize) {
        Some(missing) => Err(PlanError::Sources(wanted.vip, *missing, image.limits.sources)),
        None => Ok(()),
    }
}

/// Frees what has rested: see [`Image::collect`].
pub fn collect(image: &mut Image, sweep: u64, named: &Named) -> Vec<Op> {
    let freed = image.collect(sweep, named);
    freed
        .into_iter()
        .filter_map(|what| match what {
            Rested::Service(id) => Some(Op::Service {
                id,
                entry: abi::Service::NONE,
            }),
            Rested::Backend(id) => Some(Op::BackendCleared { id }),
            Rested::Region { .. } => None,
        })
        .collect()
}

/// Takes a service out of the maps.
pub fn service_gone(image: &mut Image, vip: Vip, sweep: u64) -> Vec<Op> {
    let mut ops = Vec::new();
    let Some(placed) = image.services.remove(&vip) else {
        return ops;
    };
    ops.push(Op::VipGone { vip });
    if !image.services.keys().any(|other| other.prefix() == vip.prefix()) {
        ops.push(Op::AddressGone { prefix: vip.prefix() });
    }
    retire(image, vip, placed, sweep, &mut ops);
    ops
}

/// A service that is not there, or whose mode or table size changes: built beside what is there, then found instead of it.
fn place(image: &mut Image, wanted: &Wanted, sweep: u64, ops: &mut Vec<Op>) -> Result<(), PlanError> {
    let limits = image.limits;
    let Some(id) = image.service_ids.take() else {
        return Err(PlanError::Services(wanted.vip, limits.services.saturating_sub(1)));
    };
    let Some(base) = image.regions.take(wanted.table_size) else {
        image.service_ids.free(id);
        return Err(PlanError::Slots(wanted.vip, wanted.table_size, limits.slots));
    };
    let old = image.services.remove(&wanted.vip);
    let mut placed = Placed {
        id: id as u16,
        base,
        size: wanted.table_size,
        mode: wanted.mode,
        mss_clamp: wanted.mss_clamp,
        owners: Vec::new(),
        members: None,
        backends: BTreeMap::new(),
    };
    let vip = wanted.vip;
    ops.push(Op::Service {
        id: placed.id,
        entry: entry::service(vip, &placed),
    });
    fill(image, wanted, &mut placed, ops);
    ops.push(Op::Vip {
        vip,
        service: placed.id,
    });
    if old.is_none() && !image.services.keys().any(|other| other.prefix() == vip.prefix()) {
        ops.push(Op::Address { prefix: vip.prefix() });
    }
    if let Some(old) = old {
        retire(image, vip, old, sweep, ops);
    }
    image.services.insert(vip, placed);
    Ok(())
}

fn update(image: &mut Image, wanted: &Wanted, sweep: u64, ops: &mut Vec<Op>) {
    let Some(mut placed) = image.services.remove(&wanted.vip) else {
        return;
    };
    if placed.mss_clamp != wanted.mss_clamp {
        placed.mss_clamp = wanted.mss_clamp;
        ops.push(Op::ServiceChanged {
            id: placed.id,
            entry: entry::service(wanted.vip, &placed),
        });
    }
    let before: BTreeSet<BackendKey> = placed.backends.keys().copied().collect();
    fill(image, wanted, &mut placed, ops);
    let after: BTreeSet<BackendKey> = wanted.backends.iter().map(|backend| backend.key).collect();
    for key in before.difference(&after) {
        if let Some(gone) = placed.backends.remove(key) {
            backend_gone(image, wanted.vip, *key, gone, sweep, ops);
        }
    }
    image.services.insert(wanted.vip, placed);
}

/// Backends first, then their ways back, then the slots that name them.
fn fill(image: &mut Image, wanted: &Wanted, placed: &mut Placed, ops: &mut Vec<Op>) {
    for backend in &wanted.backends {
        let sources = match (wanted.mode, backend.hop) {
            (Mode::Fullnat, Some(hop)) => sources::number(image, &sources::of(wanted, hop.source), ops),
            _ => (0, 0),
        };
        let entry = entry::backend(wanted, placed.id, backend, sources);
        let tags = entry::tags(backend);
        let before = placed.backends.get(&backend.key).copied();
        let Some(id) = before.map(|there| there.id).or_else(|| image.backend_ids.take()) else {
            continue;
        };
        // Where there are none, nobody reads them.
        if tags != Tags::NONE && before.is_none_or(|there| there.tags != tags) {
            ops.push(Op::BackendTags { id, tags });
        }
        if before.is_none_or(|there| there.entry != entry) {
            ops.push(Op::Backend { id, entry });
        }
        placed.backends.insert(backend.key, PlacedBackend { id, entry, tags });
    }
    if wanted.mode == Mode::Nat {
        backs(image, wanted.vip, placed, ops);
    }
    slots(wanted, placed, ops);
}

/// The slots that change hands.
fn slots(wanted: &Wanted, placed: &mut Placed, ops: &mut Vec<Op>) {
    let members: Vec<(BackendKey, u32)> = wanted
        .backends
        .iter()
        .filter(|b| b.weight > 0)
        .map(|b| (b.key, b.weight))
        .collect();
    if placed.members.as_ref() == Some(&members) {
        return;
    }
    let input: Vec<maglev::Member> = members
        .iter()
        .map(|(key, weight)| maglev::Member {
            identity: maglev::identity(key.address, key.port),
            weight: *weight,
        })
        .collect();
    let ids: Vec<u32> = members.iter().map(|(key, _)| placed.backends[key].id).collect();
    let table = maglev::build(placed.size, &input);
    let owners: Vec<u32> = table
        .iter()
        .map(|member| ids.get(*member as usize).copied().unwrap_or(NO_BACKEND))
        .collect();
    let fresh = placed.owners.is_empty();
    let changes: Vec<(u32, u32)> = owners
        .iter()
        .enumerate()
        .filter(|(index, owner)| fresh || placed.owners[*index] != **owner)
        .map(|(index, owner)| (placed.base + index as u32, *owner))
        .collect();
    placed.owners = owners;
    placed.members = Some(members);
    if !changes.is_empty() {
        ops.push(Op::Slots { changes });
    }
}

/// The way back of `nat`: one entry a backend.
fn backs(image: &mut Image, vip: Vip, placed: &Placed, ops: &mut Vec<Op>) {
    for (key, backend) in &placed.backends {
        let of = back_of(vip, *key);
        let entry = abi::Back {
            backend: backend.id,
            service: placed.id,
            change: entry::change(key.address, vip.address),
        };
        if image.backs.insert(of, entry) != Some(entry) {
            ops.push(Op::Back { of, entry });
        }
    }
}

fn back_of(vip: Vip, backend: BackendKey) -> BackOf {
    let protocol = vip.protocol;
    BackOf { backend, protocol }
}

/// A service that nobody finds any more.
fn retire(image: &mut Image, vip: Vip, placed: Placed, sweep: u64, ops: &mut Vec<Op>) {
    for (key, backend) in placed.backends {
        backend_gone(image, vip, key, backend, sweep, ops);
    }
    image.retired.push((sweep, Rested::Service(placed.id)));
    image.retired.push((
        sweep,
        Rested::Region {
            base: placed.base,
            size: placed.size,
        },
    ));
}

/// A backend that no slot names any more: its flows are void at once, its entry stays for packets in flight.
fn backend_gone(image: &mut Image, vip: Vip, key: BackendKey, backend: PlacedBackend, sweep: u64, ops: &mut Vec<Op>) {
    let mut entry = backend.entry;
    entry.flags &= !backend_flags::ALIVE;
    ops.push(Op::Backend { id: backend.id, entry });
    let of = back_of(vip, key);
    if image.backs.get(&of).is_some_and(|back| back.backend == backend.id) {
        image.backs.remove(&of);
        ops.push(Op::BackGone { of });
    }
    image.retired.push((sweep, Rested::Backend(backend.id)));
}
