//! An axis of values.

/// Ticks that an axis has, about.
const TICKS: f64 = 5.0;
/// What a logarithmic axis over more decades than this has ticks at: their beginnings alone.
const FEW_DECADES: i32 = 2;

/// From values to shares of the axis's length.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    logarithmic: bool,
    low: f64,
    high: f64,
    /// Where the axis has marks, from the lowest up.
    pub ticks: Vec<f64>,
}

impl Scale {
    /// One on which all these values are, which begins and ends with a tick. A linear one has 0; a logarithmic one does not show what is
    /// not above 0.
    pub fn over(values: impl Iterator<Item = f64>, logarithmic: bool) -> Self {
        let shown = values.filter(|value| value.is_finite() && (!logarithmic || *value > 0.0));
        let values: Vec<f64> = shown.collect();
        let least = values.iter().copied().reduce(f64::min);
        let most = values.iter().copied().reduce(f64::max);
        let ticks = match (logarithmic, least.zip(most)) {
            (false, Some((least, most))) => linear(least.min(0.0), most.max(0.0)),
            (false, None) => linear(0.0, 0.0),
            (true, Some((least, most))) => decades(least, most),
            (true, None) => decades(1.0, 10.0),
        };
        let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
        Self {
            logarithmic,
            low,
            high,
            ticks,
        }
    }

    /// Where on the axis a value is, 0 at its low end; `None` when it is not on it.
    pub fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() || self.logarithmic && value <= 0.0 {
            return None;
        }
        let at = |value: f64| if self.logarithmic { value.log10() } else { value };
        Some((at(value) - at(self.low)) / (at(self.high) - at(self.low)))
    }

    /// Where bars begin.
    pub fn base(&self) -> f64 {
        if self.logarithmic { self.low } else { 0.0 }
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear(least: f64, most: f64) -> Vec<f64> {
    let range = if most > least { most - least } else { 1.0 };
    let step = round_up(range / TICKS);
    let first = (least / step).floor() as i64;
    let last = ((most / step).ceil() as i64).max(first + 1);
    (first..=last).map(|tick| tick as f64 * step).collect()
}

/// The next of 1, 2, 5 or 10 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let of = |times: &f64| times * power >= value * (1.0 - 1e-9);
    [1.0, 2.0, 5.0].into_iter().find(of).unwrap_or(10.0) * power
}

/// Powers of ten; over few of them also 2 and 5 times these.
fn decades(least: f64, most: f64) -> Vec<f64> {
    let first = (least.log10() + 1e-9).floor() as i32;
    let last = ((most.log10() - 1e-9).ceil() as i32).max(first + 1);
    let between: &[f64] = if last - first > FEW_DECADES {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let powers = (first..last).flat_map(|power| between.iter().map(move |times| times * 10f64.powi(power)));
    let mut ticks: Vec<f64> = powers.chain([10f64.powi(last)]).collect();
    let above = |tick: &f64| *tick <= least * (1.0 + 1e-9);
    // No more of the axis than the values need.
    let low = ticks.iter().rposition(above).unwrap_or(0);
    let high = ticks.iter().position(|tick| *tick >= most * (1.0 - 1e-9));
    let high = high.unwrap_or(ticks.len() - 1).max(low + 1);
    ticks.truncate(high + 1);
    ticks.split_off(low.min(ticks.len() - 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(values: &[f64], logarithmic: bool) -> Vec<f64> {
        Scale::over(values.iter().copied(), logarithmic).ticks
    }

    #[test]
    fn a_linear_axis_has_round_ticks_and_zero() {
        assert_eq!(ticks(&[37.0, 180.0], false), [0.0, 50.0, 100.0, 150.0, 200.0]);
        assert_eq!(ticks(&[1.0], false).len(), 6);
        assert_eq!(
            ticks(&[-12.0, 31.0], false),
            [-20.0, -10.0, 0.0, 10.0, 20.0, 30.0, 40.0]
        );
        assert_eq!(ticks(&[-7.0, -3.0], false).last(), Some(&0.0));
        assert_eq!(ticks(&[], false)[0], 0.0);
        assert_eq!(ticks(&[0.0], false)[0], 0.0);
    }

    #[test]
    fn a_logarithmic_axis_has_decades() {
        assert_eq!(ticks(&[3.0, 4e4], true), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5]);
        assert_eq!(ticks(&[30.0, 400.0], true), [20.0, 50.0, 100.0, 200.0, 500.0]);
        assert_eq!(ticks(&[100.0], true).len(), 2);
        assert_eq!(ticks(&[0.0, -1.0], true).len(), 4);
    }

    #[test]
    fn values_lie_between_the_ends() {
        for logarithmic in [false, true] {
            for values in [
                vec![1.0, 7.0],
                vec![0.02, 450.0],
                vec![999.0, 1001.0],
                vec![1e9],
                vec![3e-7],
            ] {
                let scale = Scale::over(values.iter().copied(), logarithmic);
                for value in values.iter().chain(&scale.ticks) {
                    let place = scale.place(*value).unwrap();
                    assert!((-1e-6..=1.0 + 1e-6).contains(&place), "{value} at {place} of {scale:?}");
                }
            }
        }
    }

    #[test]
    fn some_values_are_on_no_axis() {
        let linear = Scale::over([1.0, f64::NAN, f64::INFINITY].into_iter(), false);
        assert_eq!((linear.place(f64::NAN), linear.place(-1.0).is_some()), (None, true));
        let logarithmic = Scale::over([1.0, 0.0].into_iter(), true);
        assert_eq!(logarithmic.place(0.0), None);
    }
}
