//! Connections over which data goes all the time, to see that nothing breaks them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow, ensure};
use lb_lab::client::Held;
use lb_lab::wait_until;

use super::PATIENCE;

/// Exchanges over many connections, round after round. It stops when this is dropped.
pub struct Conversation {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct Shared {
    rounds: AtomicU64,
    is_over: AtomicBool,
}

impl Conversation {
    /// Starts to exchange over these connections.
    pub fn over(held: Held) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = Some(std::thread::spawn(move || theirs.converse(held)));
        Self { shared, thread }
    }

    /// Rounds so far: in each of them every connection carried a request and its answer.
    pub fn rounds(&self) -> u64 {
        self.shared.rounds.load(Ordering::Relaxed)
    }

    /// Waits for so many whole rounds that begin from now on.
    pub fn wait_for_rounds(&self, rounds: u64) -> Result<()> {
        // The one that is under way began before.
        let goal = self.rounds() + rounds + 1;
        wait_until(&format!("{rounds} more rounds are through"), PATIENCE, || {
            ensure!(
                !self.is_broken(),
                "the conversation broke in round {}",
                self.rounds() + 1
            );
            Ok((self.rounds() >= goal).then_some(()))
        })
    }

    fn is_broken(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Ends it after the round that is under way; fails if a connection broke in any round.
    pub fn finish(mut self) -> Result<u64> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it has ended already")?;
        thread
            .join()
            .map_err(|_| anyhow!("the conversation's thread panicked"))??;
        Ok(self.rounds())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn converse(&self, mut held: Held) -> Result<()> {
        let mut servers = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let round = self.rounds.load(Ordering::Relaxed) + 1;
            let answers =
                held.exchange().into_iter().enumerate().map(|(number, answer)| {
                    answer.with_context(|| format!("connection {number} broke in round {round}"))
                });
            let answers: Vec<String> = answers.collect::<Result<_>>()?;
            if servers.is_empty() {
                servers.clone_from(&answers);
            }
            ensure!(
                answers == servers,
                "in round {round} other servers answered than in the first"
            );
            self.rounds.store(round, Ordering::Relaxed);
        }
        Ok(())
    }
}
