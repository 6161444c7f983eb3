//! Services with several ports or addresses, in the maps that find them by the longest prefix.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aya::maps::LpmTrie;
use aya::maps::{MapData, lpm_trie::Key};
use lb_common::abi::{Address, PrefixKey, RangeKey};
use lb_common::maps;

use super::DataplaneError;
use super::tables::gone;
use crate::core::groups::{Groups, Place, Write};
use crate::core::model::{Protocol, Vip};
use crate::core::ports;
use crate::core::prefix::Prefix;

/// Both maps, and what of them is groups.
pub struct Ranges {
    pub(super) ranges: LpmTrie<MapData, RangeKey, u32>,
    pub(super) prefixes: LpmTrie<MapData, PrefixKey, u32>,
    groups: Groups,
}

impl Ranges {
    pub fn new(ranges: LpmTrie<MapData, RangeKey, u32>, prefixes: LpmTrie<MapData, PrefixKey, u32>) -> Self {
        Self {
            ranges,
            prefixes,
            groups: Groups::default(),
        }
    }

    /// Clients find this service instead of the one before it, a prefix of its ports after the other.
    pub fn put(&mut self, vip: Vip, service: u16) -> Result<(), DataplaneError> {
        if vip.is_prefix() {
            let writes = self.groups.change(vip, Some(service));
            return self.write(writes);
        }
        keys(vip).iter().try_for_each(|key| self.insert(key, service))
    }

    pub fn remove(&mut self, vip: Vip) -> Result<(), DataplaneError> {
        if vip.is_prefix() {
            let writes = self.groups.change(vip, None);
            return self.write(writes);
        }
        keys(vip)
            .iter()
            .try_for_each(|key| gone(maps::PORT_RANGES, self.ranges.remove(key)))
    }

    /// Takes over what is in the maps, with these services of prefixes: a daemon that was killed while it wrote may have left something
    /// else.
    pub fn adopt(&mut self, services: BTreeMap<Vip, u16>) -> Result<(), DataplaneError> {
        let (mut groups, mut places) = (BTreeMap::new(), BTreeMap::new());
        for pair in self.prefixes.iter() {
            let (key, group) = pair.map_err(|error| DataplaneError::map(maps::PREFIXES, error))?;
            groups.insert(prefix_of(&key), group);
        }
        for pair in self.ranges.iter() {
            let (key, service) = pair.map_err(|error| DataplaneError::map(maps::PORT_RANGES, error))?;
            places.extend(place_of(&key).map(|place| (place, service as u16)));
        }
        let (adopted, writes) = Groups::adopt(groups, places, services);
        self.groups = adopted;
        self.write(writes)
    }

    /// The numbers of all services that are found here.
    pub fn services(&self) -> Result<Vec<u32>, DataplaneError> {
        let pairs = self.ranges.iter();
        pairs
            .map(|pair| {
                let (_, service) = pair.map_err(|error| DataplaneError::map(maps::PORT_RANGES, error))?;
                Ok(service)
            })
            .collect()
    }

    fn write(&mut self, writes: Vec<Write>) -> Result<(), DataplaneError> {
        writes.into_iter().try_for_each(|write| match write {
            Write::Put(place, service) => self.insert(&key_of(place), service),
            Write::Gone(place) => gone(maps::PORT_RANGES, self.ranges.remove(&key_of(place))),
            Write::Group(prefix, group) => {
                let put = self.prefixes.insert(&prefix_key(prefix), group, 0);
                put.map_err(|error| DataplaneError::map(maps::PREFIXES, error))
            }
            Write::GroupGone(prefix) => gone(maps::PREFIXES, self.prefixes.remove(&prefix_key(prefix))),
        })
    }

    fn insert(&mut self, key: &Key<RangeKey>, service: u16) -> Result<(), DataplaneError> {
        let put = self.ranges.insert(key, u32::from(service), 0);
        put.map_err(|error| DataplaneError::map(maps::PORT_RANGES, error))
    }
}

/// The keys of a service with several ports at one address.
fn keys(vip: Vip) -> Vec<Key<RangeKey>> {
    let prefixes = ports::prefixes(vip.port..=vip.last_port).into_iter();
    prefixes
        .map(|(first, bits)| range_key(vip.address.into(), vip.protocol, first, bits))
        .collect()
}

fn key_of(place: Place) -> Key<RangeKey> {
    range_key(Address::group(place.group), place.protocol, place.port, place.bits)
}

fn range_key(address: Address, protocol: Protocol, first: u16, bits: u8) -> Key<RangeKey> {
    let key = RangeKey::new(address, protocol.number(), first.to_be());
    Key::new(RangeKey::BITS_WITHOUT_PORT + u32::from(bits), key)
}

/// What a key says of a group's place; `None`: it is of an address.
fn place_of(key: &Key<RangeKey>) -> Option<Place> {
    let [group, 1, 0, 0, last] = key.data().0 else {
        return None;
    };
    let [number, _, high, low] = last.to_ne_bytes();
    Some(Place {
        group,
        protocol: Protocol::from_number(number)?,
        port: u16::from_be_bytes([high, low]),
        bits: (key.prefix_len() - RangeKey::BITS_WITHOUT_PORT) as u8,
    })
}

fn prefix_key(prefix: Prefix) -> Key<PrefixKey> {
    let version = if prefix.address.is_ipv6() { 6 } else { 4 };
    let key = PrefixKey::new(version, prefix.network().into());
    Key::new(PrefixKey::BITS_OF_VERSION + u32::from(prefix.length), key)
}

fn prefix_of(key: &Key<PrefixKey>) -> Prefix {
    let [version, a, b, c, d] = key.data().0;
    let word = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let address: IpAddr = Address([word(a, b), word(c, d)]).ip(u32::from_be(version) == 6);
    Prefix {
        address,
        length: (key.prefix_len() - PrefixKey::BITS_OF_VERSION) as u8,
    }
}

/// Whether what clients connect to is found here: more than one port, which a service for every protocol has, too, or address.
pub fn is_here(vip: Vip) -> bool {
    vip.is_range() || vip.is_prefix()
}
