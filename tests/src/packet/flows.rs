//! The flow table of `fullnat` and its ports, as they lie in the maps.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddrV4;

use lb_common::abi::{BUCKET_ENTRIES, FlowKey, FlowValue, PORTS_PER_SOURCE};
use lb_userspace::edge::dataplane::testing::Hands;

use super::World;

/// Looks at the maps while packets run.
pub struct Flows(pub Hands);

/// An entry of the flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub key: FlowKey,
    pub value: FlowValue,
    pub bucket: usize,
    pub place: usize,
}

/// A port that is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    pub key: FlowKey,
    pub value: FlowValue,
}

/// How the flow table names a client's flow to the service of this number.
pub fn flow_key(client: SocketAddrV4, service: u16) -> FlowKey {
    FlowKey::v4(client.ip().to_bits().to_be(), client.port().to_be(), service)
}

impl Flows {
    /// # Panics
    ///
    /// If the maps cannot be mapped.
    pub fn on(world: &mut World) -> Self {
        Self(Hands::on(&mut world.dataplane).expect("the maps are mapped"))
    }

    /// All entries whose key is set, in the order in which the program looks.
    pub fn all(&self) -> Vec<Flow> {
        let mut flows = Vec::new();
        for bucket in 0..self.0.flows.len() {
            let entries = self.0.flows.load(bucket).entries;
            for (place, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.key != 0) {
                let (key, value) = (FlowKey(entry.key), FlowValue(entry.value));
                flows.push(Flow {
                    key,
                    value,
                    bucket,
                    place,
                });
            }
        }
        flows
    }

    /// The entry of a flow.
    pub fn of(&self, key: FlowKey) -> Option<Flow> {
        self.all().into_iter().find(|flow| flow.key == key)
    }

    /// Ports that are held, by their index.
    pub fn holders(&self) -> BTreeMap<u32, Holder> {
        let entry = |index: usize| (index, self.0.ports.load(index));
        (0..self.0.ports.len())
            .map(entry)
            .filter(|(_, entry)| entry.key != 0)
            .map(|(index, entry)| {
                let (key, value) = (FlowKey(entry.key), FlowValue(entry.value));
                (index as u32, Holder { key, value })
            })
            .collect()
    }

    /// Free ports of a source, the next one first.
    pub fn free(&self, source: u32) -> Vec<u16> {
        let queue = self.0.queues.load(source as usize);
        let ring = |place: u64| source * PORTS_PER_SOURCE + (place as u32 % PORTS_PER_SOURCE);
        (queue.head..queue.tail)
            .map(|place| self.0.free_ports.load(ring(place) as usize) as u16)
            .collect()
    }

    /// Writes the key of an entry that nobody else is at.
    pub fn set_key(&self, flow: &Flow, key: u64) {
        self.word(flow, 0, key);
    }

    /// Writes the value of an entry that nobody else is at.
    pub fn set_value(&self, flow: &Flow, value: u64) {
        self.word(flow, 1, value);
    }

    fn word(&self, flow: &Flow, word: usize, content: u64) {
        assert!(flow.place < BUCKET_ENTRIES);
        let word = self.0.flows.word(flow.bucket, flow.place * 2 + word);
        word.store(content, std::sync::atomic::Ordering::Release);
    }

    /// What contradicts the rules of a table that nobody is changing: a flow has one entry and one port, a port has one flow, and
    /// each of `ports` of the first `sources` is either held or free.
    pub fn contradictions(&self, sources: u32, ports: &[u16]) -> Vec<String> {
        let mut found = Vec::new();
        let holders = self.holders();
        let mut entries: HashMap<FlowKey, Flow> = HashMap::new();
        let mut indices = HashSet::new();
        for flow in self.all() {
            if let Some(other) = entries.insert(flow.key, flow) {
                found.push(format!("a flow has two entries: {flow:?} and {other:?}"));
            }
            if flow.value.0 == 0 {
                found.push(format!("an entry is not finished: {flow:?}"));
            } else if !indices.insert(flow.value.index()) {
                found.push(format!("two flows have one port: {flow:?}"));
            } else if holders.get(&flow.value.index()).map(|holder| holder.key) != Some(flow.key) {
                found.push(format!("a flow does not hold its port: {flow:?}"));
            }
        }
        for (index, holder) in &holders {
            if !indices.contains(index) {
                found.push(format!("port {index} is held by no flow of the table: {holder:?}"));
            }
        }
        for source in 0..sources {
            let mut known: Vec<u16> = self.free(source);
            let base = source * PORTS_PER_SOURCE;
            known.extend(
                holders
                    .range(base..base + PORTS_PER_SOURCE)
                    .map(|(index, _)| *index as u16),
            );
            known.sort_unstable();
            let mut wanted = ports.to_vec();
            wanted.sort_unstable();
            if known != wanted {
                found.push(format!(
                    "source {source}: free and held are {} ports, not {}",
                    known.len(),
                    wanted.len()
                ));
            }
        }
        found
    }
}
