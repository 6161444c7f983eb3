//! `bench forward`: packets per second through a balancer and out again, on veths between network namespaces.
//!
//! # Layout
//!
//! - here: the rounds
//! - [`world`]: everything that packets are sent through; [`hosts`] and their cables, [`subject`]: what each makes of a packet,
//!   [`lb`], [`nft`]: how it is started
//! - [`two_cores`]: a CPU for the sender and one for what it sends to
//! - [`trafficgen`]: packets of another generator
//! - [`figures`]: what is made of the samples
//!
//! A program of ours makes packets and sends them into a balancer's interface, which sends them back, where they are counted and
//! end. One CPU does all of it: what the kernel says that a packet took is everything that happens to it, and nothing is lost.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use lb_lab::interrupt;

use crate::Extent;
use crate::all::Headline;
use crate::bpf::traffic::Count;
use crate::measure::{Samples, last_cpu, pin};
use crate::report::Section;
use hosts::End;
use subject::{FEW, Subject};
use trafficgen::Compared;
use world::{Load, Sample, World};

mod figures;
mod hosts;
mod lb;
mod nft;
mod subject;
mod trafficgen;
mod two_cores;
mod world;

/// What `bench forward` takes besides.
#[derive(Args, Clone, Default)]
pub struct Arguments {
    /// Numbers of flows, powers of two.
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    flows: Vec<u32>,
    /// Rounds.
    #[arg(long)]
    rounds: Option<usize>,
}

/// What it is measured for.
pub const HEADLINES: [Headline; 7] = [
    headline(
        "forward/one-core/floor-balancer/64/1048576",
        "the smallest balancer (floor), `ipip`, 64 bytes, 1 M flows",
    ),
    headline("forward/one-core/lb-ipip/64/4096", "lb, `ipip`, 64 bytes, 4 k flows"),
    headline("forward/one-core/lb-ipip/64/65536", "lb, `ipip`, 64 bytes, 64 k flows"),
    headline("forward/one-core/lb-ipip/64/1048576", "lb, `ipip`, 64 bytes, 1 M flows"),
    headline("forward/one-core/lb-nat/64/65536", "lb, `nat`, 64 bytes, 64 k flows"),
    headline(
        "forward/one-core/lb-fullnat/64/65536",
        "lb, `fullnat`, 64 bytes, 64 k flows",
    ),
    headline(
        "forward/one-core/nftables-conntrack/64/65536",
        "nftables with conntrack, 64 bytes, 64 k flows",
    ),
];

const fn headline(figure: &'static str, says: &'static str) -> Headline {
    Headline { figure, says }
}

/// How much is measured.
struct Extents {
    flows: Vec<u32>,
    /// Bytes of a frame, the check sequence counted; the first one at all numbers of flows, the others at one.
    bytes: Vec<u32>,
    /// Of all worlds together.
    rounds: usize,
    /// How often everything is built anew: in which memory tables come to lie is chance, and weighs as much as a few instructions.
    worlds: usize,
    /// Packets of a sample.
    packets: u32,
    /// Packets before a sample, so that what a flow touches is as warm as it gets.
    warm_up: u32,
    /// Rounds with the packets of another generator.
    other_rounds: usize,
    /// How long those are counted in each.
    other_time: Duration,
}

/// A load and its samples.
struct Measured {
    load: Load,
    /// Delivered packets per second.
    rate: Samples,
    /// Nanoseconds per packet.
    time: Samples,
    sent: u64,
    arrived: u64,
    late: u64,
}

impl Extents {
    fn of(extent: Extent, arguments: &Arguments) -> Self {
        let flows = extent.choose(vec![1, 1024], vec![1, 4096, FEW, 1 << 20], vec![1, 4096, FEW, 1 << 20]);
        Self {
            flows: if arguments.flows.is_empty() {
                flows
            } else {
                arguments.flows.clone()
            },
            bytes: extent.choose(vec![64], vec![64, 1500], vec![64, 512, 1500]),
            rounds: arguments.rounds.unwrap_or(extent.choose(1, 12, 56)).max(1),
            worlds: extent.choose(1, 2, 4),
            packets: extent.choose(2_000, 100_000, 100_000),
            warm_up: extent.choose(1_000, 50_000, 50_000),
            other_rounds: extent.choose(1, 3, 7),
            other_time: Duration::from_millis(extent.choose(50, 200, 200)),
        }
    }

    /// Packets of a sample: fewer of those that take ten times as long; more to warm up where something is kept of each flow, until
    /// most of them have had one, or as many as caches may hold.
    fn count(&self, load: Load) -> Count {
        let keeps_flows = load.subject.keeps_flows();
        let flows = if keeps_flows { load.flows.min(FEW) } else { 0 };
        match load.subject.end() {
            End::Driver => Count::new(self.warm_up.max(2 * flows), self.packets),
            End::Stack => Count::new((self.warm_up / 4).max(flows), self.packets / 8),
        }
    }

    /// Where one number of flows is enough.
    fn usual_flows(&self) -> u32 {
        match self.flows.contains(&FEW) {
            true => FEW,
            false => self.most_flows(),
        }
    }

    fn most_flows(&self) -> u32 {
        self.flows.iter().copied().max().unwrap_or(1)
    }
}

impl Measured {
    fn new(load: Load) -> Self {
        Self {
            load,
            rate: Samples::default(),
            time: Samples::default(),
            sent: 0,
            arrived: 0,
            late: 0,
        }
    }

    fn add(&mut self, sample: &Sample) {
        let delivered = match self.load.subject.sends() {
            true => sample.arrived,
            false => sample.sent,
        };
        let delivered_share = delivered as f64 / sample.sent as f64;
        self.rate.push(delivered_share * 1e9 / sample.nanoseconds);
        self.time.push(sample.nanoseconds);
        self.sent += sample.sent;
        self.arrived += delivered;
        self.late += sample.late;
    }

    fn join(&mut self, other: Self) {
        self.rate.extend(other.rate);
        self.time.extend(other.time);
        self.sent += other.sent;
        self.arrived += other.arrived;
        self.late += other.late;
    }

    /// Share that did not arrive.
    fn lost(&self) -> f64 {
        1.0 - self.arrived as f64 / self.sent as f64
    }
}

/// What was measured.
struct Results {
    one_core: Vec<Measured>,
    /// Or why not.
    trafficgen: Result<Compared, String>,
    /// Or why not.
    two_cores: Result<Vec<Measured>, String>,
}

impl Results {
    /// Takes in what was measured of the same in another world; what another generator sends is only measured once.
    fn add(&mut self, other: Self) {
        join(&mut self.one_core, other.one_core);
        match (&mut self.two_cores, other.two_cores) {
            (Ok(own), Ok(other)) => join(own, other),
            (own, Err(why)) => *own = Err(why),
            (Err(_), Ok(_)) => {}
        }
    }
}

/// Joins what was measured of each load.
fn join(all: &mut [Measured], more: Vec<Measured>) {
    for more in more {
        if let Some(one) = all.iter_mut().find(|one| one.load == more.load) {
            one.join(more);
        }
    }
}

/// Measures.
///
/// # Errors
///
/// No root, no `lb`, a kernel that refuses, packets that come out wrong, or a signal that asked us to end.
pub fn run(extent: Extent, arguments: &Arguments) -> Result<Section> {
    ensure!(lb_lab::is_root(), "network namespaces need root");
    interrupt::catch()?;
    let extents = Extents::of(extent, arguments);
    let mut results: Option<Results> = None;
    let mut skipped = Vec::new();
    for number in 0..extents.worlds {
        let mut world = World::new(extents.most_flows()).context("building the hosts")?;
        let measured = std::thread::scope(|scope| scope.spawn(|| measure(&mut world, &extents, number == 0)).join());
        let measured = measured.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if interrupt::caught().is_some() {
            // What takes it all down has to wait for some of it.
            interrupt::heed_no_more();
        }
        let measured = measured?;
        match &mut results {
            Some(results) => results.add(measured),
            None => results = Some(measured),
        }
        skipped = std::mem::take(&mut world.skipped);
    }
    let results = results.context("nothing was measured")?;
    Ok(figures::section(&results, &extents, skipped))
}

/// Measures all there is, from a CPU of its own; what another generator sends in the first world alone.
fn measure(world: &mut World, extents: &Extents, is_first: bool) -> Result<Results> {
    let own = last_cpu();
    pin(own)?;
    prepare(world, extents)?;
    let subjects: Vec<Subject> = world.subjects().collect();
    let count = extents.rounds.div_ceil(extents.worlds);
    let one_core = rounds(loads(&subjects, extents), count, |load| {
        world.send(load, false, extents.count(load))
    })?;
    let other_rounds = if is_first { extents.other_rounds } else { 0 };
    let trafficgen = trafficgen::measure(
        world,
        other_rounds,
        Count::new(extents.warm_up, extents.packets),
        extents.other_time,
    )?;
    let two_cores = match own.checked_sub(1) {
        None => Err("this machine has one CPU".to_owned()),
        Some(other) => match two_cores::move_to(other, world.balancers()) {
            Ok(()) => Ok(rounds(
                crossing(&subjects, extents),
                count.div_ceil(two_cores::ONE_OF),
                |load| world.send_across(load, extents.count(load)),
            )?),
            Err(error) => Err(format!("{error:#}")),
        },
    };
    Ok(Results {
        one_core,
        trafficgen,
        two_cores,
    })
}

/// Opens flows where some are kept, and shows of every subject that it does what it is to do.
fn prepare(world: &mut World, extents: &Extents) -> Result<()> {
    let subjects: Vec<Subject> = world.subjects().collect();
    for subject in &subjects {
        let flows = extents.flows.iter().copied().filter(|flows| subject.has(*flows));
        let flows = flows.max().unwrap_or(1);
        world
            .prepare(*subject, extents.bytes[0], flows)
            .with_context(|| subject.name())?;
    }
    Ok(())
}

/// Takes a sample of every load in each round.
fn rounds(loads: Vec<Load>, count: usize, mut sample: impl FnMut(Load) -> Result<Sample>) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> = loads.into_iter().map(Measured::new).collect();
    for round in 0..count {
        for one in in_turn(&mut measured, round) {
            one.add(&sample(one.load)?);
            if let Some(interrupted) = interrupt::caught() {
                return Err(interrupted.into());
            }
        }
    }
    Ok(measured)
}

/// Forwards and backwards in turn: what drifts then drifts both ways.
fn in_turn(measured: &mut [Measured], round: usize) -> impl Iterator<Item = &mut Measured> {
    let count = measured.len();
    let is_backwards = round % 2 == 1;
    let mut places: Vec<(usize, &mut Measured)> = measured.iter_mut().enumerate().collect();
    places.sort_by_key(|(place, _)| if is_backwards { count - place } else { *place });
    places.into_iter().map(|(_, one)| one)
}

/// What is measured with the balancer on another CPU.
fn crossing(subjects: &[Subject], extents: &Extents) -> Vec<Load> {
    let (bytes, flows) = (extents.bytes[0], extents.usual_flows());
    let wanted = subjects.iter().filter(|subject| subject.sends() && subject.has(flows));
    wanted
        .map(|subject| Load {
            subject: *subject,
            bytes,
            flows,
        })
        .collect()
}

fn loads(subjects: &[Subject], extents: &Extents) -> Vec<Load> {
    let mut loads = Vec::new();
    for (place, bytes) in extents.bytes.iter().copied().enumerate() {
        for flows in extents.flows.iter().copied() {
            let is_wanted = place == 0 || flows == FEW;
            let wanted = subjects
                .iter()
                .copied()
                .filter(|subject| is_wanted && subject.has(flows));
            loads.extend(wanted.map(|subject| Load { subject, bytes, flows }));
        }
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::floors::Floor;

    fn loads_of(subject: Subject, extent: Extent) -> Vec<(u32, u32)> {
        let extents = Extents::of(extent, &Arguments::default());
        let loads = loads(&[subject], &extents);
        loads.iter().map(|load| (load.bytes, load.flows)).collect()
    }

    #[test]
    fn sizes_are_measured_at_one_number_of_flows() {
        let router = loads_of(Subject::Router, Extent::Whole);
        assert_eq!(router, [(64, 1), (64, FEW), (512, FEW), (1500, FEW)]);
        let floor = loads_of(Subject::Floor(Floor::Balancer), Extent::Whole);
        assert_eq!(floor.len(), 6);
        assert!(!loads_of(Subject::Floor(Floor::Tx), Extent::Smoke).is_empty());
    }

    #[test]
    fn every_other_round_goes_backwards() {
        let loads = [1, 2, 3].map(|flows| Load {
            subject: Subject::Router,
            bytes: 64,
            flows,
        });
        let mut measured: Vec<Measured> = loads.into_iter().map(Measured::new).collect();
        let mut order = |round| -> Vec<u32> { in_turn(&mut measured, round).map(|one| one.load.flows).collect() };
        assert_eq!((order(0), order(1)), (vec![1, 2, 3], vec![3, 2, 1]));
    }

    #[test]
    fn what_is_lost_is_not_delivered() {
        let sample = Sample {
            nanoseconds: 100.0,
            sent: 1000,
            arrived: 500,
            late: 0,
        };
        let measured = |subject| {
            let mut measured = Measured::new(Load {
                subject,
                bytes: 64,
                flows: 1,
            });
            measured.add(&sample);
            (measured.rate.median(), measured.lost())
        };
        assert_eq!(measured(Subject::Router), (5e6, 0.5));
        assert_eq!(measured(Subject::Floor(Floor::Drop)), (1e7, 0.0));
    }
}
