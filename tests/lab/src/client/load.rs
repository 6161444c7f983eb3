//! Many requests.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::{LoadReport, Sample, http};
use crate::interrupt;
use crate::netns::Netns;

/// What to send.
#[derive(Debug, Clone)]
pub struct Load {
    url: String,
    requests: usize,
    connections: usize,
    pause: Duration,
    patience: Duration,
}

impl Load {
    /// Requests for `url`, one at a time and without end.
    pub fn of(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            requests: usize::MAX,
            connections: 1,
            pause: Duration::ZERO,
            patience: http::patience_under_load(),
        }
    }

    /// How many in all.
    pub fn requests(self, requests: usize) -> Self {
        Self { requests, ..self }
    }

    /// How many at a time, each on a connection of its own.
    pub fn connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// How long each of them rests after an answer.
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// How long a request may take; whole seconds.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(super) fn has_end(&self) -> bool {
        self.requests != usize::MAX
    }
}

/// Requests that are being sent. They stop when this is dropped.
pub struct RunningLoad {
    started: Instant,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

struct Shared {
    load: Load,
    left: AtomicUsize,
    is_over: AtomicBool,
    samples: Mutex<Vec<Sample>>,
}

impl RunningLoad {
    pub(super) fn start(netns: &Netns, load: &Load) -> Result<Self> {
        let shared = Arc::new(Shared {
            load: load.clone(),
            left: AtomicUsize::new(load.requests),
            is_over: AtomicBool::new(false),
            samples: Mutex::default(),
        });
        let (started, threads) = (Instant::now(), Vec::new());
        let mut running = Self {
            started,
            shared,
            threads,
        };
        for _ in 0..load.connections {
            let shared = Arc::clone(&running.shared);
            let thread = netns.spawn(move || shared.send_requests(started))?;
            running.threads.push(thread);
        }
        Ok(running)
    }

    /// What came out so far.
    pub fn so_far(&self) -> LoadReport {
        LoadReport {
            started: self.started,
            took: self.started.elapsed(),
            samples: self.shared.samples().clone(),
        }
    }

    /// Stops after the requests that are under way.
    pub fn stop(self) -> Result<LoadReport> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Waits until all is sent and answered.
    pub fn finish(mut self) -> Result<LoadReport> {
        for thread in std::mem::take(&mut self.threads) {
            thread.join().map_err(|_| anyhow!("a client thread panicked"))??;
        }
        interrupt::check()?;
        Ok(self.so_far())
    }
}

impl Drop for RunningLoad {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn send_requests(&self, started: Instant) {
        while !self.is_over() && self.take_one() {
            let at = started.elapsed();
            let outcome = http::get(&self.load.url, self.load.patience);
            let took = started.elapsed() - at;
            self.samples().push(Sample { at, took, outcome });
            if !self.load.pause.is_zero() {
                std::thread::sleep(self.load.pause);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) || interrupt::check().is_err()
    }

    fn take_one(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.left.fetch_update(set, fetch, one_less).is_ok()
    }

    fn samples(&self) -> std::sync::MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
