//! `cargo xtask vm test`: the packet and net tests in guests of other kernels, as many guests at once as there are cores.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Result;
use lb_guest::plan::{self, Step};

use super::choice::{self, Binary};
use super::guests::Guests;
use super::hearing::Hearing;
use super::kernels::{Found, Kernel, Series};
use super::machine::{End, Processor};
use super::root::{self, Root};
use crate::shell;
use crate::test::tally::Skip;

/// Modules that labs need: their cables and their switch, VLANs, and what ends tunnels.
const MODULES: &[&str] = &["veth", "bridge", "8021q", "ipip", "fou", "sctp"];

/// How many lines of the kernel's messages are shown when a guest did not end well.
const LAST_WORDS: usize = 30;

/// How many of the slowest tests are named.
const SLOWEST: usize = 5;

/// What is the same for every kernel.
struct Run {
    guests: Guests,
    processor: Processor,
    binaries: Vec<Binary>,
}

/// How it went on a kernel.
struct Outcome {
    series: &'static Series,
    what: What,
}

enum What {
    /// There is no such kernel here.
    Skipped(String),
    Ran(Box<Ran>),
}

struct Ran {
    release: String,
    hearing: Hearing,
    end: End,
    took: Duration,
    last_words: String,
}

/// Runs the tests on each kernel; false when any failed.
pub fn run(kernels: Vec<Found>, lb: &Path, filter: Option<&str>) -> Result<bool> {
    let binaries = shell::step("building the tests", || choice::binaries(filter))?;
    let guests = shell::step("the guests' file system", || Guests::new(&root_of(lb, &binaries)?))?;
    // The newest: on a processor that cannot run guests, QEMU notices at once what older kernels hang in silently.
    let there = kernels.iter().rev().find_map(|(_, kernel)| kernel.as_ref().ok());
    let processor = match there {
        Some(kernel) if guests.can_use_kvm(kernel)? => Processor::Kvm,
        Some(_) | None => Processor::Emulated,
    };
    let run = Run {
        guests,
        processor,
        binaries,
    };
    let outcomes = shell::step("testing", || run.all(kernels))?;
    run.say_what_was_left_out();
    println!();
    for outcome in &outcomes {
        println!("{}", outcome.closing_line());
    }
    Ok(outcomes.iter().all(Outcome::is_good))
}

/// The lab's server, the tests and their fixtures.
fn root_of(lb: &Path, binaries: &[Binary]) -> Result<Root> {
    let mut root = Root::with_lb(lb)?;
    root.own_program("lab-httpd", &lb.with_file_name("lab-httpd"))?;
    for binary in binaries.iter().filter(|binary| !binary.tests.is_empty()) {
        root.own_program(&binary.name, &binary.file)?;
    }
    root.directory(&choice::fixtures()?)?;
    Ok(root)
}

impl Run {
    /// Each kernel, a machine for each core. The newest first, which takes longest, and the short one last, so that no core is without work for
    /// long.
    fn all(&self, mut kernels: Vec<Found>) -> Result<Vec<Outcome>> {
        kernels.reverse();
        kernels.sort_by_key(|(series, _)| !series.has_compare_exchange);
        let machines = std::thread::available_parallelism().map_or(1, usize::from);
        let left = Mutex::new(VecDeque::from(kernels));
        let next = || left.lock().ok()?.pop_front();
        let work = || {
            let mut outcomes = Vec::new();
            while let Some((series, kernel)) = next() {
                outcomes.push(self.outcome(series, kernel)?);
            }
            Ok(outcomes)
        };
        let outcomes = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..machines).map(|_| scope.spawn(work)).collect();
            let done = workers.into_iter().map(|worker| worker.join().expect("no panic"));
            done.collect::<Result<Vec<_>>>()
        })?;
        let mut outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
        outcomes.sort_by_key(|outcome| super::kernels::place(outcome.series));
        Ok(outcomes)
    }

    fn outcome(&self, series: &'static Series, kernel: Result<Kernel>) -> Result<Outcome> {
        let what = match kernel {
            Err(error) => What::Skipped(format!("{error:#}")),
            Ok(kernel) => What::Ran(Box::new(self.on(&kernel)?)),
        };
        let outcome = Outcome { series, what };
        outcome.say();
        Ok(outcome)
    }

    fn on(&self, kernel: &Kernel) -> Result<Ran> {
        let plan = self.plan(kernel.series);
        let own = root::of_kernel(kernel, MODULES, &plan::to_text(&plan))?;
        let machine = self.guests.machine(kernel, self.processor, &own)?;
        let mut hearing = Hearing::default();
        let started = Instant::now();
        let mut report = File::create(self.guests.file(kernel, "report"))?;
        let end = machine.run(|line| {
            hearing.hear(line);
            // For people who want to know what took long.
            let _ = writeln!(report, "{:6.1} s  {line}", started.elapsed().as_secs_f64());
        })?;
        hearing.end(&plan, end);
        Ok(Ran {
            release: kernel.release.clone(),
            hearing,
            end,
            took: started.elapsed(),
            last_words: machine.last_words(LAST_WORDS),
        })
    }

    /// A kernel that takes `fullnat` takes the whole program; the other one has to take the rest of it.
    fn plan(&self, series: &Series) -> Vec<Step> {
        let modes: &[&str] = match series.has_compare_exchange {
            true => &["fullnat"],
            false => &["l2", "fullnat"],
        };
        let load = modes.iter().map(|mode| Step::Load {
            mode: (*mode).to_owned(),
        });
        let with_tests = self.binaries.iter().filter(|binary| !binary.tests.is_empty());
        let test = with_tests.map(|binary| Step::Test {
            binary: binary.name.clone(),
            names: binary.tests.clone(),
        });
        load.chain(test).collect()
    }

    fn say_what_was_left_out(&self) {
        for binary in &self.binaries {
            for (test, why) in &binary.left_out {
                println!("left out: {}::{test}: {why}", binary.name);
            }
        }
    }
}

impl Outcome {
    fn is_good(&self) -> bool {
        match &self.what {
            What::Skipped(_) => true,
            What::Ran(ran) => ran.complaints(self.series).is_empty() && ran.hearing.tally.is_good(),
        }
    }

    fn say(&self) {
        let What::Ran(ran) = &self.what else { return };
        print!("{}", ran.hearing.failures);
        let Ran { release, hearing, .. } = &**ran;
        match &hearing.booted {
            Some((release, after_s)) => println!("kernel {release}: booted in {after_s:.1} s"),
            None => println!("kernel {release}: did not boot"),
        }
        for (mode, why) in &hearing.refuses {
            println!("kernel {release}: does not take the program for {mode}: {why}");
        }
        for Skip { name, reason } in &hearing.tally.skipped {
            println!("skipped on {}: {name}: {reason}", self.series.name);
        }
        for name in &hearing.tally.failed {
            println!("failed on {}: {name}", self.series.name);
        }
        let slowest = hearing.slowest(SLOWEST).into_iter();
        let slowest: Vec<String> = slowest
            .map(|(name, seconds)| format!("{name} {seconds:.1} s"))
            .collect();
        println!("slowest on {}: {}", self.series.name, slowest.join(", "));
        let complaints = ran.complaints(self.series);
        for complaint in &complaints {
            println!("kernel {release}: {complaint}");
        }
        if !complaints.is_empty() && !ran.last_words.is_empty() {
            println!("the last lines of its messages:\n{}", ran.last_words);
        }
        println!("{}", self.closing_line());
    }

    fn closing_line(&self) -> String {
        let name = self.series.name;
        match &self.what {
            What::Skipped(why) => format!("kernel {name}: skipped, nothing ran: {why}"),
            What::Ran(ran) => {
                let how = if self.is_good() { "" } else { " FAILED:" };
                let (line, seconds) = (ran.hearing.tally.closing_line(), ran.took.as_secs_f64());
                format!("kernel {}:{how} {line}, in {seconds:.0} s", ran.release)
            }
        }
    }
}

impl Ran {
    /// What is wrong beside tests that failed.
    fn complaints(&self, series: &Series) -> Vec<String> {
        let mut complaints = Vec::new();
        match self.end {
            End::Verdict(_) => {}
            End::Lost => complaints.push("the machine went down without a verdict".to_owned()),
            End::Silent => complaints.push("the machine fell silent and was ended".to_owned()),
        }
        if let Some(why) = &self.hearing.broken {
            complaints.push(format!("the guest gave up: {why}"));
        }
        let loads = |mode: &str| self.hearing.loads.contains(mode);
        if series.has_compare_exchange {
            if !loads("fullnat") {
                complaints.push("the program does not load".to_owned());
            }
        } else if !loads("l2") {
            complaints.push("the program does not load without fullnat".to_owned());
        } else if loads("fullnat") {
            complaints.push("fullnat is accepted, though this kernel should not have what it needs".to_owned());
        }
        complaints
    }
}
