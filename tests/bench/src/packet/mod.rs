//! `bench packet`: nanoseconds per packet, by `BPF_PROG_TEST_RUN`.
//!
//! # Layout
//!
//! - here: how much is measured
//! - [`world`]: the balancer with its maps, and traffic
//! - [`scenario`]: what is measured
//! - [`six`]: services that IPv6 has a part in; [`vlan`]: services in VLANs
//! - [`against`]: what is measured of another balancer
//! - [`rounds`]: everything loaded, proved, and measured in turn
//! - [`figures`]: what is made of the samples
//!
//! A feeder puts each packet back, gives it another flow and tail-calls the program under test. Time is this thread's CPU time;
//! what the feeder takes is measured with a program that only drops, in the same round, and taken off.

mod against;
mod figures;
mod rounds;
mod scenario;
mod six;
mod vlan;
mod world;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::Extent;
use crate::all::Headline;
use crate::measure::{ShortGracePeriods, last_cpu, pin};
use crate::report::Section;
use against::{OBJECT_VARIABLE, Rivals, Room};
use rounds::{Bench, PROOF};
use scenario::Scenario;

/// What `bench packet` takes besides.
#[derive(Args, Clone, Default)]
pub struct Arguments {
    /// Only scenarios whose names hold this; the floors, and another balancer, are always measured.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// Numbers of flows, powers of two.
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    flows: Vec<u32>,
    /// Rounds.
    #[arg(long)]
    rounds: Option<usize>,
    /// Also measure another balancer, of which this is the compiled BPF object: Katran's balancer.bpf.o.
    #[arg(long, value_name = "OBJECT", env = OBJECT_VARIABLE)]
    against: Option<PathBuf>,
}

impl Arguments {
    /// For all benchmarks at once, which take no arguments of one.
    pub fn of_environment() -> Self {
        Self {
            against: std::env::var_os(OBJECT_VARIABLE).map(PathBuf::from),
            ..Self::default()
        }
    }
}

/// What it is measured for.
pub const HEADLINES: [Headline; 13] = [
    headline(
        "packet/floor/balancer/1",
        "the smallest balancer (floor), `ipip`, 1 flow",
    ),
    headline("packet/ipip/established/1", "lb, `ipip`, established, 1 flow"),
    headline("packet/ipip/established/1048576", "the same, 1 M flows"),
    headline("packet/l2/established/1", "lb, `l2`, established, 1 flow"),
    headline("packet/nat/established/1", "lb, `nat`, established, 1 flow"),
    headline("packet/fullnat/established/1", "lb, `fullnat`, established, 1 flow"),
    headline("packet/fullnat/established/65536", "the same, 64 k flows"),
    headline("packet/fullnat/established/1048576", "the same, 1 M flows"),
    headline("packet/fullnat/back/1048576", "the same, from the backends"),
    headline("packet/fullnat/new-flow/1048576", "lb, `fullnat`, a new flow"),
    headline("packet/pass/not-ours/1", "lb, a packet that is not its own, 1 flow"),
    headline("packet/katran/established/1", "katran, in its connection table, 1 flow"),
    headline("packet/katran/established/1048576", "the same, 1 M flows"),
];

const fn headline(figure: &'static str, says: &'static str) -> Headline {
    Headline { figure, says }
}

/// How much is measured.
struct Extents {
    flows: Vec<u32>,
    rounds: usize,
    /// Packets of a sample.
    packets: u32,
    /// Packets before a sample, so that what a flow touches is as warm as it gets.
    warm_up: u32,
    /// Connections that another balancer's table has room for: what Katran gives each of two cores.
    connections: u32,
}

impl Extents {
    fn of(extent: Extent, arguments: &Arguments) -> Self {
        let flows = extent.choose(
            vec![1, 1024],
            vec![1, 65_536, 1 << 20],
            vec![1, 1024, 16_384, 65_536, 1 << 20],
        );
        Self {
            flows: if arguments.flows.is_empty() {
                flows
            } else {
                arguments.flows.clone()
            },
            rounds: arguments.rounds.unwrap_or(extent.choose(1, 7, 15)).max(1),
            packets: extent.choose(1000, 100_000, 200_000),
            warm_up: extent.choose(100, 50_000, 100_000),
            connections: extent.choose(1 << 16, 4_000_000, 4_000_000),
        }
    }

    /// Flows that all samples of new ones open together, and what is run besides.
    fn new_flows(&self) -> u32 {
        (self.rounds as u32 + 1) * scenario::NEW.min(self.packets) + 2 * PROOF
    }

    fn most_flows(&self) -> u32 {
        self.flows.iter().copied().max().unwrap_or(1)
    }
}

/// Measures.
///
/// # Errors
///
/// No permission, a program that takes another way than the scenario says, a kernel that refuses, or an object of
/// another balancer that no adapter knows.
pub fn run(extent: Extent, arguments: &Arguments) -> Result<Section> {
    let extents = Extents::of(extent, arguments);
    let wanted = |scenario: &Scenario| {
        let filter = arguments.filter.as_deref().unwrap_or("");
        scenario.is_floor() || scenario.name.contains(filter)
    };
    let scenarios: Vec<Scenario> = scenario::all().into_iter().filter(wanted).collect();
    let cpu = last_cpu();
    pin(cpu)?;
    let _short = ShortGracePeriods::new();
    let room = Room {
        connections: extents.connections,
        open: extents.most_flows(),
    };
    let rivals = match &arguments.against {
        Some(object) => Some(Rivals::load(object, cpu, room)?),
        None => None,
    };
    let mut bench = Bench::new(&extents, rivals)?;
    let measured = bench.measure(&scenarios, &extents)?;
    Ok(figures::section(&measured, &extents, &bench))
}
