//! `bench diff`: what has changed between two reports, beyond noise.
//!
//! # Layout
//!
//! - here: what is compared, and how it is said
//! - [`rule`]: when a figure has become worse

mod rule;

use std::path::Path;

use anyhow::{Result, ensure};

use crate::report::document::Found;
use crate::report::{Figure, Table, number};
use rule::{BASES, Change, ERRORS, LEAST, Verdict};

/// Compares two files and prints what differs; true when something has become worse.
///
/// # Errors
///
/// A file that cannot be read, or two that have no figure in common.
pub fn run(before: &Path, after: &Path) -> Result<bool> {
    let (before, after) = (Found::read(before)?, Found::read(after)?);
    let difference = Difference::between(&before, &after);
    ensure!(
        !difference.changes.is_empty(),
        "no figure is in both, so there is nothing to compare"
    );
    print!("{}", difference.text(&before, &after));
    Ok(difference.is_worse())
}

/// All that differs.
struct Difference<'a> {
    /// Figures that are in both, those that changed most first.
    changes: Vec<Change<'a>>,
    new: Vec<&'a Figure>,
    gone: Vec<&'a Figure>,
}

impl<'a> Difference<'a> {
    fn between(before: &'a Found, after: &'a Found) -> Self {
        let is_same = |one: &Figure, other: &Figure| one.name == other.name && one.unit == other.unit;
        let in_neither = |figures: &'a [Figure], others: &[Figure]| -> Vec<&'a Figure> {
            let is_lone = |figure: &&Figure| !others.iter().any(|other| is_same(figure, other));
            figures.iter().filter(is_lone).collect()
        };
        let mut changes: Vec<Change> = before
            .figures
            .iter()
            .filter_map(|figure| {
                let now = after.figures.iter().find(|now| is_same(figure, now))?;
                Some(rule::compare(figure, now))
            })
            .collect();
        changes.sort_by(|one, other| other.share.abs().total_cmp(&one.share.abs()));
        Self {
            changes,
            new: in_neither(&after.figures, &before.figures),
            gone: in_neither(&before.figures, &after.figures),
        }
    }

    fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Change<'a>> {
        self.changes.iter().filter(move |change| change.verdict == verdict)
    }

    fn is_worse(&self) -> bool {
        self.with(Verdict::Worse).next().is_some()
    }

    fn text(&self, before: &Found, after: &Found) -> String {
        let mut parts: Vec<String> = doubts(before, after);
        for (title, verdict) in [("worse", Verdict::Worse), ("better", Verdict::Better)] {
            let rows: Vec<Vec<String>> = self.with(verdict).map(row).collect();
            if !rows.is_empty() {
                parts.push(table(title, rows).to_string());
            }
        }
        for (title, figures) in [("new", &self.new), ("gone", &self.gone)] {
            if !figures.is_empty() {
                parts.push(names(title, figures));
            }
        }
        let reasons = after.skipped.iter().filter(|reason| !before.skipped.contains(reason));
        let reasons: Vec<String> = reasons
            .map(|reason| format!("no longer measured: {reason}\n"))
            .collect();
        if !reasons.is_empty() {
            parts.push(reasons.concat());
        }
        parts.push(self.closing_lines());
        parts.join("\n")
    }

    fn closing_lines(&self) -> String {
        let count = |verdict| self.with(verdict).count();
        format!(
            "{} worse, {} better, {} as before; {} new, {} gone\n\
             (beyond noise: by more than {ERRORS} standard errors of the medians' difference, and {}; by the multiple of the first of {} that both have)\n",
            count(Verdict::Worse),
            count(Verdict::Better),
            count(Verdict::Same),
            self.new.len(),
            self.gone.len(),
            number::percent(LEAST),
            BASES.join(", "),
        )
    }
}

/// Why the two cannot well be compared.
fn doubts(before: &Found, after: &Found) -> Vec<String> {
    let (Some((extent, machine)), Some((other_extent, other_machine))) = (&before.from, &after.from) else {
        return Vec::new();
    };
    let mut doubts = Vec::new();
    if extent != other_extent {
        doubts.push(format!("note: the extents differ: {extent}, then {other_extent}\n"));
    }
    let differences = machine.differences(other_machine);
    if !differences.is_empty() {
        doubts.push(format!(
            "note: absolute figures say little, the machines differ:\n  {}\n",
            differences.join("\n  ")
        ));
    }
    doubts
}

fn row(change: &Change) -> Vec<String> {
    vec![
        change.name.to_owned(),
        change.by.clone(),
        number::plain(change.before),
        number::plain(change.after),
        format!("{:+.1} %", change.share * 100.0),
        number::percent(change.noise),
    ]
}

fn table(title: &str, rows: Vec<Vec<String>>) -> Table {
    Table {
        title: title.into(),
        columns: ["figure", "by", "before", "after", "change", "noise"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    }
}

fn names(title: &str, figures: &[&Figure]) -> String {
    let line = |figure: &&Figure| {
        format!(
            "  {}  {}\n",
            figure.name,
            number::with_unit(figure.median, &figure.unit)
        )
    };
    let lines: String = figures.iter().map(line).collect();
    format!("{title}\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Extent;
    use crate::measure::Samples;
    use crate::report::Better;
    use crate::report::machine::Machine;

    fn found(figures: &[(&str, f64)]) -> Found {
        let figure = |(name, value): &(&str, f64)| {
            let samples: Samples = [*value; 3].into_iter().collect();
            Figure::new(*name, "ns", Better::Less, &samples)
        };
        Found {
            figures: figures.iter().map(figure).collect(),
            skipped: Vec::new(),
            from: None,
        }
    }

    #[test]
    fn the_worst_comes_first_and_all_is_counted() {
        let before = found(&[("a", 10.0), ("b", 10.0), ("c", 10.0), ("d", 10.0), ("e", 10.0)]);
        let after = found(&[("a", 11.0), ("b", 30.0), ("c", 5.0), ("d", 10.1), ("f", 1.0)]);
        let difference = Difference::between(&before, &after);
        assert!(difference.is_worse());
        let text = difference.text(&before, &after);
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in:\n{text}"));
        let order = [
            "worse\n",
            "\n  b  ",
            "\n  a  ",
            "better\n",
            "\n  c  ",
            "new\n  f  ",
            "gone\n  e  ",
        ]
        .map(place);
        assert!(order.is_sorted(), "{text}");
        assert!(text.contains("+200.0 %"), "{text}");
        assert!(text.contains("2 worse, 1 better, 1 as before; 1 new, 1 gone"), "{text}");
    }

    #[test]
    fn the_same_twice_is_not_worse() {
        let before = found(&[("a", 10.0), ("b", 0.0)]);
        let difference = Difference::between(&before, &before);
        assert!(!difference.is_worse());
        assert!(
            difference
                .text(&before, &before)
                .starts_with("0 worse, 0 better, 2 as before")
        );
    }

    #[test]
    fn another_unit_is_another_figure() {
        let (before, mut after) = (found(&[("a", 10.0)]), found(&[("a", 10.0)]));
        after.figures[0].unit = "µs".into();
        let difference = Difference::between(&before, &after);
        assert_eq!(
            (difference.changes.len(), difference.new.len(), difference.gone.len()),
            (0, 1, 1)
        );
    }

    #[test]
    fn what_cannot_well_be_compared_is_said() {
        let (mut before, mut after) = (found(&[("a", 10.0)]), found(&[("a", 10.0)]));
        before.from = Some((Extent::Whole, Machine::default()));
        let other = Machine {
            cpus: 64,
            ..Machine::default()
        };
        after.from = Some((Extent::Quick, other));
        after.skipped.push("katran: not here".into());
        let text = Difference::between(&before, &after).text(&before, &after);
        for wanted in [
            "the extents differ: whole, then quick",
            "CPUs: 0, then 64",
            "no longer measured: katran: not here",
        ] {
            assert!(text.contains(wanted), "{text}");
        }
    }
}
