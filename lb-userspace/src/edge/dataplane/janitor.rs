//! The janitor: a thread that keeps the data plane's clock, sweeps the flow table of `fullnat`, and returns free ports.
//!
//! It deletes in the order that the flow table asks for: the value goes (by an exchange, which fails if a packet came
//! meanwhile), a grace period passes, then the key and the port's entry go, and the port joins the end of its queue. A port is
//! thus the last to be used again.
//!
//! A flow that the port's entry names and the flow table does not is an orphan: the daemon died half way through a deletion,
//! or the flow got another port. It is deleted when two sweeps in a row find it so, since a flow in the making looks the same
//! for an instant. An entry of the flow table whose value stays 0 over two sweeps is freed likewise.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use aya::Ebpf;
use lb_common::abi::{
    BUCKET_ENTRIES, Backend, Bucket, Entry, FlowValue, NO_BACKEND, PORTS_PER_SOURCE, PortQueue, backend_flags,
};
use lb_common::{flow, maps};

use super::grace::grace;
use super::mapped::Mapped;
use super::tables::mapped;
use super::{DataplaneError, object};
use crate::core::image::Named;
use crate::core::model::{FlowTimeouts, Protocol};
use crate::core::sweep;

/// The maps, as the janitor sees them.
pub struct View {
    flows: Mapped<Bucket>,
    ports: Mapped<Entry>,
    free_ports: Mapped<u32>,
    queues: Mapped<PortQueue>,
    backends: Mapped<Backend>,
    clock: Mapped<u64>,
    seed: u64,
}

/// What one sweep found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of this sweep; they count from 1.
    pub sweep: u64,
    /// Flows that are left.
    pub flows: u64,
    /// Flows that were over.
    pub expired: u64,
    /// By backend identifier.
    pub by_backend: HashMap<u32, u64>,
    pub named: Named,
}

/// State from one sweep to the next.
#[derive(Default)]
pub struct Janitor {
    sweeps: u64,
    /// Indices of ports whose flow the table did not have last time.
    orphans: HashSet<u32>,
    /// Entries of the flow table (bucket, place) whose value was 0 last time.
    unfinished: HashSet<(u32, u32)>,
    /// Ports (source, port) that were neither held nor free last time.
    lost: HashSet<u32>,
}

/// A flow that is to be deleted; its value is 0 already, or there is none.
struct Doomed {
    port: u32,
    /// Bucket and place in the flow table.
    entry: Option<(u32, u32)>,
}

const KEY: usize = 0;
const VALUE: usize = 1;
const QUEUE_HEAD: usize = 0;
const QUEUE_TAIL: usize = 8;

impl View {
    pub(super) fn new(ebpf: &mut Ebpf, limits: &crate::core::model::Limits, seed: u64) -> Result<Self, DataplaneError> {
        let ports = limits.sources * PORTS_PER_SOURCE;
        Ok(Self {
            flows: mapped(ebpf, maps::FLOWS, object::buckets(limits.flows))?,
            ports: mapped(ebpf, maps::PORTS, ports)?,
            free_ports: mapped(ebpf, maps::FREE_PORTS, ports)?,
            queues: mapped(ebpf, maps::PORT_QUEUES, limits.sources)?,
            backends: mapped(ebpf, maps::BACKENDS, limits.backends)?,
            clock: mapped(ebpf, maps::CLOCK, 1)?,
            seed,
        })
    }

    /// Moves the data plane's clock by a second.
    pub fn tick(&self) {
        self.clock.word(0, 0).fetch_add(1, Ordering::Release);
    }

    fn now(&self) -> u16 {
        self.clock.word(0, 0).load(Ordering::Acquire) as u16
    }

    fn entry(&self, bucket: u32, place: u32, word: usize) -> &std::sync::atomic::AtomicU64 {
        self.flows.word(bucket as usize, place as usize * 2 + word)
    }

    /// The places in the flow table that have `key`, in the order in which the program looks, each with its value.
    fn find(&self, key: u64) -> impl Iterator<Item = (u32, u32, FlowValue)> + '_ {
        let (first, second) = flow::bucket_pair(key, self.seed, self.flows.len() as u32);
        let buckets = if first == second {
            vec![first]
        } else {
            vec![first, second]
        };
        buckets
            .into_iter()
            .flat_map(|bucket| (0..BUCKET_ENTRIES as u32).map(move |place| (bucket, place)))
            .filter(move |(bucket, place)| self.entry(*bucket, *place, KEY).load(Ordering::Acquire) == key)
            .map(|(bucket, place)| {
                (
                    bucket,
                    place,
                    FlowValue(self.entry(bucket, place, VALUE).load(Ordering::Acquire)),
                )
            })
    }

    /// The backend with this identifier; one of no service where there is none.
    fn backend(&self, id: u32) -> Backend {
        let there = if (id as usize) < self.backends.len() {
            id
        } else {
            NO_BACKEND
        };
        self.backends.load(there as usize)
    }

    /// Sources that have a queue.
    fn sources(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.queues.len())
            .filter(|source| self.queues.word(*source, QUEUE_TAIL).load(Ordering::Acquire) != 0)
            .map(|source| source as u32)
    }

    fn free_port(&self, index: u32) {
        let source = index / PORTS_PER_SOURCE;
        let tail = self.queues.word(source as usize, QUEUE_TAIL);
        let place = tail.load(Ordering::Acquire);
        let slot = source * PORTS_PER_SOURCE + (place as u32 & (PORTS_PER_SOURCE - 1));
        self.free_ports.store(slot as usize, &(index & (PORTS_PER_SOURCE - 1)));
        tail.store(place + 1, Ordering::Release);
    }
}

impl Janitor {
    /// Goes through all flows once, deletes those that are over, and says what is left.
    pub fn sweep(&mut self, view: &View, timeouts: &FlowTimeouts) -> Report {
        self.sweep_with(view, timeouts, grace)
    }

    /// A sweep whose grace period is the given one: what packets do at the worst moment can be done in it.
    pub fn sweep_with(&mut self, view: &View, timeouts: &FlowTimeouts, grace: impl FnOnce()) -> Report {
        self.sweeps += 1;
        let mut report = Report {
            sweep: self.sweeps,
            ..Report::default()
        };
        let mut orphans = HashSet::new();
        let mut doomed = Vec::new();
        let now = view.now();
        for source in view.sources() {
            for index in source * PORTS_PER_SOURCE..(source + 1) * PORTS_PER_SOURCE {
                let key = view.ports.word(index as usize, KEY).load(Ordering::Acquire);
                if key == 0 {
                    continue;
                }
                match self.judge(view, index, key, now, timeouts) {
                    Judgement::Lives { backend, service } => {
                        report.flows += 1;
                        *report.by_backend.entry(backend).or_default() += 1;
                        report.named.services.insert(service);
                        report.named.backends.insert(backend);
                    }
                    Judgement::Suspect => {
                        orphans.insert(index);
                    }
                    Judgement::Over(entry) => doomed.push(Doomed { port: index, entry }),
                }
            }
        }
        self.orphans = orphans;
        report.expired = doomed.len() as u64;
        // Also what the report promises: whatever was unreachable before this sweep began is seen by no packet after it.
        grace();
        let mut cleared = HashSet::new();
        for flow in &doomed {
            // What was being made when it was looked at has its value by now, and lives. What is cleared may be another flow's.
            if let Some((bucket, place)) = flow.entry
                && view.entry(bucket, place, VALUE).load(Ordering::Acquire) == 0
                && cleared.insert((bucket, place))
            {
                view.entry(bucket, place, KEY).store(0, Ordering::Release);
            }
            view.ports.word(flow.port as usize, KEY).store(0, Ordering::Release);
            view.ports.word(flow.port as usize, VALUE).store(0, Ordering::Release);
            view.free_port(flow.port);
        }
        report
    }

    fn judge(&self, view: &View, index: u32, key: u64, now: u16, timeouts: &FlowTimeouts) -> Judgement {
        let back = FlowValue(view.ports.word(index as usize, VALUE).load(Ordering::Acquire));
        let places: Vec<(u32, u32, FlowValue)> = view.find(key).collect();
        let mine = places
            .iter()
            .position(|(_, _, value)| value.0 != 0 && value.index() == index);
        let Some(mine) = mine else {
            let unfinished = places
                .iter()
                .find(|(_, _, value)| value.0 == 0)
                .map(|(bucket, place, _)| (*bucket, *place));
            return if self.orphans.contains(&index) {
                Judgement::Over(unfinished)
            } else {
                Judgement::Suspect
            };
        };
        let (bucket, place, forward) = places[mine];
        let backend = view.backend(forward.backend());
        let is_alive = backend.flags & backend_flags::ALIVE != 0;
        let over = match Protocol::from_number(backend.protocol) {
            // Two CPUs made an entry each, and the program finds the other one.
            _ if mine != 0 => true,
            Some(protocol) if is_alive => sweep::expired(forward, back, now, protocol, timeouts),
            // The service or the backend is gone, and its flows with it.
            _ => true,
        };
        let word = view.entry(bucket, place, VALUE);
        if over
            && word
                .compare_exchange(forward.0, 0, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        {
            return Judgement::Over(Some((bucket, place)));
        }
        Judgement::Lives {
            backend: forward.backend(),
            service: backend.service,
        }
    }

    /// Repairs what a daemon that was killed half way left behind: entries that were never finished, and ports that are neither
    /// held nor free. To be called with every sweep of a daemon's first minute; acts on what two calls in a row find.
    pub fn repair(&mut self, view: &View) {
        let unfinished = unfinished(view);
        let lost = lost_ports(view);
        let is_found_again = !unfinished.is_disjoint(&self.unfinished) || !lost.is_disjoint(&self.lost);
        if is_found_again {
            // What a packet was at when it was looked at is as it should be afterwards.
            grace();
        }
        for (bucket, place) in unfinished.intersection(&self.unfinished) {
            if view.entry(*bucket, *place, VALUE).load(Ordering::Acquire) == 0 {
                view.entry(*bucket, *place, KEY).store(0, Ordering::Release);
            }
        }
        for index in lost.intersection(&self.lost) {
            if view.ports.word(*index as usize, KEY).load(Ordering::Acquire) == 0 {
                view.free_port(*index);
            }
        }
        self.unfinished = unfinished.difference(&self.unfinished).copied().collect();
        self.lost = lost.difference(&self.lost).copied().collect();
    }
}

/// Entries of the flow table (bucket, place) that have a key and no value.
fn unfinished(view: &View) -> HashSet<(u32, u32)> {
    let places =
        (0..view.flows.len() as u32).flat_map(|bucket| (0..BUCKET_ENTRIES as u32).map(move |place| (bucket, place)));
    let word = |bucket, place, word| view.entry(bucket, place, word).load(Ordering::Acquire);
    places
        .filter(|(bucket, place)| word(*bucket, *place, KEY) != 0 && word(*bucket, *place, VALUE) == 0)
        .collect()
}

/// Ports of every source that are neither held by a flow nor in the queue, of those that ever were in it.
fn lost_ports(view: &View) -> HashSet<u32> {
    let mut lost = HashSet::new();
    for source in view.sources() {
        let base = source * PORTS_PER_SOURCE;
        let head = view.queues.word(source as usize, QUEUE_HEAD).load(Ordering::Acquire);
        let tail = view.queues.word(source as usize, QUEUE_TAIL).load(Ordering::Acquire);
        // The ring never held more than its first filling, and never forgets what it held.
        let port = |place: u64| {
            view.free_ports
                .load((base + (place as u32 & (PORTS_PER_SOURCE - 1))) as usize)
        };
        let from = tail.saturating_sub(PORTS_PER_SOURCE as u64);
        let known: HashSet<u32> = (from..tail).map(port).collect();
        let free: HashSet<u32> = (head..tail).map(port).collect();
        lost.extend(
            known
                .difference(&free)
                .filter(|port| view.ports.word((base + *port) as usize, KEY).load(Ordering::Acquire) == 0)
                .map(|port| base + port),
        );
    }
    lost
}

/// What the janitor's thread is told.
pub enum Order {
    Timeouts(FlowTimeouts),
    /// Sweep now, not at the next second: a backend died, or a service went.
    Sweep,
}

/// Sweeps after the start of a daemon that repair what the one before it left.
const REPAIRS: u64 = 5;

/// Starts the thread. It ends when either channel is closed.
pub fn spawn(
    view: View,
    mut timeouts: FlowTimeouts,
    orders: std::sync::mpsc::Receiver<Order>,
    reports: tokio::sync::mpsc::Sender<Report>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    use std::sync::mpsc::RecvTimeoutError;
    use std::time::{Duration, Instant};
    const SECOND: Duration = Duration::from_secs(1);
    std::thread::Builder::new().name("janitor".into()).spawn(move || {
        let mut janitor = Janitor::default();
        let mut next = Instant::now() + SECOND;
        loop {
            match orders.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Order::Timeouts(new)) => {
                    timeouts = new;
                    continue;
                }
                Ok(Order::Sweep) => {}
                Err(RecvTimeoutError::Timeout) => {
                    view.tick();
                    next += SECOND;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let report = janitor.sweep(&view, &timeouts);
            if report.sweep <= REPAIRS {
                janitor.repair(&view);
            }
            if reports.blocking_send(report).is_err() {
                return;
            }
        }
    })
}

enum Judgement {
    /// It goes on, with this backend of this service.
    Lives {
        backend: u32,
        service: u16,
    },
    /// Looks like a leftover; the next sweep tells.
    Suspect,
    Over(Option<(u32, u32)>),
}
