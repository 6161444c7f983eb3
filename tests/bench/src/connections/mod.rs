//! `bench connections`: real requests to real servers, through each balancer and through none.
//!
//! # Layout
//!
//! - here: the rounds
//! - [`row`]: what is between client and servers; [`rivals`]: what `lb` is compared with
//! - [`client`]: sends the requests; [`answer`]: what it understands of the answers
//! - [`cpu`]: CPU time of tasks; `bpf::run_time`: of `lb`'s program alone
//! - [`findings`]: what is made of it
//!
//! The client has one CPU, the servers and the program that balances another. What the kernel does for a packet it does on the
//! CPU of whoever sent it, so that the balancing of `lb` and of nftables is done on both.

mod answer;
mod client;
mod cpu;
mod findings;
mod rivals;
mod row;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use lb_lab::{Mode, interrupt, is_root, program};

use crate::Extent;
use crate::all::Headline;
use crate::bpf::run_time::{self, RunTime};
use crate::measure::{Samples, last_cpu};
use crate::report::Section;
use client::{Load, Outcome, Use};
use cpu::Clocks;
use row::{Places, Row, Subject};

/// What `bench connections` takes besides.
#[derive(Args, Clone, Default)]
pub struct Arguments {
    /// Only rows whose names hold this; `direct` and `haproxy` are always measured.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// Rounds.
    #[arg(long)]
    rounds: Option<usize>,
}

/// What it is measured for.
pub const HEADLINES: [Headline; 6] = [
    headline("connections/direct/new/rate", "no balancer, a connection a request"),
    headline("connections/lb-ipip/new/rate", "lb, `ipip`, a connection a request"),
    headline(
        "connections/lb-fullnat/new/rate",
        "lb, `fullnat`, a connection a request",
    ),
    headline("connections/haproxy/new/rate", "HAProxy (TCP), a connection a request"),
    headline(
        "connections/lb-fullnat/new/balancing-cpu-per-request",
        "lb, `fullnat`: CPU time of balancing",
    ),
    headline(
        "connections/haproxy/new/balancing-cpu-per-request",
        "HAProxy: CPU time of balancing",
    ),
];

const fn headline(figure: &'static str, says: &'static str) -> Headline {
    Headline { figure, says }
}

/// How much is measured.
struct Extents {
    subjects: Vec<Subject>,
    servers: u8,
    rounds: usize,
    /// Connections at a time.
    at_a_time: usize,
    warm_up: Duration,
    /// Of a sample at full load.
    full: Duration,
    /// Of a sample at a pace.
    paced: Duration,
}

impl Extents {
    fn of(extent: Extent, arguments: &Arguments) -> Self {
        let smallest = [Subject::Direct, Subject::Lb(Mode::Fullnat)];
        let subjects: &[Subject] = extent.choose(&smallest, &Subject::ALL, &Subject::ALL);
        let filter = arguments.filter.as_deref().unwrap_or("");
        let wanted = |subject: &Subject| {
            matches!(subject, Subject::Direct | Subject::Haproxy) || subject.name().contains(filter)
        };
        let milliseconds = |smoke, quick, whole| Duration::from_millis(extent.choose(smoke, quick, whole));
        Self {
            subjects: subjects.iter().copied().filter(wanted).collect(),
            servers: extent.choose(2, 3, 3),
            rounds: arguments.rounds.unwrap_or(extent.choose(1, 3, 8)).max(1),
            at_a_time: 32,
            warm_up: milliseconds(20, 100, 100),
            full: milliseconds(60, 300, 500),
            paced: milliseconds(60, 500, 1000),
        }
    }
}

const USES: [Use; 2] = [Use::Once, Use::KeptAlive];

/// Requests per second that are sent for latencies: what every row can well bear.
fn pace(connections: Use) -> u32 {
    match connections {
        Use::Once => 3000,
        Use::KeptAlive => 10_000,
    }
}

/// What was found of a row, by how connections were used: a sample a round, but for what is summed up.
#[derive(Default)]
struct Findings {
    /// Answers per second at full load.
    rate: Samples,
    /// CPU time of all of it at full load, microseconds per answer.
    cpu_us: Samples,
    /// Of that, what the program took that balances.
    balancer_us: Samples,
    /// Microseconds, at a pace, at these shares of the requests.
    latency_us: [Samples; QUANTILES.len()],
    requests: u64,
    errors: BTreeMap<String, u64>,
    /// Segments that were sent again.
    retransmitted: u64,
    /// Of `lb`'s program, and the answers of that time.
    run_time: Option<(RunTime, u64)>,
}

/// Shares of the requests, as a name and a number.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

/// A row and its findings.
struct Measured {
    subject: Subject,
    once: Findings,
    kept_alive: Findings,
}

impl Measured {
    fn of(&self, connections: Use) -> &Findings {
        match connections {
            Use::Once => &self.once,
            Use::KeptAlive => &self.kept_alive,
        }
    }

    fn of_mut(&mut self, connections: Use) -> &mut Findings {
        match connections {
            Use::Once => &mut self.once,
            Use::KeptAlive => &mut self.kept_alive,
        }
    }
}

/// Measures.
///
/// # Errors
///
/// No permission, no nginx, something that does not serve, or a signal.
pub fn run(extent: Extent, arguments: &Arguments) -> Result<Section> {
    if !is_root() {
        bail!("`bench connections` makes network namespaces and loads XDP programs: run it as root");
    }
    program::find("nginx").context("the servers are nginx; install the Debian package nginx-light")?;
    let extents = Extents::of(extent, arguments);
    let places = Places {
        client: 0,
        servers: last_cpu(),
    };
    interrupt::catch()?;
    let _first = cpu::SessionFirst::new()?;
    let mut bench = Bench {
        extents: &extents,
        places,
        rows: Vec::new(),
        softirq_threads: Clocks::of_softirq_threads()?,
        skipped: Vec::new(),
    };
    let measured = bench.set_up().and_then(|()| bench.measure());
    // What takes the hosts down has to wait for them, signal or not.
    interrupt::heed_no_more();
    Ok(findings::section(
        &measured?,
        &extents,
        places,
        std::mem::take(&mut bench.skipped),
    ))
}

/// Everything that stands.
struct Bench<'a> {
    extents: &'a Extents,
    places: Places,
    rows: Vec<Row>,
    softirq_threads: Clocks,
    skipped: Vec<String>,
}

impl Bench<'_> {
    fn set_up(&mut self) -> Result<()> {
        for subject in &self.extents.subjects {
            match subject.missing() {
                Some(package) => self.skipped.push(format!(
                    "{}: not installed; install the Debian package {package}",
                    subject.name()
                )),
                None => self.rows.push(Row::build(*subject, self.extents.servers, self.places)?),
            }
        }
        Ok(())
    }

    /// Takes a sample of everything in each round; and then a look at `lb`'s program.
    fn measure(&self) -> Result<Vec<Measured>> {
        let subjects = self.rows.iter().map(|row| row.subject);
        let mut measured: Vec<Measured> = subjects
            .map(|subject| Measured {
                subject,
                once: Findings::default(),
                kept_alive: Findings::default(),
            })
            .collect();
        for round in 0..self.extents.rounds {
            for connections in USES {
                // What is compared is measured one right after the other.
                for sample in [Self::sample_full_load, Self::sample_pace] {
                    for place in 0..self.rows.len() {
                        // Each round begins with another row.
                        let number = (round + place) % self.rows.len();
                        let row = &self.rows[number];
                        let findings = measured[number].of_mut(connections);
                        let retransmitted = row.retransmitted()?;
                        let mut done = Err(anyhow::anyhow!("x"));
                        for _ in 0..3 {
                            done = sample(self, row, connections, findings);
                            if done.is_ok() {
                                break;
                            }
                            eprintln!("RETRY {done:?}");
                            row.debug()?;
                        }
                        done.with_context(|| format!("measuring {}", row.subject.name()))?;
                        let d = row.retransmitted()? - retransmitted;
                        if std::env::var_os("LB_DBG").is_some() && d > 0 {
                            eprintln!("{d} in {} {connections:?} round {round}", row.subject.name());
                            row.debug()?;
                        }
                        findings.retransmitted += row.retransmitted()? - retransmitted;
                    }
                }
            }
        }
        for (row, measured) in self.rows.iter().zip(&mut measured) {
            if matches!(row.subject, Subject::Lb(_)) {
                self.look_at_program(row, measured)?;
            }
        }
        Ok(measured)
    }

    fn sample_full_load(&self, row: &Row, connections: Use, findings: &mut Findings) -> Result<()> {
        let (outcome, [all, balancer]) = self.at_full_load(row, connections)?;
        ensure!(outcome.answers > 0, "no answer at all: {:?}", outcome.errors);
        let per_answer = |time: Duration| time.as_secs_f64() * 1e6 / outcome.answers as f64;
        findings.rate.push(outcome.answers as f64 / outcome.took.as_secs_f64());
        findings.cpu_us.push(per_answer(all));
        findings.balancer_us.push(per_answer(balancer));
        findings.note(&outcome);
        Ok(())
    }

    fn sample_pace(&self, row: &Row, connections: Use, findings: &mut Findings) -> Result<()> {
        let load = self.load(row, connections, Some(pace(connections)));
        let outcome = row.lab.client.netns().run(|| {
            cpu::put_thread_first_on(None, self.places.client)?;
            load.run(|| Ok(()))
        })?;
        ensure!(outcome.latencies_us.len() > 0, "no answer at all: {:?}", outcome.errors);
        for ((_, share), samples) in QUANTILES.iter().zip(&mut findings.latency_us) {
            samples.push(outcome.latencies_us.quantile(*share));
        }
        findings.note(&outcome);
        Ok(())
    }

    /// What came of it, and the CPU time that all took, and that the program took that balances.
    fn at_full_load(&self, row: &Row, connections: Use) -> Result<(Outcome, [Duration; 2])> {
        let load = self.load(row, connections, None);
        let (outcome, readings) = row.lab.client.netns().run(|| {
            cpu::put_thread_first_on(None, self.places.client)?;
            let client = Clocks::of_this_thread()?;
            let mut readings = Vec::new();
            let outcome = load.run(|| {
                let balancer = row.balancer.read()?;
                let others = row.servers.read()? + self.softirq_threads.read()?;
                readings.push([client.read()? + balancer + others, balancer]);
                Ok(())
            })?;
            Ok((outcome, readings))
        })?;
        let [before, after] = readings[..] else {
            bail!("the client ended too early");
        };
        Ok((outcome, [after[0] - before[0], after[1] - before[1]]))
    }

    fn load(&self, row: &Row, connections: Use, pace: Option<u32>) -> Load {
        Load {
            connections,
            targets: row.targets.clone(),
            at_a_time: self.extents.at_a_time,
            pace,
            warm_up: self.extents.warm_up,
            length: if pace.is_some() {
                self.extents.paced
            } else {
                self.extents.full
            },
        }
    }

    /// Runs a row at full load once more, with the statistics of BPF programs.
    fn look_at_program(&self, row: &Row, measured: &mut Measured) -> Result<()> {
        let program = run_time::Program::of(&row.lab)?;
        for connections in [Use::Once, Use::KeptAlive] {
            let load = self.load(row, connections, None);
            let mut readings = Vec::new();
            let statistics = run_time::turn_on()?;
            let outcome = row.lab.client.netns().run(|| {
                cpu::put_thread_first_on(None, self.places.client)?;
                load.run(|| {
                    readings.push(program.read()?);
                    Ok(())
                })
            })?;
            drop(statistics);
            let [before, after] = readings[..] else {
                bail!("the client ended too early");
            };
            let findings = measured.of_mut(connections);
            findings.run_time = Some((after.since(before), outcome.answers));
            findings.note(&outcome);
        }
        Ok(())
    }
}

impl Findings {
    fn note(&mut self, outcome: &Outcome) {
        self.requests += outcome.answers;
        for (error, times) in &outcome.errors {
            *self.errors.entry(error.clone()).or_default() += times;
        }
    }
}
