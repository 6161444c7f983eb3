//! Neighbours: who has which MAC address, as far as the kernel knows.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};

/// A neighbour: index of the link, address.
pub type NeighbourKey = (u32, IpAddr);

/// What the kernel says of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Its MAC address is known, and good until proved otherwise; also while it is being asked for again.
    Known { mac: [u8; 6], fixed: bool },
    /// Asked for the first time, or the first time since it was forgotten.
    Asked,
    /// It did not answer.
    Failed,
    /// The kernel has forgotten it.
    Forgotten,
}

/// Reads a message about a neighbour; `None` if it is about something else, like the port that a bridge learned.
pub fn sighting(message: &NeighbourMessage, deleted: bool) -> Option<(NeighbourKey, Sighting)> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::from(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::from(*address)),
        _ => None,
    })?;
    let mac: Option<[u8; 6]> = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    });
    use NeighbourState::{Delay, Failed, Noarp, Permanent, Probe, Reachable, Stale};
    let sighting = match (message.header.state, mac) {
        _ if deleted => Sighting::Forgotten,
        (Permanent | Noarp, Some(mac)) => Sighting::Known { mac, fixed: true },
        (Reachable | Stale | Delay | Probe, Some(mac)) => Sighting::Known { mac, fixed: false },
        (Failed, _) => Sighting::Failed,
        _ => Sighting::Asked,
    };
    Some(((message.header.ifindex, address), sighting))
}

/// A neighbour whose MAC address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    mac: [u8; 6],
    /// Set by the operator, or needs no asking.
    fixed: bool,
    /// The kernel has forgotten it, but it is in use here, and nothing says that it is wrong.
    forgotten: bool,
}

/// What has to be done after a sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    /// Somebody's MAC address is other than it was.
    Changed,
    /// To be asked for at once.
    Ask,
}

/// The neighbours whose MAC addresses are known.
///
/// One that is in use stays when the kernel forgets it (`ip neigh flush`, a full table) until it does not answer: a known
/// MAC address is a better guess than to drop the packets.
#[derive(Debug, Default)]
pub struct Neighbours(HashMap<NeighbourKey, Entry>);

impl Neighbours {
    pub fn mac(&self, key: NeighbourKey) -> Option<[u8; 6]> {
        self.0.get(&key).map(|entry| entry.mac)
    }

    /// Whether a neighbour must never be asked for: the kernel would take an operator's own entry for one of its own.
    pub fn is_fixed(&self, key: NeighbourKey) -> bool {
        self.0.get(&key).is_some_and(|entry| entry.fixed)
    }

    /// Whether a neighbour is known, and to the kernel too.
    pub fn is_fresh(&self, key: NeighbourKey) -> bool {
        self.0.get(&key).is_some_and(|entry| !entry.forgotten)
    }

    pub fn iter(&self) -> impl Iterator<Item = (NeighbourKey, [u8; 6])> {
        self.0.iter().map(|(key, entry)| (*key, entry.mac))
    }

    /// Takes a sighting.
    pub fn apply(&mut self, key: NeighbourKey, sighting: Sighting, in_use: bool) -> Effect {
        match sighting {
            Sighting::Known { mac, fixed } => {
                let before = self.0.insert(
                    key,
                    Entry {
                        mac,
                        fixed,
                        forgotten: false,
                    },
                );
                if before.is_some_and(|before| before.mac == mac) {
                    Effect::Nothing
                } else {
                    Effect::Changed
                }
            }
            // `ip neigh flush` says of each that it failed, without having asked; so it fails only when it was asked since.
            Sighting::Failed if !in_use || !self.is_fresh(key) => match self.0.remove(&key) {
                Some(_) => Effect::Changed,
                None => Effect::Nothing,
            },
            Sighting::Failed | Sighting::Asked | Sighting::Forgotten => match self.0.get_mut(&key) {
                Some(entry) if in_use => {
                    let asked = sighting == Sighting::Asked;
                    *entry = Entry {
                        fixed: false,
                        forgotten: true,
                        ..*entry
                    };
                    if asked { Effect::Nothing } else { Effect::Ask }
                }
                Some(_) => {
                    self.0.remove(&key);
                    Effect::Changed
                }
                None => Effect::Nothing,
            },
        }
    }

    /// Takes all of the kernel's table at once: what is not in it is forgotten.
    pub fn replace(
        &mut self,
        table: impl IntoIterator<Item = (NeighbourKey, Sighting)>,
        in_use: impl Fn(NeighbourKey) -> bool,
    ) {
        let table: HashMap<_, _> = table.into_iter().collect();
        let missing: Vec<_> = self.0.keys().filter(|key| !table.contains_key(*key)).copied().collect();
        for key in missing {
            self.apply(key, Sighting::Forgotten, in_use(key));
        }
        for (key, sighting) in table {
            self.apply(key, sighting, in_use(key));
        }
    }

    /// Drops those that only stayed because they were in use.
    pub fn prune(&mut self, in_use: &HashSet<NeighbourKey>) {
        self.0.retain(|key, entry| !entry.forgotten || in_use.contains(key));
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const KEY: NeighbourKey = (2, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    const KEY_V6: NeighbourKey = (2, IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)));
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const KNOWN: Sighting = Sighting::Known { mac: MAC, fixed: false };

    fn message(key: NeighbourKey, state: NeighbourState, mac: Option<&[u8]>) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = key.0;
        message.header.state = state;
        message.attributes.push(NeighbourAttribute::Destination(key.1.into()));
        message
            .attributes
            .extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.to_vec())));
        message
    }

    #[test]
    fn states_as_the_kernel_names_them() {
        use NeighbourState::{Delay, Failed, Incomplete, Noarp, Permanent, Probe, Reachable, Stale};
        let fixed = Sighting::Known { mac: MAC, fixed: true };
        // A tunnel's neighbour has an address of another length.
        let tunnels: &[u8] = &[10, 0, 0, 1];
        for key in [KEY, KEY_V6] {
            for (state, mac, expected) in [
                (Reachable, Some(&MAC[..]), KNOWN),
                (Stale, Some(&MAC), KNOWN),
                (Delay, Some(&MAC), KNOWN),
                (Probe, Some(&MAC), KNOWN),
                (Permanent, Some(&MAC), fixed),
                (Noarp, Some(&MAC), fixed),
                (Incomplete, None, Sighting::Asked),
                (Failed, None, Sighting::Failed),
                (Failed, Some(&MAC), Sighting::Failed),
                (Reachable, Some(tunnels), Sighting::Asked),
            ] {
                let message = message(key, state, mac);
                assert_eq!(sighting(&message, false), Some((key, expected)), "{message:?}");
                assert_eq!(sighting(&message, true), Some((key, Sighting::Forgotten)));
            }
        }
    }

    #[test]
    fn what_is_proxied_or_has_no_ip_address_is_no_neighbour() {
        let mut proxy = message(KEY, NeighbourState::Reachable, Some(&MAC));
        proxy.header.flags = NeighbourFlags::Proxy;
        assert_eq!(sighting(&proxy, false), None);
        let mut bridged = message(KEY, NeighbourState::Reachable, Some(&MAC));
        bridged.attributes.remove(0);
        assert_eq!(sighting(&bridged, false), None);
    }

    #[test]
    fn one_in_use_survives_being_forgotten_until_it_fails() {
        let mut neighbours = Neighbours::default();
        assert_eq!(neighbours.apply(KEY, KNOWN, true), Effect::Changed);
        assert_eq!(neighbours.apply(KEY, KNOWN, true), Effect::Nothing);
        assert_eq!(neighbours.apply(KEY, Sighting::Forgotten, true), Effect::Ask);
        assert_eq!((neighbours.mac(KEY), neighbours.is_fresh(KEY)), (Some(MAC), false));
        assert_eq!(neighbours.apply(KEY, Sighting::Asked, true), Effect::Nothing);
        assert_eq!(neighbours.mac(KEY), Some(MAC));
        assert_eq!(neighbours.apply(KEY, Sighting::Failed, true), Effect::Changed);
        assert_eq!(neighbours.mac(KEY), None);
        assert_eq!(neighbours.apply(KEY, Sighting::Asked, true), Effect::Nothing);
        assert_eq!(neighbours.mac(KEY), None);
    }

    #[test]
    fn one_in_use_survives_a_flush_that_says_it_failed() {
        let mut neighbours = Neighbours::default();
        neighbours.apply(KEY, KNOWN, true);
        assert_eq!(neighbours.apply(KEY, Sighting::Failed, true), Effect::Ask);
        assert_eq!(neighbours.apply(KEY, Sighting::Forgotten, true), Effect::Ask);
        assert_eq!((neighbours.mac(KEY), neighbours.is_fresh(KEY)), (Some(MAC), false));
        assert_eq!(neighbours.apply(KEY, KNOWN, true), Effect::Nothing);
        neighbours.apply(KEY, KNOWN, false);
        assert_eq!(neighbours.apply(KEY, Sighting::Failed, false), Effect::Changed);
    }

    #[test]
    fn one_that_nobody_uses_goes_when_the_kernel_forgets_it() {
        let mut neighbours = Neighbours::default();
        neighbours.apply(KEY, KNOWN, false);
        assert_eq!(neighbours.apply(KEY, Sighting::Forgotten, false), Effect::Changed);
        assert_eq!(neighbours.mac(KEY), None);
        neighbours.apply(KEY, KNOWN, true);
        neighbours.replace([], |_| true);
        assert_eq!(neighbours.mac(KEY), Some(MAC));
        neighbours.prune(&HashSet::new());
        assert_eq!(neighbours.mac(KEY), None);
    }

    #[test]
    fn an_operators_entry_is_never_asked_for() {
        let mut neighbours = Neighbours::default();
        neighbours.replace([(KEY, Sighting::Known { mac: MAC, fixed: true })], |_| false);
        assert!(neighbours.is_fixed(KEY));
        neighbours.apply(KEY, KNOWN, true);
        assert!(!neighbours.is_fixed(KEY));
    }
}
