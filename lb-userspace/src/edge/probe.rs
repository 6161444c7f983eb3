//! Checks the backends: a task for each, all in the caller's runtime, none with a thread of its own.
//!
//! # Layout
//!
//! - here: which tasks run, when they check, what they report
//! - [`check`]: one check

pub mod check;
mod random;

use std::collections::HashMap;
use std::net::IpAddr;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::core::health::HealthState;
use crate::core::model::{Check, CheckKind};
use crate::core::observed::{CheckCode, CheckReport, Health};
use random::Random;

/// First checks are spread over this time at most, however long the interval.
const SPREAD_MAX: Duration = Duration::from_millis(100);

/// What to check, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeTarget {
    pub service: String,
    pub backend: String,
    /// Comes back in every [`CheckReport`].
    pub generation: u64,
    pub address: IpAddr,
    /// Of the backend; the check may have another one.
    pub port: u16,
    pub check: Check,
    /// What is known before the first check. Not looked at when a target is set again.
    pub initial: Health,
}

impl ProbeTarget {
    /// The port that is checked.
    fn check_port(&self) -> u16 {
        self.check.port.unwrap_or(self.port)
    }

    /// Whether a task for `self` does what one for `other` would.
    fn same_task(&self, other: &Self) -> bool {
        let Self {
            service,
            backend,
            generation,
            address,
            port,
            check,
            initial: _,
        } = self;
        (service, backend, generation, address, port, check)
            == (
                &other.service,
                &other.backend,
                &other.generation,
                &other.address,
                &other.port,
                &other.check,
            )
    }
}

/// Runs the checks. Dropping it ends them.
pub struct Prober {
    reports: mpsc::Sender<CheckReport>,
    /// By service and backend.
    running: HashMap<(String, String), Running>,
}

impl Prober {
    /// Sends a report after each check.
    pub fn new(reports: mpsc::Sender<CheckReport>) -> Self {
        Self {
            reports,
            running: HashMap::new(),
        }
    }

    /// Makes `targets` what is checked. A target that is already checked in just this way goes on undisturbed; a new one
    /// is checked at once. One whose check or generation changed starts anew from the health it had. A target whose check
    /// is [`CheckKind::None`] has no task and sends no reports.
    ///
    /// Must be called within a tokio runtime.
    pub fn set(&mut self, targets: Vec<ProbeTarget>) {
        let mut before = std::mem::take(&mut self.running);
        for mut target in targets
            .into_iter()
            .filter(|target| target.check.kind != CheckKind::None)
        {
            let key = (target.service.clone(), target.backend.clone());
            let running = match before.remove(&key) {
                Some(running) if running.target.same_task(&target) => running,
                Some(running) => {
                    if running.target.address == target.address {
                        target.initial = *running.health.borrow();
                    }
                    Running::start(target, self.reports.clone())
                }
                None => Running::start(target, self.reports.clone()),
            };
            self.running.insert(key, running);
        }
    }
}

/// Lets this process open as many files as the system allows it to, and says how many that is. A check in flight is an
/// open file, and the usual soft limit of 1,024 is less than a large pool needs when all of it hangs.
pub fn raise_file_limit() -> std::io::Result<Option<u64>> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.current)
}

/// A task, ended when this is dropped.
struct Running {
    target: ProbeTarget,
    health: watch::Receiver<Health>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(target: ProbeTarget, reports: mpsc::Sender<CheckReport>) -> Self {
        let (health_tx, health) = watch::channel(target.initial);
        let task = tokio::spawn(run(target.clone(), health_tx, reports));
        Self { target, health, task }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Checks one target until it is stopped or nobody listens any more.
async fn run(target: ProbeTarget, health: watch::Sender<Health>, reports: mpsc::Sender<CheckReport>) {
    let check = &target.check;
    let mut random = Random::new();
    let mut state = HealthState::new(target.initial);
    sleep(check.interval.min(SPREAD_MAX).mul_f64(check.jitter * random.next())).await;
    loop {
        let started = Instant::now();
        let result = check::run(target.address, target.check_port(), check).await;
        // What went wrong on this side says nothing about the backend.
        if result.code != CheckCode::SOCKERR {
            state.on_result(result.code.good(), check.rise, check.fall);
            health.send_replace(state.health());
        }
        let report = CheckReport {
            service: target.service.clone(),
            backend: target.backend.clone(),
            generation: target.generation,
            health: state.health(),
            result,
        };
        if reports.send(report).await.is_err() {
            return;
        }
        sleep_until(started + state.next_delay(check, random.next())).await;
    }
}

#[cfg(test)]
mod tests;
