//! Source ports of `fullnat`: who holds which, and the queues of the free ones.

use lb_common::{
    abi::{FlowKey, FlowValue, PORTS_PER_SOURCE},
    flow,
    reason::Reason,
};

use crate::{
    atomic::Word,
    bucket::Entry,
    config,
    exit::{Step, exit},
    flow_table::Keyed,
    maps::{FREE_PORTS, PORT_QUEUES, PORTS},
    parse::Addresses,
    select::Owner,
};

/// Source addresses that are tried for a new flow.
const SOURCE_TRIES: u32 = 4;
/// How often a lost race for the head of a queue is run again.
const RACES: u32 = 16;

/// The entry at an index of the ports' array.
#[inline(always)]
pub fn holder(index: u32) -> Option<Entry> {
    let entry = PORTS.get_ptr_mut(index)?;
    // SAFETY: the entry was looked up by this run.
    Some(unsafe { Entry::new(entry) })
}

/// Takes a free port for a new flow and writes the flow into it. Gives its index.
#[inline(always)]
pub fn take<F: Keyed>(client: &Addresses<F>, key: FlowKey, owner: &Owner, state: u8, now: u16) -> Step<u32> {
    let count = owner.backend.source_count_or_spread as u32;
    let first = owner.backend.source_first_or_tunnel_port as u32;
    let mut turn = flow::source(owner.hash, count);
    for tries in 0..SOURCE_TRIES {
        if tries >= count {
            break;
        }
        let source = first + turn;
        if source >= config::source_limit() {
            return exit(Reason::Internal);
        }
        if let Some(port) = pop(source) {
            let index = source * PORTS_PER_SOURCE + (port & 0xffff);
            let Some(holder) = holder(index) else {
                return exit(Reason::Internal);
            };
            F::note_client(client, index)?;
            holder
                .value
                .store(FlowValue::new(FlowValue::PUBLISHED, owner.id, state, now).0);
            holder.key.store(key.0);
            return Ok(index);
        }
        turn += 1;
        if turn >= count {
            turn = 0;
        }
    }
    exit(Reason::PortsExhausted)
}

/// Gives a port that its flow keeps to another backend.
#[inline(always)]
pub fn hand_over(index: u32, owner: &Owner, state: u8, now: u16) -> Step<()> {
    let Some(holder) = holder(index) else {
        return exit(Reason::Internal);
    };
    holder
        .value
        .store(FlowValue::new(FlowValue::PUBLISHED, owner.id, state, now).0);
    Ok(())
}

/// Takes the port that has been free for longest.
#[inline(always)]
fn pop(source: u32) -> Option<u32> {
    let queue = PORT_QUEUES.get_ptr_mut(source)?;
    // SAFETY: aligned words of a value that was looked up by this run.
    let (head, tail) = unsafe { (Word::new(&raw mut (*queue).head), Word::new(&raw mut (*queue).tail)) };
    for _ in 0..RACES {
        let place = head.load();
        if place == tail.load() {
            return None;
        }
        let port = *FREE_PORTS.get(source * PORTS_PER_SOURCE + (place as u32 & (PORTS_PER_SOURCE - 1)))?;
        if head.exchange(place, place.wrapping_add(1)).is_ok() {
            return Some(port);
        }
    }
    None
}
