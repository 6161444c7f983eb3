//! Counting what libtest prints.

/// A test that did not run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    pub name: String,
    pub reason: String,
}

impl Skip {
    /// From `name<TAB>reason`.
    pub fn from_line(line: &str) -> Self {
        let (name, reason) = line.split_once('\t').unwrap_or((line, "no reason given"));
        Self {
            name: name.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// What came out.
#[derive(Debug, Default)]
pub struct Tally {
    passed: usize,
    /// The names of those that failed.
    pub failed: Vec<String>,
    pub skipped: Vec<Skip>,
}

impl Tally {
    /// Takes in a line of libtest's output.
    pub fn read_line(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed").unwrap_or(0);
            return;
        }
        let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) else {
            return;
        };
        if outcome == "FAILED" {
            self.failed.push(name.to_owned());
        } else if let Some(reason) = outcome.strip_prefix("ignored") {
            self.skipped.push(Skip {
                name: name.to_owned(),
                reason: match reason.strip_prefix(", ") {
                    Some(reason) => reason.to_owned(),
                    None => "ignored, no reason given".to_owned(),
                },
            });
        }
    }

    /// Takes in what libtest believes to have passed, but was skipped.
    pub fn skip_at_run_time(&mut self, skipped: Vec<Skip>) {
        self.passed = self.passed.saturating_sub(skipped.len());
        self.skipped.extend(skipped);
    }

    /// How many tests did run.
    pub fn ran(&self) -> usize {
        self.passed + self.failed.len()
    }

    /// Whether something ran and nothing failed.
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && self.ran() > 0
    }

    /// The last line of the output.
    pub fn closing_line(&self) -> String {
        let (failed, skipped) = (self.failed.len(), self.skipped.len());
        format!("{} passed, {failed} failed, {skipped} skipped", self.passed)
    }
}

/// The number before `what` in `ok. 3 passed; 0 failed; 1 ignored`.
fn count(counts: &str, what: &str) -> Option<usize> {
    let words: Vec<&str> = counts.split_whitespace().collect();
    let at = words.iter().position(|word| word.trim_end_matches(';') == what)?;
    words.get(at.checked_sub(1)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 4 tests
test core::maglev::tests::even ... ok
test core::maglev::tests::weights ... FAILED
test net::ipip ... ignored, needs a NIC
test net::gue ... ignored
test net::fullnat ... ok

test result: FAILED. 2 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s

running 1 test
test src/lib.rs - flow (line 3) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read_line(line));
        tally
    }

    #[test]
    fn counts_are_summed_over_binaries() {
        let tally = tally(OUTPUT);
        assert_eq!(tally.closing_line(), "3 passed, 1 failed, 2 skipped");
        assert_eq!(tally.failed, ["core::maglev::tests::weights"]);
        assert_eq!(tally.skipped[0].reason, "needs a NIC");
        assert!(!tally.is_good());
    }

    #[test]
    fn a_skip_at_run_time_has_not_passed() {
        let mut tally = tally(OUTPUT);
        tally.skip_at_run_time(vec![Skip::from_line("net::fullnat\tneeds root")]);
        assert_eq!(tally.closing_line(), "2 passed, 1 failed, 3 skipped");
        let skip = tally.skipped.last().unwrap();
        assert_eq!(
            (skip.name.as_str(), skip.reason.as_str()),
            ("net::fullnat", "needs root")
        );
    }

    #[test]
    fn nothing_run_is_not_good() {
        assert!(!tally("").is_good());
        let mut one = tally("test result: ok. 1 passed; 0 failed; 0 ignored;");
        assert!(one.is_good());
        one.skip_at_run_time(vec![Skip::from_line("a\tneeds root")]);
        assert!(!one.is_good());
    }
}
