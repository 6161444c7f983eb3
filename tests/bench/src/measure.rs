//! Time, and what is made of samples.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Pid;
use rustix::time::{ClockId, clock_gettime};

/// Samples of one thing, one a round.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Half the distance of the quartiles, as a share of the median.
    pub fn spread(&self) -> f64 {
        self.half_quartiles() / self.median().abs().max(f64::MIN_POSITIVE)
    }

    /// Half the distance of the quartiles.
    pub fn half_quartiles(&self) -> f64 {
        (self.quantile(0.75) - self.quantile(0.25)) / 2.0
    }

    /// The value below which a share of the samples lie, in between where there is none; NaN without samples.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else {
            return f64::NAN;
        };
        let at = share * last as f64;
        let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
        below + (above - below) * at.fract()
    }

    /// The difference to `other`, round by round.
    pub fn less(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    /// The ratio to `other`, round by round.
    pub fn over(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    fn zip(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| combine(*a, *b)).collect())
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(samples: T) -> Self {
        Self(samples.into_iter().collect())
    }
}

/// CPU time that this thread has used.
pub fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Puts this thread on a CPU of its own, in front of everything else that would run there.
///
/// # Errors
///
/// There is no such CPU, or we may not.
pub fn pin(cpu: usize) -> Result<()> {
    pin_thread(None, cpu)
        .with_context(|| format!("cannot run on CPU {cpu} alone, in front of other programs (SCHED_FIFO)"))
}

/// The same for another thread; `None`: this one. Makes two system calls and allocates nothing, so it may come after a fork.
///
/// # Errors
///
/// There is no such CPU, or no such thread, or we may not.
pub fn pin_thread(thread: Option<Pid>, cpu: usize) -> std::io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(thread, &set)?;
    let parameters = libc::sched_param { sched_priority: 1 };
    let id = Pid::as_raw(thread);
    // SAFETY: the parameters outlive the call.
    match unsafe { libc::sched_setscheduler(id, libc::SCHED_FIFO, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// The kernel's grace periods made short, until this is dropped: each call of `BPF_PROG_TEST_RUN` waits for some, and a round that is
/// over sooner compares what was measured closer together.
pub struct ShortGracePeriods {
    before: Option<String>,
}

const RCU_EXPEDITED: &str = "/sys/kernel/rcu_expedited";

impl ShortGracePeriods {
    /// Leaves the kernel as it is where it does not offer that, or not to us: then it only takes longer.
    pub fn new() -> Self {
        let before = std::fs::read_to_string(RCU_EXPEDITED).ok();
        let before = before.filter(|_| std::fs::write(RCU_EXPEDITED, "1").is_ok());
        Self { before }
    }
}

impl Drop for ShortGracePeriods {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // What was written to once can be written to again.
            let _ = std::fs::write(RCU_EXPEDITED, before.trim());
        }
    }
}

/// The last CPU: interrupts and everybody else's work prefer the first.
pub fn last_cpu() -> usize {
    std::thread::available_parallelism().map_or(0, |cpus| cpus.get() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_few_samples() {
        let samples: Samples = [4.0, 1.0, 3.0, 2.0].into_iter().collect();
        assert_eq!((samples.min(), samples.median()), (1.0, 2.5));
        assert_eq!(samples.quantile(0.25), 1.75);
        assert!(Samples::default().median().is_nan());
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let slow: Samples = [20.0, 40.0, 60.0].into_iter().collect();
        let fast: Samples = [10.0, 20.0, 30.0].into_iter().collect();
        let ratios = slow.over(&fast);
        assert_eq!((ratios.median(), ratios.half_quartiles()), (2.0, 0.0));
        assert_eq!(slow.less(&fast).median(), 20.0);
    }

    #[test]
    fn thread_time_goes_on_while_the_thread_works() {
        let before = thread_time();
        let mut sum = 0u64;
        while thread_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(thread_time() > before);
    }
}
