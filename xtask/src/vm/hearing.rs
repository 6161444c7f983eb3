//! What the guest of one kernel says, and what follows from it.

use std::collections::BTreeSet;

use lb_guest::plan::{self, Step};
use lb_guest::said::Said;

use super::machine::End;
use crate::test::tally::{Skip, Tally};

/// What a guest has said so far.
#[derive(Default)]
pub struct Hearing {
    /// The kernel's release, and after how many seconds it began.
    pub booted: Option<(String, f64)>,
    /// Modes for which the kernel takes the program.
    pub loads: BTreeSet<String>,
    /// Modes for which it does not, and what `lb` said of it.
    pub refuses: Vec<(String, String)>,
    /// Why the plan could not be carried out.
    pub broken: Option<String>,
    pub tally: Tally,
    /// What libtest shows of tests that failed.
    pub failures: String,
    /// How many seconds a test took, beside the others that ran at the same time.
    times: Vec<(String, f64)>,
    binary: Option<Running>,
}

/// The binary whose tests run.
struct Running {
    name: String,
    passed: BTreeSet<String>,
    reported: BTreeSet<String>,
    shows_failures: bool,
}

impl Hearing {
    /// Takes in a line.
    pub fn hear(&mut self, line: &str) {
        match Said::from_line(line) {
            Some(said) => self.hear_guest(said),
            None => self.hear_test(line),
        }
    }

    fn hear_guest(&mut self, said: Said) {
        match said {
            Said::Booted { release, after_s } => self.booted = Some((release, after_s)),
            Said::Loads { mode } => drop(self.loads.insert(mode)),
            Said::Refuses { mode, why } => self.refuses.push((mode, why)),
            Said::Skipped { line } => self.tally.skip_at_run_time(vec![Skip::from_line(&line)]),
            Said::Broken { why } => self.broken = Some(why),
            // Nothing is measured while tests run.
            Said::Figure { .. } => {}
            Said::Tests { binary } => {
                self.binary = Some(Running {
                    name: binary,
                    passed: BTreeSet::new(),
                    reported: BTreeSet::new(),
                    shows_failures: false,
                });
            }
        }
    }

    fn hear_test(&mut self, line: &str) {
        let Some(running) = &mut self.binary else { return };
        if line.starts_with("test result: ") {
            running.shows_failures = false;
            self.tally.read_line(line);
            return;
        }
        if let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            let (outcome, seconds) = with_seconds(outcome);
            let full = format!("{}::{name}", running.name);
            self.times.extend(seconds.map(|seconds| (full, seconds)));
            running.reported.insert(name.to_owned());
            if outcome == "ok" {
                running.passed.insert(name.to_owned());
            }
            self.tally
                .read_line(&format!("test {}::{name} ... {outcome}", running.name));
            return;
        }
        if line == "failures:" && !running.shows_failures {
            running.shows_failures = true;
            self.failures.push_str(&format!("\nfailures of {}:\n", running.name));
        } else if running.shows_failures {
            self.failures.push_str(line);
            self.failures.push('\n');
        }
    }

    /// The tests that took longest, longest first.
    pub fn slowest(&self, count: usize) -> Vec<&(String, f64)> {
        let mut slowest: Vec<_> = self.times.iter().collect();
        slowest.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        slowest.truncate(count);
        slowest
    }

    /// Takes in how the machine ended: what was planned and not finished has failed, and what was not begun is skipped.
    pub fn end(&mut self, plan: &[Step], end: End) {
        let cut = match end {
            End::Verdict(_) if self.broken.is_none() => return,
            End::Verdict(_) => "the guest gave up",
            End::Lost => "the machine went down",
            End::Silent => "the machine fell silent and was ended",
        };
        let last = self.binary.take();
        let mut is_begun = last.is_some();
        for step in plan {
            let Step::Test { binary, names } = step else { continue };
            match &last {
                Some(running) if running.name == *binary => {
                    self.cut_off(running, names, cut);
                    is_begun = false;
                }
                _ if !is_begun => self.not_begun(binary, names, cut),
                _ => {}
            }
        }
    }

    /// libtest begins tests in the order of their names, and says of each how it ended.
    fn cut_off(&mut self, running: &Running, names: &[String], cut: &str) {
        let passed = running.passed.len();
        self.tally.read_line(&format!("test result: cut off. {passed} passed;"));
        let left: Vec<&String> = names.iter().filter(|name| !running.reported.contains(*name)).collect();
        let (begun, not_begun) = left.split_at(left.len().min(plan::threads(&running.name)));
        for name in begun {
            self.tally
                .failed
                .push(format!("{}::{name}: not finished when {cut}", running.name));
        }
        let not_begun: Vec<String> = not_begun.iter().map(|name| (*name).clone()).collect();
        self.not_begun(&running.name, &not_begun, cut);
    }

    fn not_begun(&mut self, binary: &str, names: &[String], cut: &str) {
        self.tally.skipped.extend(names.iter().map(|name| Skip {
            name: format!("{binary}::{name}"),
            reason: format!("not begun when {cut}"),
        }));
    }
}

/// What libtest says of a test, in `ok <1.234s>` with how many seconds it took.
fn with_seconds(outcome: &str) -> (&str, Option<f64>) {
    let parts = outcome.strip_suffix("s>").and_then(|rest| rest.split_once(" <"));
    match parts.map(|(outcome, seconds)| (outcome, seconds.parse())) {
        Some((outcome, Ok(seconds))) => (outcome, Some(seconds)),
        _ => (outcome, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_guest::verdict::Verdict;

    /// Of these tests, four run at once.
    const NET: &str = "net_some";

    fn plan() -> Vec<Step> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let many: Vec<String> = (0..6).map(|number| format!("t{number}")).collect();
        vec![
            Step::Test {
                binary: "packet".into(),
                names: names(&["a", "b"]),
            },
            Step::Test {
                binary: NET.into(),
                names: many,
            },
            Step::Test {
                binary: "net_more".into(),
                names: names(&["c"]),
            },
        ]
    }

    fn hear(lines: &[&str]) -> Hearing {
        let mut hearing = Hearing::default();
        lines.iter().for_each(|line| hearing.hear(line));
        hearing
    }

    const FIRST: &[&str] = &[
        "@guest\tbooted\t6.1.0\t2.00",
        "@guest\tloads\tl2",
        "@guest\ttests\tpacket",
        "running 2 tests",
        "test a ... ok <0.250s>",
        "test b ... FAILED <12.500s>",
        "",
        "failures:",
        "",
        "---- b stdout ----",
        "thread panicked",
        "",
        "failures:",
        "    b",
        "test result: FAILED. 1 passed; 1 failed; 0 ignored;",
        "@guest\tskipped\tpacket::a\tneeds that",
    ];

    #[test]
    fn tests_are_counted_under_their_binary() {
        let mut hearing = hear(FIRST);
        hearing.end(&plan(), End::Verdict(Verdict::Bad));
        assert_eq!(hearing.tally.closing_line(), "0 passed, 1 failed, 1 skipped");
        assert_eq!(hearing.tally.failed, ["packet::b"]);
        assert!(hearing.failures.contains("thread panicked"), "{}", hearing.failures);
        assert_eq!(hearing.slowest(1), [&("packet::b".to_owned(), 12.5)]);
        assert_eq!(hearing.booted, Some(("6.1.0".into(), 2.0)));
    }

    #[test]
    fn what_hangs_is_named_and_what_it_kept_from_running_is_skipped() {
        let mut hearing = hear(FIRST);
        hearing.hear(&format!("@guest\ttests\t{NET}"));
        hearing.hear("test t0 ... ok");
        hearing.end(&plan(), End::Silent);
        let tally = &hearing.tally;
        assert_eq!(tally.failed.len(), 1 + plan::threads(NET), "{:?}", tally.failed);
        assert!(tally.failed[1].starts_with("net_some::t1: not finished"));
        let skipped: Vec<&str> = tally.skipped.iter().map(|skip| skip.name.as_str()).collect();
        assert_eq!(skipped, ["packet::a", "net_some::t5", "net_more::c"]);
        assert_eq!(tally.ran(), 6);
    }

    #[test]
    fn a_machine_that_never_began_ran_nothing() {
        let mut hearing = hear(&[]);
        hearing.end(&plan(), End::Lost);
        assert!(!hearing.tally.is_good());
        assert_eq!(hearing.tally.skipped.len(), 2 + 6 + 1);
    }
}
