//! `bench packet`: nanoseconds per packet, by `BPF_PROG_TEST_RUN`.
//!
//! # Layout
//!
//! - here: how much is measured
//! - [`world`]: the balancer with its maps, and traffic
//! - [`scenario`]: what is measured
//! - [`rounds`]: everything loaded, proved, and measured in turn
//! - [`figures`]: what is made of the samples
//!
//! A feeder puts each packet back, gives it another flow and tail-calls the program under test. Time is this thread's CPU time;
//! what the feeder takes is measured with a program that only drops, in the same round, and taken off.

mod figures;
mod rounds;
mod scenario;
mod world;

use anyhow::Result;
use clap::Args;

use crate::Extent;
use crate::measure::{last_cpu, pin};
use crate::report::Section;
use rounds::{Bench, PROOF};
use scenario::Scenario;

/// What `bench packet` takes besides.
#[derive(Args, Clone, Default)]
pub struct Arguments {
    /// Only scenarios whose names hold this; the floors are always measured.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// Numbers of flows, powers of two.
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    flows: Vec<u32>,
    /// Rounds.
    #[arg(long)]
    rounds: Option<usize>,
}

/// How much is measured.
struct Extents {
    flows: Vec<u32>,
    rounds: usize,
    /// Packets of a sample.
    packets: u32,
    /// Packets before a sample, so that what a flow touches is as warm as it gets.
    warm_up: u32,
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
            rounds: arguments.rounds.unwrap_or(extent.choose(2, 7, 15)).max(1),
            packets: extent.choose(1000, 100_000, 200_000),
            warm_up: extent.choose(100, 50_000, 100_000),
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
/// No permission, a program that takes another way than the scenario says, a kernel that refuses.
pub fn run(extent: Extent, arguments: &Arguments) -> Result<Section> {
    let extents = Extents::of(extent, arguments);
    let wanted = |scenario: &Scenario| {
        let filter = arguments.filter.as_deref().unwrap_or("");
        scenario.is_floor() || scenario.name.contains(filter)
    };
    let scenarios: Vec<Scenario> = scenario::all().into_iter().filter(wanted).collect();
    pin(last_cpu())?;
    let mut bench = Bench::new(&extents)?;
    let measured = bench.measure(&scenarios, &extents)?;
    Ok(figures::section(&measured, &extents))
}
