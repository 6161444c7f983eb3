//! The hash table of what clients connect to (`lb_common::abi::vip_first`), as the daemon writes it while programs read.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use lb_common::abi::{BUCKET_ENTRIES, Bucket, VipKey, vip_first, vip_second};
use lb_common::maps;

use super::DataplaneError;
use super::grace::grace;
use super::mapped::Mapped;

/// The table, and which of its free places a program may still be reading.
pub struct VipTable {
    buckets: Mapped<Bucket>,
    /// Where keys were taken away since the last grace period.
    resting: HashSet<Place>,
}

/// Bucket, and entry in it.
type Place = (usize, usize);

const WORDS: usize = 2;
const KEY: usize = 0;
const SERVICE: usize = 1;

impl VipTable {
    pub fn new(buckets: Mapped<Bucket>) -> Self {
        Self {
            buckets,
            resting: HashSet::new(),
        }
    }

    /// Leads a key to a service, in one store as programs see it.
    ///
    /// # Errors
    ///
    /// Both of the key's buckets are full, which more services than the table was made for can bring about.
    pub fn put(&mut self, key: VipKey, service: u16) -> Result<(), DataplaneError> {
        let word = key.0;
        if let Some(place) = self.find(word) {
            self.word(place, SERVICE).store(service as u64, Ordering::Release);
            return Ok(());
        }
        let Some(place) = self.free(word) else {
            return Err(DataplaneError::Map {
                name: maps::VIPS.into(),
                reason: "no place is left for another address; raise node.limits.services".into(),
            });
        };
        if self.resting.contains(&place) {
            // Who found the old key there has read its service by then.
            grace();
            self.resting.clear();
        }
        self.word(place, SERVICE).store(service as u64, Ordering::Release);
        self.word(place, KEY).store(word, Ordering::Release);
        Ok(())
    }

    /// Nothing is found by this key any more.
    pub fn remove(&mut self, key: VipKey) {
        if let Some(place) = self.find(key.0) {
            self.word(place, KEY).store(0, Ordering::Release);
            self.resting.insert(place);
        }
    }

    /// Every key with its service.
    pub fn entries(&self) -> Vec<(VipKey, u16)> {
        let places = (0..self.buckets.len()).flat_map(places);
        let entry = |place| (self.load(place, KEY), self.load(place, SERVICE));
        let taken = places.map(entry).filter(|(key, _)| *key != 0);
        taken.map(|(key, service)| (VipKey(key), service as u16)).collect()
    }

    fn word(&self, (bucket, entry): Place, word: usize) -> &std::sync::atomic::AtomicU64 {
        self.buckets.word(bucket, entry * WORDS + word)
    }

    fn load(&self, place: Place, word: usize) -> u64 {
        self.word(place, word).load(Ordering::Acquire)
    }

    fn candidates(&self, key: u64) -> [usize; 2] {
        let mask = self.buckets.len() as u32 - 1;
        [vip_first(key, mask), vip_second(key, mask)].map(|bucket| bucket as usize)
    }

    fn find(&self, key: u64) -> Option<Place> {
        let mut places = self.candidates(key).into_iter().flat_map(places);
        places.find(|place| self.load(*place, KEY) == key)
    }

    /// A free place in the bucket with more room, one that has rested rather than one that has not.
    fn free(&self, key: u64) -> Option<Place> {
        let free = |bucket| places(bucket).filter(|place| self.load(*place, KEY) == 0);
        let [first, second] = self.candidates(key);
        let bucket = if free(second).count() > free(first).count() {
            second
        } else {
            first
        };
        free(bucket).min_by_key(|place| self.resting.contains(place))
    }
}

fn places(bucket: usize) -> impl Iterator<Item = Place> {
    (0..BUCKET_ENTRIES).map(move |entry| (bucket, entry))
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::*;

    fn table(buckets: u32) -> VipTable {
        let memory = memfd_create("vips", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(
            &memory,
            (buckets as u64 * size_of::<Bucket>() as u64).next_multiple_of(4096),
        )
        .unwrap();
        VipTable::new(Mapped::new(&memory, buckets).unwrap())
    }

    fn key(number: u32) -> VipKey {
        VipKey(number as u64 + 1)
    }

    #[test]
    fn a_key_leads_to_the_service_it_was_put_with_last() {
        let mut table = table(64);
        table.put(key(1), 7).unwrap();
        table.put(key(2), 8).unwrap();
        table.put(key(1), 9).unwrap();
        let mut entries = table.entries();
        entries.sort();
        assert_eq!(entries, [(key(1), 9), (key(2), 8)]);
        table.remove(key(1));
        table.remove(key(1));
        assert_eq!(table.entries(), [(key(2), 8)]);
    }

    #[test]
    fn a_place_that_rests_is_used_again_after_a_grace_period() {
        let mut table = table(1);
        (0..4).for_each(|number| table.put(key(number), 1).unwrap());
        table.remove(key(2));
        assert_eq!(table.resting.len(), 1);
        table.put(key(9), 5).unwrap();
        assert!(table.resting.is_empty() && table.entries().contains(&(key(9), 5)));
    }

    #[test]
    fn a_full_bucket_refuses_and_keeps_what_it_has() {
        let mut table = table(1);
        (0..4).for_each(|number| table.put(key(number), 1).unwrap());
        let before = table.entries();
        let refused = table.put(key(4), 2).unwrap_err().to_string();
        assert!(refused.contains("node.limits.services"), "{refused}");
        assert_eq!(table.entries(), before);
    }
}
