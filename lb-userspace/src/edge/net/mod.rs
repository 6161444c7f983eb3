//! Follows the kernel's view of the network over netlink: how packets reach the backends, and how they go back to clients.
//!
//! The XDP program sends packets past the kernel's network stack. So nobody but this module notices that a route or a MAC
//! address changed, and nobody but this module makes the kernel ask for an address again before it forgets it.
//!
//! # Layout
//!
//! - [`watch`]: the task: what to read again when, what to say to the owner
//! - [`kernel`]: the requests
//! - [`family`]: what differs between IPv4 and IPv6
//! - [`links`], [`neighbours`]: tables as the kernel has them; [`vlan`]: links on other links
//! - [`resolve`]: from a route, a link and a neighbour to a next hop; pure
//! - [`mirror`]: the routes to clients; pure

mod family;
mod kernel;
mod links;
mod mirror;
mod neighbours;
mod resolve;
#[cfg(test)]
pub(in crate::edge) mod tests;
mod vlan;
mod watch;

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::core::observed::{HopState, HopTarget, RouteHop};
use crate::core::prefix::Prefix;

pub use links::Link;

/// What went wrong between us and the kernel.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("opening a netlink socket: {0}")]
    Open(#[from] std::io::Error),
    #[error("asking the kernel for {what}: {source}")]
    Request {
        what: &'static str,
        source: rtnetlink::Error,
    },
    #[error("asking the kernel for {what}: no answer within {}s", kernel::PATIENCE.as_secs())]
    Timeout { what: &'static str },
    #[error("the netlink socket was closed")]
    Closed,
}

/// What the owner of the model is told.
#[derive(Clone, Debug, PartialEq)]
pub enum NetEvent {
    /// Next hops of targets that are new or have changed since they were last told.
    Hops(HashMap<HopTarget, HopState>),
    /// The whole mirror of the routes to clients, when it changed. `0.0.0.0/0` and `::/0` are always in it.
    Routes(BTreeMap<Prefix, RouteHop>),
    /// All links, when one of them changed.
    Links(Vec<Link>),
    /// The kernel cannot be asked at the moment; what was told last stands. It is tried again every second.
    Trouble(String),
}

/// Handle of the task that follows the kernel. Dropping it ends the task.
pub struct NetWatcher {
    targets: mpsc::UnboundedSender<HashSet<HopTarget>>,
    task: JoinHandle<()>,
}

impl NetWatcher {
    /// Opens the sockets in the calling thread's network namespace and starts to follow it. The owner soon gets
    /// [`NetEvent::Links`] and [`NetEvent::Routes`] once, and then what changes.
    ///
    /// Must be called within a tokio runtime, and asking for neighbours needs CAP_NET_ADMIN.
    pub fn start(events: mpsc::Sender<NetEvent>) -> Result<Self, NetError> {
        let sockets = kernel::Sockets::open()?;
        let (targets, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(watch::run(sockets, receiver, events));
        Ok(Self { targets, task })
    }

    /// Says whose next hops are wanted. Each new target is answered for once, whether it can be resolved or not, and then
    /// when that changes. A target that is left out is forgotten without a word.
    pub fn set_targets(&self, targets: HashSet<HopTarget>) {
        // The task ends when the owner has stopped listening: then nobody wants to know.
        let _ = self.targets.send(targets);
    }
}

impl Drop for NetWatcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All links of the calling thread's network namespace, in order of their indices, read once.
pub async fn links_once() -> Result<Vec<Link>, NetError> {
    Ok(kernel::Kernel::open()?.links().await?.into_values().collect())
}
