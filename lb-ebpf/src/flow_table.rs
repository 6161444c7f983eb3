//! The flow table of `fullnat`: which backend and which source address and port a client's flow has.
//!
//! A flow's key has two candidate buckets of four entries. Nothing is ever moved, so an entry is found where it was made. The
//! rules that make it safe with several CPUs and the daemon at work:
//!
//! 1. An entry is claimed by exchanging its key from 0, in the first bucket unless that is nearly full and the second has more room. Whoever finds the key there already, loses
//!    the exchange to it, or finds it in the other bucket after its own claim, lets go: a flow never has two entries.
//! 2. The value follows the key, in one store. While it is 0 the entry is being made or taken down, and its packets are dropped:
//!    nobody guesses.
//! 3. A value is refreshed by an exchange, never by a store, so that it cannot come back after the daemon has cleared it.
//! 4. Only the daemon deletes: value, then a grace period, then key, then the port.

use lb_common::{
    abi::{Backend, Client6, FlowKey, FlowValue, PORTS_PER_SOURCE, backend_flags, flow_state, protocol},
    flow,
    reason::Reason,
};

use crate::{
    bucket::{Entry, Line},
    clock, config,
    exit::{Step, exit},
    family::{V4, V6},
    maps::{BACKENDS, CLIENTS6, FLOWS, SOURCE_ADDRS},
    parse::{Addresses, Header, Packet},
    ports,
    select::{self, Owner, Source, Target},
    service::Found,
    trace,
    wire::tcp_flags,
};

/// A family's flows: what their keys say of the client, and where the rest of it is.
pub trait Keyed: Header {
    fn key(addresses: &Addresses<Self>, service: u16) -> FlowKey;

    /// Notes what the key does not say, before the port's entry with this index gets the key.
    fn note_client(addresses: &Addresses<Self>, index: u32) -> Step<()>;

    /// Whether the flow at this index is the packet's, not just one whose key is the same.
    fn is_noted(addresses: &Addresses<Self>, index: u32) -> bool;

    /// Address and port, as in the packet, of the client whose flow has this key and index.
    fn client(key: FlowKey, index: u32) -> Option<(Self::Address, u16)>;
}

impl Keyed for V4 {
    #[inline(always)]
    fn key(addresses: &Addresses<V4>, service: u16) -> FlowKey {
        FlowKey::v4(addresses.source, addresses.source_port, service)
    }

    #[inline(always)]
    fn note_client(_: &Addresses<V4>, _: u32) -> Step<()> {
        Ok(())
    }

    #[inline(always)]
    fn is_noted(_: &Addresses<V4>, _: u32) -> bool {
        true
    }

    #[inline(always)]
    fn client(key: FlowKey, _: u32) -> Option<(u32, u16)> {
        Some((key.client(), key.client_port()))
    }
}

impl Keyed for V6 {
    #[inline(always)]
    fn key(addresses: &Addresses<V6>, service: u16) -> FlowKey {
        FlowKey::v6(config::flow_seed(), addresses.source, addresses.source_port, service)
    }

    #[inline(always)]
    fn note_client(addresses: &Addresses<V6>, index: u32) -> Step<()> {
        let Some(client) = CLIENTS6.get_ptr_mut(index) else {
            return exit(Reason::Internal);
        };
        // SAFETY: the entry was looked up by this run; nobody reads it before the port's entry has its key.
        unsafe {
            (*client).address.0[0] = addresses.source[0];
            (*client).address.0[1] = addresses.source[1];
            (*client).port = addresses.source_port;
        }
        Ok(())
    }

    #[inline(always)]
    fn is_noted(addresses: &Addresses<V6>, index: u32) -> bool {
        CLIENTS6
            .get(index)
            .is_some_and(|client| client.address.0 == addresses.source && client.port == addresses.source_port)
    }

    #[inline(always)]
    fn client(_: FlowKey, index: u32) -> Option<([u64; 2], u16)> {
        let client: &Client6 = CLIENTS6.get(index)?;
        Some((client.address.as_v6(), client.port))
    }
}

#[inline(always)]
pub fn select<F: Keyed, const TRACED: bool>(packet: &Packet<F>, found: Found) -> Step<Target<F>> {
    if packet.source == F::UNSPECIFIED {
        return exit(Reason::BadSource);
    }
    let key = F::key(packet, found.id as u16);
    let candidates = Candidates::of(key)?;
    match candidates.find(key) {
        Some(entry) => known::<F, TRACED>(packet, found, key, entry),
        None => unknown::<F, TRACED>(packet, found, key, &candidates),
    }
}

/// Where the packets of a flow go, for an error about one of its backend's. One that is not known has sent nothing; the flow's state is not
/// touched.
#[inline(always)]
pub fn of_error<F: Keyed>(packet: &Packet<F>, found: Found) -> Step<Target<F>> {
    let key = F::key(packet, found.id as u16);
    let Some(entry) = Candidates::of(key)?.find(key) else {
        return exit(Reason::NoFlow);
    };
    let value = FlowValue(entry.value.load());
    if value.0 == 0 {
        return exit(Reason::FlowBusy);
    }
    let Some(backend) = BACKENDS.get(value.backend()) else {
        return exit(Reason::Internal);
    };
    if backend.flags & backend_flags::ALIVE == 0 || backend.service != found.id as u16 {
        return exit(Reason::BackendGone);
    }
    target(value.backend(), backend, value.index(), false)
}

/// The two buckets that a key may be in; they may be the same one.
struct Candidates {
    first: Line,
    second: Line,
}

impl Candidates {
    #[inline(always)]
    fn of(key: FlowKey) -> Step<Self> {
        let (first, second) = flow::bucket_pair(key.0, config::flow_seed(), config::flow_buckets());
        match (Line::of(&FLOWS, first), Line::of(&FLOWS, second)) {
            (Some(first), Some(second)) => Ok(Self { first, second }),
            _ => exit(Reason::Internal),
        }
    }

    #[inline(always)]
    fn find(&self, key: FlowKey) -> Option<Entry> {
        self.first.find(key.0).or_else(|| self.second.find(key.0))
    }

    /// A place for a flow that has none, claimed. The choice by room lets a table that is half full refuse one flow in 50,000 where
    /// the first free place would refuse one in 300 (Azar et al., "Balanced allocations", 1994); to stay in the first bucket while
    /// that is half empty leaves four flows of five where they are found with one look.
    #[inline(always)]
    fn claim(&self, key: FlowKey) -> Step<Entry> {
        let here = room(self.first);
        let (better, worse) = if here <= 2 && room(self.second) > here {
            (self.second, self.first)
        } else {
            (self.first, self.second)
        };
        let Some(entry) = claim(better, key)? else {
            return exit(Reason::FlowTableFull);
        };
        if better != worse && worse.find(key.0).is_some() {
            // Another CPU was as fast with a packet of the same flow.
            entry.key.store(0);
            return exit(Reason::FlowBusy);
        }
        Ok(entry)
    }
}

/// Free entries of a bucket.
#[inline(always)]
fn room(bucket: Line) -> usize {
    bucket.entries().filter(|entry| entry.key.load() == 0).count()
}

/// Claims the first free entry of a bucket; `None`: it is full.
#[inline(always)]
fn claim(bucket: Line, key: FlowKey) -> Step<Option<Entry>> {
    for entry in bucket.entries() {
        let mut seen = entry.key.load();
        if seen == 0 {
            match entry.key.exchange(0, key.0) {
                Ok(()) => return Ok(Some(entry)),
                Err(other) => seen = other,
            }
        }
        if seen == key.0 {
            // Another CPU was faster with a packet of the same flow; by the next packet its entry stands.
            return exit(Reason::FlowBusy);
        }
    }
    Ok(None)
}

/// A packet of a flow that the table has.
#[inline(always)]
fn known<F: Keyed, const TRACED: bool>(
    packet: &Packet<F>,
    found: Found,
    key: FlowKey,
    entry: Entry,
) -> Step<Target<F>> {
    let word = entry.value.load();
    if word == 0 {
        return exit(Reason::FlowBusy);
    }
    let value = FlowValue(word);
    let Some(backend) = BACKENDS.get(value.backend()) else {
        return exit(Reason::Internal);
    };
    if starts(packet) && !F::is_noted(packet, value.index()) {
        // Two clients whose keys are the same, by chance: the one that came first keeps its place.
        return exit(Reason::FlowTableFull);
    }
    let gone = backend.flags & backend_flags::ALIVE == 0 || backend.service != found.id as u16;
    if starts(packet) && (gone || (value.state() >= flow_state::FIN && packet.protocol == protocol::TCP)) {
        return again::<F, TRACED>(packet, found, key, entry, value);
    }
    if gone {
        return exit(Reason::BackendGone);
    }
    trace::flow::<TRACED>();
    let state = next_state(packet, value.state());
    let now = clock();
    if state != value.state() || now != value.stamp() {
        // Lost to another CPU or to the daemon: then it is theirs to say.
        let _ = entry
            .value
            .exchange(word, FlowValue::new(value.index(), value.backend(), state, now).0);
    }
    target(value.backend(), backend, value.index(), false)
}

/// The first packet of a flow.
#[inline(always)]
fn unknown<F: Keyed, const TRACED: bool>(
    packet: &Packet<F>,
    found: Found,
    key: FlowKey,
    candidates: &Candidates,
) -> Step<Target<F>> {
    if !starts(packet) {
        return exit(Reason::NoFlow);
    }
    let owner = select::owner::<F, TRACED>(packet, found.service)?;
    let entry = candidates.claim(key)?;
    let state = next_state(packet, flow_state::EMBRYONIC);
    match ports::take(packet, key, &owner, state, clock()) {
        Ok(index) => {
            entry.value.store(FlowValue::new(index, owner.id, state, clock()).0);
            target(owner.id, owner.backend, index, true)
        }
        Err(full) => {
            entry.key.store(0);
            Err(full)
        }
    }
}

/// A new flow under the key of one that is over: the port stays where the new backend's sources include it.
#[inline(always)]
fn again<F: Keyed, const TRACED: bool>(
    packet: &Packet<F>,
    found: Found,
    key: FlowKey,
    entry: Entry,
    old: FlowValue,
) -> Step<Target<F>> {
    let owner: Owner = select::owner::<F, TRACED>(packet, found.service)?;
    let state = next_state(packet, flow_state::EMBRYONIC);
    let number = old.index() / PORTS_PER_SOURCE;
    let first = owner.backend.source_first_or_tunnel_port as u32;
    let index = if number >= first && number < first + owner.backend.source_count_or_spread as u32 {
        ports::hand_over(old.index(), &owner, state, clock())?;
        old.index()
    } else {
        // The old port no longer has a flow that names it; the daemon finds and frees it.
        ports::take(packet, key, &owner, state, clock())?
    };
    if entry
        .value
        .exchange(old.0, FlowValue::new(index, owner.id, state, clock()).0)
        .is_err()
    {
        return exit(Reason::FlowBusy);
    }
    target(owner.id, owner.backend, index, true)
}

#[inline(always)]
fn target<F: Keyed>(id: u32, backend: &'static Backend, index: u32, new_flow: bool) -> Step<Target<F>> {
    let Some(address) = SOURCE_ADDRS.get(index / PORTS_PER_SOURCE) else {
        return exit(Reason::Internal);
    };
    let source = Source {
        address: F::of(address),
        port: (index as u16).to_be(),
    };
    Ok(Target {
        id,
        backend,
        source,
        new_flow,
        hash: index,
    })
}

/// Whether a packet may begin a flow.
#[inline(always)]
fn starts<F: Keyed>(packet: &Packet<F>) -> bool {
    packet.protocol != protocol::TCP || packet.is_syn()
}

/// The state of a direction after this packet.
#[inline(always)]
fn next_state<F: Keyed>(packet: &Packet<F>, state: u8) -> u8 {
    let seen = if packet.protocol != protocol::TCP {
        flow_state::ESTABLISHED
    } else if packet.tcp_flags & tcp_flags::RST != 0 {
        flow_state::RST
    } else if packet.tcp_flags & tcp_flags::FIN != 0 {
        flow_state::FIN
    } else if packet.tcp_flags & tcp_flags::SYN != 0 {
        flow_state::EMBRYONIC
    } else {
        flow_state::ESTABLISHED
    };
    if seen > state { seen } else { state }
}

/// Notes at the holder of a flow's port that a packet came back.
#[inline(always)]
pub fn refresh<F: Keyed>(holder: Entry, value: FlowValue, packet: &Packet<F>) {
    let state = next_state(packet, value.state());
    let now = clock();
    if state != value.state() || now != value.stamp() {
        let refreshed = FlowValue::new(value.index(), value.backend(), state, now);
        // Lost to another CPU or to the daemon: then it is theirs to say.
        let _ = holder.value.exchange(value.0, refreshed.0);
    }
}

/// The daemon's clock, modulo 2^16 seconds.
#[inline(always)]
fn clock() -> u16 {
    clock::seconds() as u16
}
