//! The daemon: the loop that owns everything and makes the kernel look like the desired state.
//!
//! # Layout
//!
//! - `start`: what is there when it starts: the state on disk, the configuration file, the pinned data plane
//! - `owner`: the model with what is observed, and the one who writes the maps
//! - `change`: changes that people make
//! - `events`: what health checks, netlink and the janitor say
//! - `show`: what people are shown
//!
//! One task owns the model. Checks, netlink, the janitor and the API each live in a task or thread of their own and send it
//! messages; nothing is shared.

mod change;
mod events;
mod observations;
mod owner;
mod show;
mod start;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::daemon::Options;
use crate::edge::api;
use crate::edge::dataplane::janitor;
use crate::edge::net::NetWatcher;
use crate::edge::probe::{self, Prober};

/// Messages that wait for the loop, of each kind.
const QUEUE: usize = 1024;

/// Runs until SIGTERM or SIGINT. The data plane goes on without it.
///
/// # Errors
///
/// Whatever keeps it from starting: a state directory or socket in use, a configuration that is not right with no state to
/// fall back to, a data plane that cannot be loaded or adopted, an interface that cannot be attached to.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot wait for signals")?;
    if let Err(error) = probe::raise_file_limit() {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }

    let started = start::start(&options)?;
    let listener = match started.metrics {
        Some(address) => Some(api::bind_metrics(&address.to_string()).await?),
        None => None,
    };
    let (reports, mut checked) = mpsc::channel(QUEUE);
    let (net_events, mut net) = mpsc::channel(QUEUE);
    let (sweeps, mut swept) = mpsc::channel(1);
    let (requests, mut asked) = mpsc::channel(QUEUE);
    let (orders, ordered) = std::sync::mpsc::channel();

    let watcher = NetWatcher::start(net_events)?;
    let (mut owner, socket) = started.into_owner(Prober::new(reports), watcher, orders);
    let view = owner.janitor_view()?;
    janitor::spawn(view, owner.flow_timeouts(), ordered, sweeps).context("cannot start the janitor's thread")?;
    owner.begin(&options.attach).inspect_err(|_| owner.undo())?;

    let api = tokio::spawn(api::serve(socket, requests.clone()));
    let metrics = listener.map(|listener| tokio::spawn(api::serve_metrics(listener, requests)));
    tracing::info!("ready: revision {}", owner.revision());
    loop {
        tokio::select! {
            // Health first: it is what takes a dead server out.
            biased;
            Some(report) = checked.recv() => owner.on_check(report),
            Some(event) = net.recv() => owner.on_net(event),
            Some(report) = swept.recv() => owner.on_sweep(report),
            Some(request) = asked.recv() => owner.on_request(request),
            _ = hangup.recv() => owner.reload(),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    api.abort();
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    tracing::info!("ended; the data plane goes on");
    Ok(())
}
