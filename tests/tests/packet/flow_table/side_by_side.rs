//! Two CPUs and the janitor at work at the same time.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lb_common::reason::Reason;
use lb_lab::amount;
use lb_tests::needs_flow_table;
use lb_tests::packet::places::client;
use lb_tests::packet::{Frame, Setup};
use lb_userspace::edge::dataplane::Dataplane;
use lb_userspace::edge::dataplane::run::{Runner, Verdict};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{Swept, Way, tcp, way};

const CPUS: usize = 2;
/// In each, both CPUs begin one flow together, and each one of its own.
fn rounds() -> u16 {
    amount(2000, 300)
}

/// Of four flows one lives on, the others are closed at the end of their round.
const LIVE_ON: u16 = 4;

/// Only one test at a time has both CPUs: two would wait for each other's time slices.
static ALONE: Mutex<()> = Mutex::new(());

/// Both CPUs wait for each other here: spinning, so that they go on in the same instant.
#[derive(Default)]
struct Gate(AtomicUsize);

impl Gate {
    /// The `turn`th meeting, counted from 1.
    fn meet(&self, turn: usize) {
        self.0.fetch_add(1, Ordering::AcqRel);
        while self.0.load(Ordering::Acquire) < turn * CPUS {
            std::thread::yield_now();
        }
    }
}

/// Flows that are alive, by client and by the source that they hold.
#[derive(Default)]
struct Living {
    ways: HashMap<SocketAddrV4, Way>,
    holders: HashMap<SocketAddrV4, SocketAddrV4>,
}

impl Living {
    /// Takes note of where a flow goes.
    fn goes(&mut self, from: SocketAddrV4, way: Way) {
        let known = *self.ways.entry(from).or_insert(way);
        assert_eq!(known, way, "flow {from} changed its way");
        let holder = *self.holders.entry(way.0).or_insert(from);
        assert_eq!(holder, from, "two flows have {}", way.0);
    }

    /// To be told before the packet that closes it: its port may be another's right after.
    fn closes(&mut self, from: SocketAddrV4) {
        if let Some(way) = self.ways.remove(&from) {
            self.holders.remove(&way.0);
        }
    }
}

/// One CPU's packets.
struct Cpu<'a> {
    dataplane: &'a Dataplane,
    runner: Runner,
    living: &'a Mutex<Living>,
}

impl Cpu<'_> {
    /// Runs a packet. Gives whether it was sent.
    fn run(&mut self, from: SocketAddrV4, frame: &Frame) -> bool {
        let (verdict, packet) = self
            .runner
            .verdict(self.dataplane, &frame.bytes())
            .expect("the kernel runs it");
        let is_sent = verdict == Verdict::Tx;
        if is_sent {
            let way = way(packet);
            self.living.lock().expect("nobody panicked").goes(from, way);
        }
        is_sent
    }

    fn close(&mut self, from: SocketAddrV4) {
        self.living.lock().expect("nobody panicked").closes(from);
        // What happens to it is of no matter: the flow may have been refused.
        let _ = self.runner.verdict(self.dataplane, &tcp(from).rst().bytes());
    }

    /// A flow that both begin, and one that only this CPU has.
    fn round(&mut self, cpu: usize, round: u16, gate: &Gate) {
        let shared = client(round * 3);
        let own = client(round * 3 + 1 + cpu as u16);
        let turn = round as usize * 3;
        gate.meet(turn + 1);
        let is_sent = self.run(shared, &tcp(shared).syn());
        let is_own = self.run(own, &tcp(own).syn());
        gate.meet(turn + 2);
        // One of the two has made the entry, and it stands by now; where neither could, the flow was refused.
        let is_known = self.run(shared, &tcp(shared).ack());
        assert!(is_known || !is_sent, "flow {shared} was taken and is not known");
        assert_eq!(self.run(own, &tcp(own).ack()), is_own, "flow {own}");
        gate.meet(turn + 3);
        if !round.is_multiple_of(LIVE_ON) {
            self.close(own);
            if cpu == round as usize % CPUS {
                self.close(shared);
            }
        }
    }
}

/// The first CPUs that this process may use.
fn cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(None).expect("the kernel tells");
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| allowed.is_set(*cpu))
        .take(CPUS)
        .collect()
}

fn pin_to(cpu: usize) {
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).expect("a CPU that we may use");
}

/// Runs all rounds on both CPUs while the janitor sweeps.
fn run(swept: &mut Swept, cpus: &[usize]) -> Living {
    let living = Mutex::new(Living::default());
    let (gate, is_over) = (Gate::default(), AtomicBool::new(false));
    let runners: Vec<Runner> = (0..CPUS)
        .map(|_| Runner::new(&mut swept.world.dataplane).expect("mapped"))
        .collect();
    let (dataplane, view, janitor) = (&swept.world.dataplane, &swept.view, &mut swept.janitor);
    std::thread::scope(|scope| {
        let workers: Vec<_> = runners
            .into_iter()
            .enumerate()
            .map(|(number, runner)| {
                let mut cpu = Cpu {
                    dataplane,
                    runner,
                    living: &living,
                };
                let (gate, place) = (&gate, cpus[number]);
                scope.spawn(move || {
                    pin_to(place);
                    (0..rounds()).for_each(|round| cpu.round(number, round, gate));
                })
            })
            .collect();
        let sweeper = scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                view.tick();
                janitor.sweep(view, &super::TIMEOUTS_WHILE_BUSY);
                janitor.repair(view);
            }
        });
        let ended: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        is_over.store(true, Ordering::Release);
        sweeper.join().expect("the janitor sweeps");
        ended.into_iter().for_each(|end| end.expect("a CPU's packets"));
    });
    living.into_inner().expect("nobody panicked")
}

/// Fewer ports than flows, so that those that come free are used again; a table that is never crowded, so that flows are in their
/// first bucket.
#[test]
fn flows_keep_their_ports_while_others_come_and_go() {
    keep_their_ports(131_072, &[Reason::FlowBusy, Reason::NoFlow, Reason::PortsExhausted]);
}

/// A table that is full in places: flows are claimed in either bucket, by both CPUs at once, and some find no room.
#[test]
fn flows_keep_their_ports_in_a_crowded_table() {
    let busy = [Reason::FlowBusy, Reason::NoFlow, Reason::PortsExhausted];
    keep_their_ports(2048, &[busy.as_slice(), &[Reason::FlowTableFull]].concat());
}

#[track_caller]
fn keep_their_ports(flows: u32, expected: &[Reason]) {
    needs_flow_table!();
    let cpus = cpus();
    lb_lab::needs!(cpus.len() == CPUS, "needs two CPUs");
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Make, set up.
    let mut setup = Setup {
        ports: (20_000..20_000 + 3 * rounds()).collect(),
        trace: false,
        ..Setup::default()
    };
    setup.limits.flows = flows;
    let mut swept = Swept::new(&setup);
    let living = run(&mut swept, &cpus);
    // Check: what was not sent was refused for a reason that a busy moment has.
    for (reason, packets) in Reason::ALL.iter().zip(swept.world.reasons()) {
        let is_expected = expected.contains(reason);
        assert!(is_expected || packets == 0, "{}: {packets}", reason.name());
    }
    // The closed ones go; all others are alive, on the ports that they had, and nothing is lost.
    swept.wait(3);
    for _ in 0..3 {
        swept.janitor.sweep(&swept.view, &super::TIMEOUTS_WHILE_BUSY);
        swept.janitor.repair(&swept.view);
    }
    swept.assert_consistent();
    assert_eq!(swept.flows.all().len(), living.ways.len());
    for (from, known) in &living.ways {
        assert_eq!(swept.way(&tcp(*from).ack()), Some(*known), "flow {from}");
    }
    let expected = usize::from(rounds() / LIVE_ON) * 3;
    println!(
        "{} of {expected} flows live on; {:?}",
        living.ways.len(),
        swept.world.reasons()
    );
}
