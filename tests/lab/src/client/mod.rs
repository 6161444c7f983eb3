//! The client: real requests over real connections, from a namespace of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::netns::Netns;

mod download;
mod held;
pub mod http;
mod load;
mod report;

pub use download::RunningDownload;
pub use held::Held;
pub use load::{Load, RunningLoad};
pub use report::{LoadReport, Sample};

/// A host that sends requests.
pub struct Client {
    netns: Netns,
    address: Ipv4Addr,
}

impl Client {
    pub(crate) fn new(netns: Netns, address: Ipv4Addr) -> Self {
        Self { netns, address }
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// One request; the name of the server that answered.
    pub fn get(&self, url: &str) -> Result<String> {
        self.netns
            .run(|| http::get(url, http::PATIENCE).map_err(anyhow::Error::msg))
    }

    /// Sends a number of requests and waits for the end.
    pub fn load(&self, load: &Load) -> Result<LoadReport> {
        ensure!(load.has_end(), "a load without a number of requests has no end");
        self.start_load(load)?.finish()
    }

    /// Starts to send requests.
    pub fn start_load(&self, load: &Load) -> Result<RunningLoad> {
        RunningLoad::start(&self.netns, load)
    }

    /// Downloads `bytes` of the pattern and compares them byte for byte; how long it took.
    pub fn download(&self, url: &str, bytes: u64) -> Result<Duration> {
        self.start_download(url, bytes, None)?.finish()
    }

    /// Starts a download, which reads no faster than `bytes_per_s`.
    pub fn start_download(&self, url: &str, bytes: u64, bytes_per_s: Option<u64>) -> Result<RunningDownload> {
        RunningDownload::start(&self.netns, url, bytes, bytes_per_s)
    }

    /// Opens connections and holds them.
    pub fn hold(&self, target: SocketAddr, connections: usize) -> Result<Held> {
        self.netns
            .run(|| Held::open(target, connections))
            .with_context(|| format!("holding {connections} connections to {target}"))
    }

    /// Opens a connection from a port that is chosen beforehand, and holds it.
    pub fn hold_from(&self, port: u16, target: SocketAddr) -> Result<Held> {
        self.netns
            .run(|| Held::open_from(port, target))
            .with_context(|| format!("holding a connection from port {port} to {target}"))
    }
}
