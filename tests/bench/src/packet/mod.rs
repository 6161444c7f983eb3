//! `bench packet`: nanoseconds per packet, by `BPF_PROG_TEST_RUN`.
//!
//! # Layout
//!
//! - here: the rounds, and what is made of them
//! - [`world`]: the balancer with its maps, and traffic
//! - [`scenario`]: what is measured
//!
//! A feeder puts each packet back, gives it another flow and tail-calls the program under test. Time is this thread's CPU time;
//! what the feeder takes is measured with a program that only drops, in the same round, and taken off.

mod scenario;
mod world;

use anyhow::{Result, bail, ensure};
use clap::Args;
use lb_common::abi::protocol;
use lb_tests::packet::bad_checksum;
use lb_userspace::core::model::Mode;

use crate::Extent;
use crate::all::Headline;
use crate::bpf::feed::Fed;
use crate::bpf::floors::{Floors, Job};
use crate::measure::{Samples, last_cpu, pin};
use crate::report::{Better, Chart, ChartKind, Figure, Section, Series, Table};
use scenario::{Scenario, Subject, Way};
use world::Balancer;

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

/// What it is measured for.
pub const HEADLINES: [Headline; 9] = [
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
    headline("packet/pass/not-ours/1", "lb, a packet that is not its own, 1 flow"),
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
    Ok(section(&measured, &extents))
}

/// Everything that is loaded.
struct Bench {
    balancer: Balancer,
    traced: Balancer,
    filling: Balancer,
    floors: Floors,
    fed: Vec<(Subject, Fed)>,
}

/// A scenario at a number of flows, and its samples: nanoseconds per packet, the feeder's share included.
struct Measured<'a> {
    scenario: &'a Scenario,
    flows: u32,
    gross: Samples,
}

impl Bench {
    fn new(extents: &Extents) -> Result<Self> {
        let flows = extents.most_flows();
        let mut balancer = Balancer::new(flows, false)?;
        let traced = Balancer::new(1, true)?;
        let filling = Balancer::new(extents.new_flows(), false)?;
        let mut floors = Floors::new(&Job {
            vip: scenario::floor_vip(),
            protocols: &[protocol::TCP, protocol::UDP],
            backends: &world::addresses(Mode::Ipip),
            source: world::TUNNEL_SOURCE,
            destination_mac: world::BACKEND_MAC,
            source_mac: world::BALANCER_MAC,
        })?;
        let mut fed = Vec::new();
        for subject in Subject::ALL {
            let program = match subject {
                Subject::Floor(floor) => floors.program(floor)?,
                Subject::Balancer | Subject::BalancerOfNat => balancer.program()?,
                Subject::BalancerOfNew => filling.program()?,
                Subject::Traced => traced.program()?,
            };
            let mut feeder = Fed::new(&program, flows)?;
            match subject {
                Subject::Balancer => {
                    balancer.open_flows(&mut feeder)?;
                    feeder.set_list(&balancer.answers()?)?;
                }
                Subject::BalancerOfNat => feeder.set_list(&world::list_of_nat(flows))?,
                Subject::Floor(_) | Subject::BalancerOfNew | Subject::Traced => {}
            }
            fed.push((subject, feeder));
        }
        Ok(Self {
            balancer,
            traced,
            filling,
            floors,
            fed,
        })
    }

    fn fed(&mut self, subject: Subject) -> &mut Fed {
        let found = self.fed.iter_mut().find(|(other, _)| *other == subject);
        &mut found.expect("every subject is fed").1
    }

    /// Shows that packets take the way that the scenario says: by the verdict and the bytes of one, and by the counters.
    fn prove(&mut self, scenario: &Scenario, flows: u32) -> Result<()> {
        let traffic = scenario.traffic(flows);
        let before = self.counted(scenario)?;
        let outcome = self.fed(scenario.subject).once(&traffic)?;
        ensure!(
            outcome.code == scenario.code,
            "{}: a packet ended with XDP code {}, not {}",
            scenario.name,
            outcome.code,
            scenario.code
        );
        if let Some(wrong) = bad_checksum(&outcome.packet) {
            bail!("{}: {wrong}", scenario.name);
        }
        self.fed(scenario.subject).run(&traffic, PROOF)?;
        if let (Some(before), Some(after)) = (before, self.counted(scenario)?) {
            let counted = after - before;
            ensure!(
                counted == PROOF as u64 + 1,
                "{} with {flows} flows: {counted} of {} packets took the way that it is about",
                scenario.name,
                PROOF + 1
            );
        }
        Ok(())
    }

    /// Packets that took the scenario's way, where somebody counts.
    fn counted(&self, scenario: &Scenario) -> Result<Option<u64>> {
        let balancer = match scenario.subject {
            Subject::Traced => &self.traced,
            Subject::BalancerOfNew => &self.filling,
            Subject::Balancer | Subject::BalancerOfNat | Subject::Floor(_) => &self.balancer,
        };
        Ok(match scenario.way {
            Way::To(mode, protocol) => Some(balancer.to(mode, protocol)?),
            Way::Back(mode) => Some(balancer.back(mode)?),
            Way::Not(reason) => Some(balancer.not_sent(reason)?),
            Way::Floor => Some(self.floors.sent()?),
            Way::Uncounted => None,
        })
    }

    /// Takes a sample of everything in each round.
    fn measure<'a>(&mut self, scenarios: &'a [Scenario], extents: &Extents) -> Result<Vec<Measured<'a>>> {
        let mut measured: Vec<Measured> = Vec::new();
        for flows in &extents.flows {
            let has = scenarios
                .iter()
                .filter(|scenario| scenario.has(*flows, extents.most_flows()));
            measured.extend(has.map(|scenario| Measured {
                scenario,
                flows: *flows,
                gross: Samples::default(),
            }));
        }
        for one in &measured {
            self.prove(one.scenario, one.flows)?;
        }
        for _ in 0..extents.rounds {
            for one in &mut measured {
                let traffic = one.scenario.traffic(one.flows);
                let (packets, warm_up) = one.scenario.packets(extents.packets, extents.warm_up);
                let fed = self.fed(one.scenario.subject);
                if warm_up > 0 {
                    fed.run(&traffic, warm_up)?;
                }
                let timed = fed.time(&traffic, packets)?;
                one.gross.push(timed.nanoseconds_per_run());
            }
        }
        Ok(measured)
    }
}

/// Packets by which a way is proved.
const PROOF: u32 = 1000;

/// What is said of it all.
fn section(measured: &[Measured], extents: &Extents) -> Section {
    let gross = |name: &str, flows: u32| {
        let found = measured
            .iter()
            .find(|one| one.scenario.name == name && one.flows == flows);
        found.map(|one| &one.gross)
    };
    let net = |one: &Measured| {
        let drop = if one.scenario.is_listed {
            scenario::DROP_LISTED
        } else {
            scenario::DROP
        };
        gross(drop, one.flows).map(|drop| one.gross.less(drop))
    };
    let mut figures = Vec::new();
    for one in measured {
        let Some(own) = net(one) else { continue };
        let name = format!("packet/{}/{}", one.scenario.name, one.flows);
        if one.scenario.name == scenario::DROP || one.scenario.name == scenario::DROP_LISTED {
            // What the feeder and the call take: on these nothing is taken off.
            figures.push(Figure::new(name, "ns", Better::Neither, &one.gross));
            continue;
        }
        let mut figure = Figure::new(name, "ns", Better::Less, &own);
        let named = |name: &str, flows: u32| {
            measured
                .iter()
                .find(|one| one.scenario.name == name && one.flows == flows)
                .and_then(net)
        };
        if let Some(floor) = named(scenario::FLOOR, one.flows) {
            figure = figure.ratio("floor", &own, &floor);
        }
        if let Some(alone) = named(&one.scenario.name, 1).filter(|_| one.flows != 1) {
            figure = figure.ratio("1 flow", &own, &alone);
        }
        figures.push(figure);
    }
    Section {
        name: "packet".into(),
        title: "Nanoseconds per packet".into(),
        method: vec![format!(
            "`BPF_PROG_TEST_RUN` on one core, {} packets of 60 bytes a sample after {} to warm up, {} rounds in which everything is \
             measured once, in turn. A feeder puts each packet back, gives it another flow at random and tail-calls the program; \
             time is the thread's CPU time, less what the same takes with a program that only drops. Ratios are medians of the \
             ratios of each round.",
            extents.packets, extents.warm_up, extents.rounds
        )],
        tables: vec![
            table(&figures, extents, "ns per packet, median", |figure| {
                format!("{:.1}", figure.median)
            }),
            table(&figures, extents, "times the smallest balancer", |figure| {
                figure
                    .ratios
                    .iter()
                    .find(|ratio| ratio.to == "floor")
                    .map_or(String::new(), |ratio| format!("{:.2}", ratio.median))
            }),
        ],
        charts: vec![chart(&figures, extents)],
        figures,
        skipped: Vec::new(),
    }
}

/// A row a scenario, a column a number of flows.
fn table(figures: &[Figure], extents: &Extents, title: &str, cell: impl Fn(&Figure) -> String) -> Table {
    let mut columns = vec!["scenario".to_owned()];
    columns.extend(extents.flows.iter().map(|flows| named_flows(*flows)));
    let rows = names(figures).into_iter().map(|name| {
        let cells = extents.flows.iter().map(|flows| {
            let wanted = format!("packet/{name}/{flows}");
            figures
                .iter()
                .find(|figure| figure.name == wanted)
                .map_or_else(|| "-".into(), &cell)
        });
        std::iter::once(name.to_owned()).chain(cells).collect()
    });
    Table {
        title: title.into(),
        columns,
        rows: rows.collect(),
    }
}

fn chart(figures: &[Figure], extents: &Extents) -> Chart {
    let shown = [
        "floor/balancer",
        "ipip/established",
        "l2/established",
        "nat/established",
        "fullnat/established",
        "fullnat/back",
        "pass/not-ours",
    ];
    let series = shown.into_iter().map(|name| Series {
        name: name.into(),
        values: extents
            .flows
            .iter()
            .map(|flows| {
                let wanted = format!("packet/{name}/{flows}");
                figures
                    .iter()
                    .find(|figure| figure.name == wanted)
                    .map(|figure| figure.median)
            })
            .collect(),
    });
    Chart {
        title: "Cost of a packet by the number of flows".into(),
        file: "packet-flows".into(),
        kind: ChartKind::Lines,
        x: "flows".into(),
        places: extents.flows.iter().map(|flows| named_flows(*flows)).collect(),
        y: "ns per packet".into(),
        logarithmic: false,
        series: series.collect(),
    }
}

/// Names of scenarios, in the figures' order.
fn names(figures: &[Figure]) -> Vec<&str> {
    let mut names = Vec::new();
    for figure in figures {
        let name = figure
            .name
            .strip_prefix("packet/")
            .and_then(|rest| rest.rsplit_once('/'));
        if let Some((name, _)) = name
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

fn named_flows(flows: u32) -> String {
    match flows {
        1 => "1 flow".into(),
        _ if flows >= 1 << 20 && flows.is_multiple_of(1 << 20) => format!("{} M", flows >> 20),
        _ if flows >= 1 << 10 && flows.is_multiple_of(1 << 10) => format!("{} k", flows >> 10),
        _ => flows.to_string(),
    }
}
