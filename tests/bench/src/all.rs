//! `bench all`: every benchmark there is, and a report of it all.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use lb_lab::interrupt;

use crate::report::document::{JSON, MARKDOWN, Part, Report};
use crate::report::machine::CpuTime;
use crate::report::{Figure, Section};
use crate::{Extent, connections, forward, packet, table};

/// A benchmark, as a part of all of them.
struct Benchmark {
    /// Name of its section.
    name: &'static str,
    title: &'static str,
    /// Minutes that the whole of it takes on two CPUs. All together stay below 15.
    minutes: u32,
    headlines: &'static [Headline],
    run: fn(Extent) -> Result<Section>,
}

/// A figure that matters most, and what it says.
pub struct Headline {
    pub figure: &'static str,
    pub says: &'static str,
}

/// Every benchmark.
const BENCHMARKS: [Benchmark; 4] = [
    Benchmark {
        name: "packet",
        title: "Nanoseconds per packet",
        minutes: 4,
        headlines: &packet::HEADLINES,
        run: |extent| packet::run(extent, &packet::Arguments::of_environment()),
    },
    Benchmark {
        name: "forward",
        title: "Packets per second through a balancer",
        minutes: 3,
        headlines: &forward::HEADLINES,
        run: |extent| forward::run(extent, &forward::Arguments::default()),
    },
    Benchmark {
        name: "connections",
        title: "Requests to real servers",
        minutes: 5,
        headlines: &connections::HEADLINES,
        run: |extent| connections::run(extent, &connections::Arguments::default()),
    },
    Benchmark {
        name: "table",
        title: "Maglev tables",
        minutes: 2,
        headlines: &table::HEADLINES,
        run: |extent| table::run(extent, &table::Arguments::default()),
    },
];

/// The figures of a section that matter most.
pub fn headlines(section: &str) -> &'static [Headline] {
    let found = BENCHMARKS.iter().find(|benchmark| benchmark.name == section);
    found.map_or(&[], |benchmark| benchmark.headlines)
}

/// Runs every benchmark and writes the report into `out`, or where there is room for it below cargo's target directory.
///
/// # Errors
///
/// The directory cannot be written or has files in it, or a signal asked us to end. A benchmark that cannot run is none: the report
/// says why.
pub fn run(extent: Extent, out: Option<PathBuf>) -> Result<()> {
    let created = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let dir = match out {
        Some(dir) => dir,
        None => default_dir(&created)?,
    };
    make_empty(&dir)?;
    let busy = busy_share(extent.choose(100, 1000, 1000));
    let sections = BENCHMARKS.iter().map(Benchmark::not_reached).collect();
    let mut report = Report::new(extent, created, busy, sections);
    let before = CpuTime::now();
    for (place, benchmark) in BENCHMARKS.iter().enumerate() {
        report.sections[place] = benchmark.part(extent);
        report.stolen = CpuTime::now().stolen_since(before);
        // Each time: a run that is ended by force leaves what it has.
        report.write(&dir)?;
        if let Some(interrupted) = interrupt::caught() {
            return Err(interrupted.into());
        }
    }
    eprintln!("==> all of it took {:.1} min", report.seconds() / 60.0);
    println!("{}\n{}", dir.join(MARKDOWN).display(), dir.join(JSON).display());
    Ok(())
}

impl Benchmark {
    /// Measures, and says on standard error what and how long.
    fn part(&self, extent: Extent) -> Part {
        let about = extent.choose(String::new(), String::new(), format!(", about {} min", self.minutes));
        eprintln!("==> {}: {}{about}", self.name, self.title);
        let started = Instant::now();
        let section = self.section(extent);
        let seconds = started.elapsed().as_secs_f64();
        for skipped in &section.skipped {
            eprintln!("    skipped: {skipped}");
        }
        eprintln!("    {} figures, {seconds:.1} s", section.figures.len());
        Part { seconds, section }
    }

    /// What it finds, or why it finds nothing.
    fn section(&self, extent: Extent) -> Section {
        let run = self.run;
        // In a thread of its own, which it may bind to a CPU or take into a namespace.
        let ran = std::thread::Builder::new()
            .name(self.name.into())
            .spawn(move || run(extent))
            .map(std::thread::JoinHandle::join);
        match ran {
            Ok(Ok(Ok(section))) => only_numbers(section),
            Ok(Ok(Err(error))) => self.without_figures(format!("{error:#}")),
            Ok(Err(_)) => self.without_figures("it panicked, and said why on standard error".into()),
            Err(error) => self.without_figures(format!("no thread for it: {error}")),
        }
    }

    fn without_figures(&self, reason: String) -> Section {
        Section {
            name: self.name.into(),
            title: self.title.into(),
            skipped: vec![reason],
            ..Section::default()
        }
    }

    fn not_reached(&self) -> Part {
        Part {
            seconds: 0.0,
            section: self.without_figures("the run ended before".into()),
        }
    }
}

/// Takes out what is no number, such as a share of nothing, and says so.
fn only_numbers(mut section: Section) -> Section {
    let is_number = |figure: &Figure| {
        [figure.min, figure.median, figure.spread]
            .into_iter()
            .all(f64::is_finite)
    };
    let (figures, others): (Vec<Figure>, Vec<Figure>) = section.figures.into_iter().partition(is_number);
    section.figures = figures;
    for figure in &mut section.figures {
        figure
            .ratios
            .retain(|ratio| ratio.median.is_finite() && ratio.spread.is_finite());
    }
    let reasons = others
        .iter()
        .map(|figure| format!("{}: no number came out", figure.name));
    section.skipped.extend(reasons);
    section
}

/// `target/bench/2026-11-24T14-30-05Z`
fn default_dir(created: &str) -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    // Cargo built us as target/PROFILE/lb-bench.
    let target = me
        .ancestors()
        .nth(2)
        .context("no directory for the report; give one: --out DIR")?;
    Ok(target.join("bench").join(created.replace(':', "-")))
}

fn make_empty(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mut entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    ensure!(
        entries.next().is_none(),
        "{} has files in it; give a directory that is empty or not there: --out DIR",
        dir.display()
    );
    Ok(())
}

/// Share of the CPUs' time that others use, over that many milliseconds.
fn busy_share(ms: u64) -> f64 {
    let before = CpuTime::now();
    std::thread::sleep(Duration::from_millis(ms));
    CpuTime::now().busy_since(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Samples;
    use crate::report::Better;

    fn benchmark(run: fn(Extent) -> Result<Section>) -> Benchmark {
        Benchmark {
            name: "a",
            title: "A",
            minutes: 1,
            headlines: &[],
            run,
        }
    }

    #[test]
    fn a_benchmark_that_cannot_run_says_why() {
        let section = benchmark(|_| anyhow::bail!("no root")).section(Extent::Smoke);
        assert_eq!((section.name.as_str(), section.skipped), ("a", vec!["no root".into()]));
        let section = benchmark(|_| panic!("on purpose")).section(Extent::Smoke);
        assert!(section.skipped[0].contains("panicked"));
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let one: Samples = [1.0].into_iter().collect();
        let zero: Samples = [0.0].into_iter().collect();
        let section = only_numbers(Section {
            figures: vec![
                Figure::new("a/b", "ns", Better::Less, &one).ratio("nothing", &one, &zero),
                Figure::new("a/c", "ns", Better::Less, &Samples::default()),
            ],
            ..Section::default()
        });
        assert_eq!((section.figures.len(), section.figures[0].ratios.len()), (1, 0));
        assert_eq!(section.skipped, ["a/c: no number came out"]);
    }

    #[test]
    fn a_report_goes_where_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        make_empty(&dir.path().join("new/one")).unwrap();
        let error = make_empty(dir.path()).unwrap_err().to_string();
        assert!(error.contains("has files in it"), "{error}");
    }

    #[test]
    fn all_of_it_ends_within_a_quarter_of_an_hour() {
        let minutes: u32 = BENCHMARKS.iter().map(|benchmark| benchmark.minutes).sum();
        assert!(minutes < 15);
    }
}
