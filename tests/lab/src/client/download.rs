//! A long download, compared byte for byte as it comes in.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::http;
use crate::interrupt;
use crate::netns::Netns;
use crate::pattern::{Checker, Pace};

/// How long a download may take beyond what its rate demands.
const PATIENCE_S: u64 = 60;

/// A download that is under way.
pub struct RunningDownload {
    received: Arc<AtomicU64>,
    thread: JoinHandle<Result<Result<Duration>>>,
}

impl RunningDownload {
    pub(super) fn start(netns: &Netns, url: &str, bytes: u64, bytes_per_s: Option<u64>) -> Result<Self> {
        let received = Arc::new(AtomicU64::new(0));
        let (seen, url) = (Arc::clone(&received), url.to_owned());
        let thread = netns.spawn(move || {
            let done = download(&url, bytes, bytes_per_s, &seen);
            done.with_context(|| format!("downloading {url}"))
        })?;
        Ok(Self { received, thread })
    }

    /// How many bytes came in, all of them right.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether it has come to its end, good or bad.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end; how long it took, when every byte was right and none was missing.
    pub fn finish(self) -> Result<Duration> {
        let done = self.thread.join();
        done.map_err(|_| anyhow!("the download's thread panicked"))??
    }
}

fn download(url: &str, bytes: u64, bytes_per_s: Option<u64>, received: &AtomicU64) -> Result<Duration> {
    let started = Instant::now();
    let patience_s = PATIENCE_S + bytes_per_s.map_or(0, |rate| bytes / rate.max(1));
    let response = http::agent(Duration::from_secs(patience_s)).get(url).call()?;
    let status = response.status();
    ensure!(status == 200, "HTTP status {status}");
    let mut body = response.into_body().into_reader();
    let mut pace = Pace::new(bytes_per_s);
    let mut checker = Checker::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        interrupt::check()?;
        let length = body
            .read(&mut buffer)
            .with_context(|| format!("broke off after {} of {bytes} bytes", checker.received()))?;
        if length == 0 {
            break;
        }
        let is_right = checker.take(&buffer[..length]);
        ensure!(is_right, "wrong content after {} bytes", checker.received());
        received.store(checker.received(), Ordering::Relaxed);
        pace.wait_after(length);
    }
    let got = checker.received();
    ensure!(got == bytes, "ended after {got} of {bytes} bytes");
    Ok(started.elapsed())
}
