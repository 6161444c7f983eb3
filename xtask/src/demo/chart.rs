//! Bars and lines of time for the terminal.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lb_lab::LoadReport;

const BAR_WIDTH: usize = 40;

/// A bar for each name, the longest of full width.
pub fn bars(counts: &BTreeMap<&str, usize>) -> Vec<String> {
    let sum: usize = counts.values().sum();
    let most = counts.values().copied().max().unwrap_or(0).max(1);
    let name_width = counts.keys().map(|name| name.len()).max().unwrap_or(0);
    let bar = |(name, count): (&&str, &usize)| {
        let bar = "#".repeat((count * BAR_WIDTH).div_ceil(most));
        let percent = 100.0 * *count as f64 / sum.max(1) as f64;
        format!("{name:name_width$}  {bar:BAR_WIDTH$}  {count:5}  {percent:4.1} %")
    };
    counts.iter().map(bar).collect()
}

/// A character for each `step` of a load: `.` all was well, `x` something failed, ` ` nothing was sent; and `|` where
/// one of the `events` happened.
pub fn timeline(report: &LoadReport, events: &[Instant], step: Duration) -> String {
    let cell_of = |at: Duration| usize::try_from(at.as_millis() / step.as_millis().max(1)).unwrap_or(0);
    let mut cells: Vec<char> = Vec::new();
    for sample in &report.samples {
        let cell = cell_of(sample.at);
        if cells.len() <= cell {
            cells.resize(cell + 1, ' ');
        }
        let mark = if sample.outcome.is_ok() { '.' } else { 'x' };
        cells[cell] = cells[cell].max(mark);
    }
    let since_start = |event: &Instant| event.saturating_duration_since(report.started);
    let mut bars: Vec<usize> = events.iter().map(|event| cell_of(since_start(event))).collect();
    // From the last on: one that is put in moves what is behind it.
    bars.sort_unstable();
    for bar in bars.into_iter().rev() {
        cells.insert(bar.min(cells.len()), '|');
    }
    cells.into_iter().collect()
}

/// A count with its thousands set apart.
pub fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_lab::client::Sample;

    #[test]
    fn bars_are_to_scale() {
        let counts = BTreeMap::from([("server-1", 100), ("server-2", 50), ("s3", 0)]);
        let bars = bars(&counts);
        let hashes = |n: usize| bars[n].matches('#').count();
        assert_eq!((hashes(0), hashes(1), hashes(2)), (0, BAR_WIDTH, BAR_WIDTH / 2));
        assert!(bars[1].ends_with("100  66.7 %"), "{}", bars[1]);
        let widths = bars.iter().map(String::len);
        assert!(widths.into_iter().all(|width| width == bars[0].len()));
    }

    #[test]
    fn a_timeline_shows_when_requests_failed() {
        let started = Instant::now();
        let sample = |at_ms, is_good: bool| Sample {
            at: Duration::from_millis(at_ms),
            took: Duration::ZERO,
            outcome: is_good.then(String::new).ok_or_else(String::new),
        };
        let report = LoadReport {
            started,
            took: Duration::from_millis(600),
            samples: vec![
                sample(10, true),
                sample(110, true),
                sample(210, false),
                sample(220, true),
                sample(410, true),
            ],
        };
        let events = [205, 450].map(|ms| started + Duration::from_millis(ms));
        let line = timeline(&report, &events, Duration::from_millis(100));
        assert_eq!(line, "..|x |.");
    }

    #[test]
    fn thousands_are_set_apart() {
        let texts = [0, 999, 1000, 67_108_864].map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "67,108,864"]);
    }
}
