//! What is in the maps: the daemon's own account of it, and the numbers it has given out.
//!
//! Numbers of services, identifiers of backends and regions of slots are not given out again while a packet in flight or a flow
//! may still name them: what is taken out is *retired* first, and freed by [`Image::collect`] when the janitor has seen a grace
//! period pass and no flow that names it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use lb_common::abi;

use super::model::{Limits, Mode, Protocol, Vip};
use super::observed::ResolvedHop;
use crate::core::prefix::Prefix;

/// A backend within its service, as the maps know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendKey {
    pub address: IpAddr,
    pub port: u16,
}

/// A backend of `nat` as the source of packets on their way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackOf {
    pub backend: BackendKey,
    pub protocol: Protocol,
}

/// A service that is in the maps.
#[derive(Clone, Debug)]
pub struct Placed {
    pub id: u16,
    pub base: u32,
    pub size: u32,
    pub mode: Mode,
    /// TCP: largest segment that either side is told to send, in bytes.
    pub mss_clamp: Option<u16>,
    /// Backend identifier of each slot.
    pub owners: Vec<u32>,
    /// What `owners` was built from; `None`: not known, after an adoption.
    pub members: Option<Vec<(BackendKey, u32)>>,
    pub backends: BTreeMap<BackendKey, PlacedBackend>,
}

/// A backend that is in the maps.
#[derive(Clone, Copy, Debug)]
pub struct PlacedBackend {
    pub id: u32,
    pub entry: abi::Backend,
    /// VLAN tags of frames to it, which stand beside the entry.
    pub tags: abi::Tags,
}

impl PlacedBackend {
    /// Whether its flows go on.
    pub fn alive(&self) -> bool {
        self.entry.flags & abi::backend_flags::ALIVE != 0
    }

    /// Whether its address is IPv6.
    pub fn to_ipv6(&self) -> bool {
        self.entry.flags & abi::backend_flags::IPV6 != 0
    }

    /// The next hop that the maps have for it; `sources` are [`Image::sources`].
    pub fn hop(&self, sources: &[IpAddr]) -> Option<ResolvedHop> {
        let entry = &self.entry;
        let [to, mixed, from] = entry.ethernet.map(u32::to_ne_bytes);
        let numbered = sources
            .get(entry.source_first_or_tunnel_port as usize)
            .copied()
            .filter(|_| entry.mode() == Some(Mode::Fullnat) && entry.source_count_or_spread > 0);
        let from_ipv6 = self.to_ipv6() != (entry.mode == Mode::FULLNAT_ACROSS);
        let added = entry
            .mode()
            .map_or(0, |mode| mode.added_bytes(from_ipv6, self.to_ipv6()));
        (entry.egress != 0).then(|| ResolvedHop {
            egress: entry.egress,
            destination_mac: [to[0], to[1], to[2], to[3], mixed[0], mixed[1]],
            source_mac: [mixed[2], mixed[3], from[0], from[1], from[2], from[3]],
            source: numbered.unwrap_or_else(|| entry.source.ip(self.to_ipv6())),
            mtu: entry.largest.wrapping_add_signed(added),
            tags: self.tags,
        })
    }
}

/// Something that must rest before it is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rested {
    Service(u16),
    Backend(u32),
    Region { base: u32, size: u32 },
}

/// What flows still name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub services: HashSet<u16>,
    pub backends: HashSet<u32>,
}

/// The account of the maps.
#[derive(Clone, Debug)]
pub struct Image {
    pub limits: Limits,
    pub services: BTreeMap<Vip, Placed>,
    pub service_ids: Ids,
    pub backend_ids: Ids,
    pub regions: Regions,
    /// Source addresses of `fullnat` by number.
    pub sources: Vec<IpAddr>,
    pub egress: BTreeSet<u32>,
    pub backs: BTreeMap<BackOf, abi::Back>,
    pub routes: BTreeMap<Prefix, abi::Hop>,
    /// With the number of the last sweep that had ended by then.
    pub retired: Vec<(u64, Rested)>,
}

impl Image {
    /// An account of empty maps.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            services: BTreeMap::new(),
            service_ids: Ids::new(limits.services.min(u16::MAX as u32)),
            backend_ids: Ids::new(limits.backends),
            regions: Regions::new(limits.slots),
            sources: Vec::new(),
            egress: BTreeSet::new(),
            backs: BTreeMap::new(),
            routes: BTreeMap::new(),
            retired: Vec::new(),
        }
    }

    /// Slots that belong to a table.
    pub fn slots_used(&self) -> u64 {
        self.services.values().map(|placed| placed.size as u64).sum()
    }

    /// Frees what has rested: what no flow of the sweep `sweep` names, and what was retired before the sweep before that one had
    /// ended, so that a grace period lies between. Gives what it freed.
    pub fn collect(&mut self, sweep: u64, named: &Named) -> Vec<Rested> {
        let (rested, resting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.retired)
                .into_iter()
                .partition(|(since, what)| {
                    since + 1 < sweep
                        && match what {
                            Rested::Service(id) => !named.services.contains(id),
                            Rested::Backend(id) => !named.backends.contains(id),
                            Rested::Region { .. } => true,
                        }
                });
        self.retired = resting;
        for (_, what) in &rested {
            match *what {
                Rested::Service(id) => self.service_ids.free(id as u32),
                Rested::Backend(id) => self.backend_ids.free(id),
                Rested::Region { base, size } => self.regions.free(base, size),
            }
        }
        rested.into_iter().map(|(_, what)| what).collect()
    }
}

/// Numbers from 1 to a limit. The next one given out is the one after the last, so that a number rests as long as it can.
#[derive(Clone, Debug)]
pub struct Ids {
    used: Vec<bool>,
    next: usize,
}

impl Ids {
    /// Numbers 1 to `limit` - 1: `limit` is the number of entries of the map that they index.
    pub fn new(limit: u32) -> Self {
        Self {
            used: vec![false; limit as usize],
            next: 1,
        }
    }

    /// A free number, marked as used.
    pub fn take(&mut self) -> Option<u32> {
        let limit = self.used.len();
        let found = (self.next..limit)
            .chain(1..self.next.min(limit))
            .find(|id| !self.used[*id])?;
        self.used[found] = true;
        self.next = found + 1;
        Some(found as u32)
    }

    /// Marks a number that is in use already.
    pub fn reserve(&mut self, id: u32) {
        if let Some(used) = self.used.get_mut(id as usize) {
            *used = true;
            self.next = self.next.max(id as usize + 1);
        }
    }

    pub fn free(&mut self, id: u32) {
        if let Some(used) = self.used.get_mut(id as usize) {
            *used = false;
        }
    }

    /// How many are left.
    pub fn room(&self) -> usize {
        self.used.iter().skip(1).filter(|used| !**used).count()
    }
}

/// Ranges of the slots' array.
#[derive(Clone, Debug)]
pub struct Regions {
    /// Base → size, neighbours merged.
    free: BTreeMap<u32, u32>,
}

impl Regions {
    pub fn new(slots: u32) -> Self {
        Self {
            free: BTreeMap::from([(0, slots)]),
        }
    }

    /// The first range that is large enough.
    pub fn take(&mut self, size: u32) -> Option<u32> {
        let (base, room) = self
            .free
            .iter()
            .find(|(_, room)| **room >= size)
            .map(|(base, room)| (*base, *room))?;
        self.free.remove(&base);
        if room > size {
            self.free.insert(base + size, room - size);
        }
        Some(base)
    }

    /// Marks a range that is in use already. `false`: it was not free.
    pub fn reserve(&mut self, base: u32, size: u32) -> bool {
        let Some((start, room)) = self
            .free
            .range(..=base)
            .next_back()
            .map(|(start, room)| (*start, *room))
        else {
            return false;
        };
        if start as u64 + (room as u64) < base as u64 + size as u64 {
            return false;
        }
        self.free.remove(&start);
        if base > start {
            self.free.insert(start, base - start);
        }
        let rest = start + room - (base + size);
        if rest > 0 {
            self.free.insert(base + size, rest);
        }
        true
    }

    pub fn free(&mut self, base: u32, size: u32) {
        let mut base = base;
        let mut size = size;
        if let Some((before, room)) = self.free.range(..base).next_back().map(|(b, r)| (*b, *r))
            && before + room == base
        {
            self.free.remove(&before);
            base = before;
            size += room;
        }
        if let Some(room) = self.free.remove(&(base + size)) {
            size += room;
        }
        self.free.insert(base, size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_rests_before_it_comes_again() {
        let mut ids = Ids::new(4);
        assert_eq!((ids.take(), ids.take()), (Some(1), Some(2)));
        ids.free(1);
        assert_eq!(ids.take(), Some(3));
        assert_eq!(ids.take(), Some(1));
        assert_eq!(ids.take(), None);
    }

    #[test]
    fn regions_merge_again() {
        let mut regions = Regions::new(100);
        let (a, b, c) = (
            regions.take(30).unwrap(),
            regions.take(30).unwrap(),
            regions.take(40).unwrap(),
        );
        assert_eq!((a, b, c, regions.take(1)), (0, 30, 60, None));
        regions.free(a, 30);
        regions.free(c, 40);
        assert_eq!(regions.take(50), None);
        regions.free(b, 30);
        assert_eq!(regions.take(100), Some(0));
    }

    #[test]
    fn reserved_regions_are_not_given_out() {
        let mut regions = Regions::new(100);
        assert!(regions.reserve(10, 20));
        assert!(!regions.reserve(25, 10));
        assert_eq!(regions.take(10), Some(0));
        assert_eq!(regions.take(70), Some(30));
        assert_eq!(regions.take(1), None);
    }
}
