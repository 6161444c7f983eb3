//! Services with several ports, in the map that finds them by the longest prefix.

use aya::maps::lpm_trie::Key;
use lb_common::abi::RangeKey;
use lb_common::maps;

use super::DataplaneError;
use super::tables::{Tables, gone};
use crate::core::model::Vip;
use crate::core::ports;

impl Tables {
    /// A service with several ports: clients find the old one or the new one, prefix by prefix.
    pub fn put_range(&mut self, vip: Vip, service: u16) -> Result<(), DataplaneError> {
        for key in range_keys(vip) {
            let put = self.ranges.insert(&key, u32::from(service), 0);
            put.map_err(|error| DataplaneError::map(maps::PORT_RANGES, error))?;
        }
        Ok(())
    }

    pub(super) fn remove_range(&mut self, vip: Vip) -> Result<(), DataplaneError> {
        range_keys(vip)
            .iter()
            .try_for_each(|key| gone(maps::PORT_RANGES, self.ranges.remove(key)))
    }
}

/// The keys of a service with several ports.
fn range_keys(vip: Vip) -> Vec<Key<RangeKey>> {
    let prefixes = ports::prefixes(vip.port..=vip.last_port).into_iter();
    let key = |(first, bits): (u16, u8)| {
        let key = RangeKey::new(vip.address.into(), vip.protocol.number(), first.to_be());
        Key::new(RangeKey::BITS_WITHOUT_PORT + u32::from(bits), key)
    };
    prefixes.map(key).collect()
}
