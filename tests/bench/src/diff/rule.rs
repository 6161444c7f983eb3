//! When a figure has become worse.

use crate::report::{Better, Figure};

/// A difference of the medians counts when it is more than this many of its standard errors,
pub const ERRORS: f64 = 4.0;
/// and more than this share of the median before: that much differs from build to build.
pub const LEAST: f64 = 0.03;

/// The standard error of a median of n samples, in half distances of their quartiles over √n: 1.2533 standard deviations, of which a half
/// distance is 0.6745. Of the normal distribution; of one with longer tails the quartiles say more than the deviation does.
const ERROR_OF_MEDIAN: f64 = 1.858;

/// What a figure is compared as a multiple of, if it is one both times, the first of them: what does not change when `lb` does.
/// A machine's speed, which drifts, is not in such a multiple.
pub const BASES: [&str; 3] = ["floor", "direct", "paper"];

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Worse,
    Better,
    /// The difference is within noise, or the figure is one that is only said.
    Same,
}

/// A figure, before and after.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    pub name: &'a str,
    /// `× floor`, or the unit.
    pub by: String,
    pub before: f64,
    pub after: f64,
    /// The difference as a share of `before`.
    pub share: f64,
    /// The share that it has to exceed.
    pub noise: f64,
    pub verdict: Verdict,
}

/// Compares two figures of the same name.
pub fn compare<'a>(before: &'a Figure, after: &Figure) -> Change<'a> {
    let of_base = BASES.iter().find_map(|base| {
        let by = format!("× {base}");
        Some((by, multiple(before, base)?, multiple(after, base)?))
    });
    let (by, one, other) = of_base.unwrap_or_else(|| (before.unit.clone(), absolute(before), absolute(after)));
    let share = share(other.median - one.median, one.median);
    let noise = self::share(ERRORS * one.error.hypot(other.error), one.median).max(LEAST);
    let is_beyond = share.abs() > noise;
    let verdict = match after.better {
        Better::Less if is_beyond && share > 0.0 => Verdict::Worse,
        Better::More if is_beyond && share < 0.0 => Verdict::Worse,
        Better::Less | Better::More if is_beyond => Verdict::Better,
        Better::Less | Better::More | Better::Neither => Verdict::Same,
    };
    Change {
        name: &before.name,
        by,
        before: one.median,
        after: other.median,
        share,
        noise,
        verdict,
    }
}

/// A median and its standard error.
struct Measured {
    median: f64,
    error: f64,
}

impl Measured {
    /// From half the distance of the quartiles.
    fn new(median: f64, half_quartiles: f64, samples: usize) -> Self {
        Self {
            median,
            error: ERROR_OF_MEDIAN * half_quartiles / (samples.max(1) as f64).sqrt(),
        }
    }
}

fn absolute(figure: &Figure) -> Measured {
    let half_quartiles = figure.spread * figure.median.abs();
    Measured::new(figure.median, half_quartiles, figure.samples)
}

fn multiple(figure: &Figure, base: &str) -> Option<Measured> {
    let ratio = figure.ratios.iter().find(|ratio| ratio.to == base)?;
    Some(Measured::new(ratio.median, ratio.spread, figure.samples))
}

/// A part of a whole that may be nothing.
fn share(part: f64, whole: f64) -> f64 {
    if part == 0.0 { 0.0 } else { part / whole.abs() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Ratio;

    fn figure(median: f64, spread: f64, better: Better) -> Figure {
        Figure {
            name: "a/b".into(),
            unit: "ns".into(),
            better,
            min: median,
            median,
            spread,
            samples: 9,
            ratios: Vec::new(),
        }
    }

    fn with_ratio(mut figure: Figure, to: &str, median: f64, spread: f64) -> Figure {
        let to = to.into();
        figure.ratios.push(Ratio { to, median, spread });
        figure
    }

    fn verdict(before: &Figure, after: &Figure) -> Verdict {
        compare(before, after).verdict
    }

    #[test]
    fn worse_is_what_goes_the_wrong_way() {
        use Better::{Less, More, Neither};
        for (better, after, wanted) in [
            (Less, 110.0, Verdict::Worse),
            (Less, 90.0, Verdict::Better),
            (More, 110.0, Verdict::Better),
            (More, 90.0, Verdict::Worse),
            (Neither, 200.0, Verdict::Same),
        ] {
            let found = verdict(&figure(100.0, 0.01, better), &figure(after, 0.01, better));
            assert_eq!(found, wanted, "{better:?} {after}");
        }
    }

    #[test]
    fn noise_is_four_standard_errors_or_three_percent() {
        // Of each 1.858 * 3 / √9, of the difference 2.63, four times is 10.5.
        let before = figure(100.0, 0.03, Better::Less);
        assert_eq!(
            verdict(&before, &figure(110.0, 3.0 / 110.0, Better::Less)),
            Verdict::Same
        );
        assert_eq!(
            verdict(&before, &figure(111.0, 3.0 / 111.0, Better::Less)),
            Verdict::Worse
        );
        let still = figure(100.0, 0.0, Better::Less);
        assert_eq!(verdict(&still, &figure(102.9, 0.0, Better::Less)), Verdict::Same);
        assert_eq!(verdict(&still, &figure(103.1, 0.0, Better::Less)), Verdict::Worse);
    }

    #[test]
    fn fewer_samples_say_less() {
        let few = |median| Figure {
            samples: 3,
            ..figure(median, 3.0 / median, Better::Less)
        };
        assert_eq!(verdict(&few(100.0), &few(115.0)), Verdict::Same);
        assert_eq!(
            verdict(&figure(100.0, 0.03, Better::Less), &figure(115.0, 0.03, Better::Less)),
            Verdict::Worse
        );
    }

    #[test]
    fn a_multiple_of_the_floor_decides_where_both_have_it() {
        let before = with_ratio(figure(100.0, 0.01, Better::Less), "floor", 1.5, 0.01);
        let slower_machine = with_ratio(figure(200.0, 0.01, Better::Less), "floor", 1.5, 0.01);
        let change = compare(&before, &slower_machine);
        assert_eq!((change.by.as_str(), change.verdict), ("× floor", Verdict::Same));
        let worse = with_ratio(figure(100.0, 0.01, Better::Less), "floor", 1.7, 0.01);
        assert_eq!(verdict(&before, &worse), Verdict::Worse);
        let without = figure(200.0, 0.01, Better::Less);
        let change = compare(&before, &without);
        assert_eq!((change.by.as_str(), change.verdict), ("ns", Verdict::Worse));
    }

    #[test]
    fn a_multiple_of_what_is_our_own_does_not_decide() {
        let before = with_ratio(figure(100.0, 0.0, Better::Less), "1 flow", 2.0, 0.0);
        let after = with_ratio(figure(150.0, 0.0, Better::Less), "1 flow", 2.0, 0.0);
        assert_eq!(verdict(&before, &after), Verdict::Worse);
    }

    #[test]
    fn nothing_before_is_no_trouble() {
        let nothing = figure(0.0, 0.0, Better::Less);
        assert_eq!(verdict(&nothing, &nothing), Verdict::Same);
        assert_eq!(verdict(&nothing, &figure(1.0, 0.0, Better::Less)), Verdict::Worse);
        let below = figure(-10.0, 0.0, Better::Less);
        assert_eq!(verdict(&below, &figure(-5.0, 0.0, Better::Less)), Verdict::Worse);
    }
}
