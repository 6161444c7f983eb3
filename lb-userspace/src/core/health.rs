//! From the results of checks to the health of a backend, and when to check next.
//!
//! - From [`Health::Unknown`] the first result decides, whatever `rise` and `fall` say: one success brings the backend up,
//!   one failure down. A new backend serves after its first good check, and a dead one is never trusted.
//! - From then on it takes `rise` successes in a row to come up and `fall` failures in a row to go down; a result that
//!   agrees with the health starts the count anew.

use std::time::Duration;

use super::model::Check;
use super::observed::Health;

/// What is remembered of a backend's checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthState {
    health: Health,
    /// Results in a row that contradict `health`.
    contrary: u32,
}

impl HealthState {
    /// Starts from what was known before: [`Health::Unknown`] for a new backend.
    pub fn new(initial: Health) -> Self {
        Self {
            health: initial,
            contrary: 0,
        }
    }

    /// The health as of the last result.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Takes a result; says the new health if it changed. `rise` and `fall` of 0 count as 1.
    pub fn on_result(&mut self, good: bool, rise: u32, fall: u32) -> Option<Health> {
        let (says, needed) = if good { (Health::Up, rise) } else { (Health::Down, fall) };
        if says == self.health {
            self.contrary = 0;
            return None;
        }
        self.contrary = self.contrary.saturating_add(1);
        if self.health != Health::Unknown && self.contrary < needed {
            return None;
        }
        *self = Self::new(says);
        Some(says)
    }

    /// From the start of the last check to the start of the next one: the interval, or the fast one while the health is
    /// not known or the last results contradict it; moved at random by at most half of `jitter` times itself either way,
    /// so that checks of many backends do not run in step.
    ///
    /// `random` is between 0 and 1.
    pub fn next_delay(&self, check: &Check, random: f64) -> Duration {
        let unsettled = self.health == Health::Unknown || self.contrary > 0;
        let interval = if unsettled { check.fast_interval } else { check.interval };
        interval.mul_f64((1.0 + check.jitter * (random - 0.5)).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::CheckKind;
    use super::*;
    use lb_common::flow::mix;

    fn check() -> Check {
        Check {
            kind: CheckKind::Tcp,
            port: None,
            interval: Duration::from_secs(2),
            fast_interval: Duration::from_millis(500),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            jitter: 0.2,
        }
    }

    #[test]
    fn from_unknown_the_first_result_decides() {
        let mut state = HealthState::new(Health::Unknown);
        assert_eq!(state.on_result(true, 5, 5), Some(Health::Up));
        let mut state = HealthState::new(Health::Unknown);
        assert_eq!(state.on_result(false, 5, 5), Some(Health::Down));
    }

    #[test]
    fn it_takes_fall_failures_in_a_row_and_rise_successes() {
        let mut state = HealthState::new(Health::Up);
        let results = [false, false, true, false, false, false, true, false, true, true];
        let transitions: Vec<_> = results.iter().map(|&good| state.on_result(good, 2, 3)).collect();
        let expected = [(5, Health::Down), (9, Health::Up)];
        for (i, transition) in transitions.iter().enumerate() {
            assert_eq!(
                *transition,
                expected.iter().find(|(at, _)| *at == i).map(|(_, health)| *health),
                "result {i}"
            );
        }
    }

    /// Against the rule said in words: the health is what the last run of `rise` successes or `fall` failures says, or the
    /// first result before there was one.
    #[test]
    fn the_health_is_what_the_last_long_enough_run_says() {
        for case in 0u64..500 {
            let (rise, fall) = (1 + (mix(case) % 4) as u32, 1 + (mix(case + 1000) % 4) as u32);
            let mut state = HealthState::new(Health::Unknown);
            let (mut expected, mut run, mut last) = (Health::Unknown, 0, None);
            for step in 0..100 {
                let good = mix(case << 32 | step).is_multiple_of(2);
                run = if last == Some(good) { run + 1 } else { 1 };
                last = Some(good);
                let before = expected;
                if run >= if good { rise } else { fall } || expected == Health::Unknown {
                    expected = if good { Health::Up } else { Health::Down };
                }
                let transition = state.on_result(good, rise, fall);
                assert_eq!(state.health(), expected, "case {case}, step {step}");
                assert_eq!(transition, (before != expected).then_some(expected));
            }
        }
    }

    #[test]
    fn checks_are_fast_while_the_health_is_in_doubt() {
        let (mut state, check) = (HealthState::new(Health::Unknown), check());
        assert_eq!(state.next_delay(&check, 0.5), check.fast_interval);
        state.on_result(true, 2, 3);
        assert_eq!(state.next_delay(&check, 0.5), check.interval);
        state.on_result(false, 2, 3);
        assert_eq!(state.next_delay(&check, 0.5), check.fast_interval);
        state.on_result(true, 2, 3);
        assert_eq!(state.next_delay(&check, 0.5), check.interval);
    }

    #[test]
    fn jitter_moves_the_delay_by_half_of_itself_either_way() {
        let (state, check) = (HealthState::new(Health::Up), check());
        assert_eq!(state.next_delay(&check, 0.0), Duration::from_millis(1800));
        assert_eq!(state.next_delay(&check, 1.0), Duration::from_millis(2200));
        let steady = Check { jitter: 0.0, ..check };
        assert_eq!(state.next_delay(&steady, 0.9), Duration::from_secs(2));
    }
}
