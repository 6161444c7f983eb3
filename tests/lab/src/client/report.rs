//! What came of many requests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When it was sent, since the start of the load.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// The server that answered, or what went wrong.
    pub outcome: Result<String, String>,
}

/// Many requests.
#[derive(Debug, Clone)]
pub struct LoadReport {
    pub started: Instant,
    pub took: Duration,
    pub samples: Vec<Sample>,
}

impl LoadReport {
    /// How many requests each server answered.
    pub fn per_server(&self) -> BTreeMap<&str, usize> {
        let mut per_server = BTreeMap::new();
        for server in self.samples.iter().filter_map(|s| s.outcome.as_ref().ok()) {
            *per_server.entry(server.as_str()).or_default() += 1;
        }
        per_server
    }

    /// The requests that failed.
    pub fn failures(&self) -> Vec<&Sample> {
        let failed = self.samples.iter().filter(|s| s.outcome.is_err());
        failed.collect()
    }

    /// How often requests failed by what went wrong.
    pub fn failures_by_text(&self) -> BTreeMap<&str, usize> {
        let mut by_text = BTreeMap::new();
        for text in self.samples.iter().filter_map(|s| s.outcome.as_ref().err()) {
            *by_text.entry(text.as_str()).or_default() += 1;
        }
        by_text
    }

    /// How long after `moment` the last request was sent that failed.
    pub fn last_failure_after(&self, moment: Instant) -> Option<Duration> {
        let failed = self.samples.iter().filter(|s| s.outcome.is_err());
        let sent = failed.map(|s| self.started + s.at).max()?;
        sent.checked_duration_since(moment)
    }

    /// The longest that a request took.
    pub fn slowest(&self) -> Duration {
        self.samples.iter().map(|s| s.took).max().unwrap_or_default()
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.samples.len() as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: u64, outcome: Result<&str, &str>) -> Sample {
        Sample {
            at: Duration::from_millis(at_ms),
            took: Duration::from_millis(1),
            outcome: outcome.map(str::to_owned).map_err(str::to_owned),
        }
    }

    #[test]
    fn a_report_counts() {
        let started = Instant::now();
        let report = LoadReport {
            started,
            took: Duration::from_secs(2),
            samples: vec![
                sample(0, Ok("server-1")),
                sample(10, Ok("server-2")),
                sample(20, Err("refused")),
                sample(700, Err("refused")),
                sample(800, Ok("server-2")),
            ],
        };
        let spread: Vec<_> = report.per_server().into_iter().collect();
        assert_eq!(spread, [("server-1", 1), ("server-2", 2)]);
        assert_eq!(report.failures().len(), 2);
        assert_eq!(report.failures_by_text()["refused"], 2);
        let killed = started + Duration::from_millis(200);
        let last = report.last_failure_after(killed);
        assert_eq!(last, Some(Duration::from_millis(500)));
        let later = started + Duration::from_secs(1);
        assert_eq!(report.last_failure_after(later), None);
        assert!((report.rate() - 2.5).abs() < 0.01);
        assert_eq!(report.slowest(), Duration::from_millis(1));
    }
}
