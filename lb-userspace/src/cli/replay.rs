//! `lb replay`.

use std::net::IpAddr;
use std::path::PathBuf;

use super::Context;
use super::exit::UsageError;
use super::output::Format;
use super::parse::BackendTarget;

/// What is to be replayed, and how the world around it looks.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// Configurations (.toml) and captures (.pcap, .pcapng), in the order in which they happen
    #[arg(value_name = "ITEM", required = true)]
    pub items: Vec<PathBuf>,
    /// A backend that is down; all others are healthy
    #[arg(long, value_name = "SERVICE/BACKEND", value_parser = super::parse::backend_target)]
    pub down: Vec<BackendTarget>,
    /// MAC address of every next hop
    #[arg(long, value_name = "MAC", value_parser = super::parse::mac, default_value = "02:00:00:00:00:01")]
    pub next_hop: [u8; 6],
    /// MAC address of the interface
    #[arg(long, value_name = "MAC", value_parser = super::parse::mac, default_value = "02:00:00:00:00:02")]
    pub mac: [u8; 6],
    /// Address of the interface, one of each family [default: node.source of the configuration]
    #[arg(long, value_name = "ADDR")]
    pub source: Vec<IpAddr>,
    /// Write the packets after the program here; those that were passed as they came, dropped ones not
    #[arg(short, long, value_name = "OUT.pcap")]
    pub write: Option<PathBuf>,
    /// From `-o`.
    #[arg(skip)]
    pub output: Format,
}

pub(super) fn run(context: Context<'_, '_>, args: ReplayArgs) -> anyhow::Result<()> {
    for item in &args.items {
        let extension = item.extension().and_then(|extension| extension.to_str());
        if !matches!(extension, Some("toml" | "pcap" | "pcapng")) {
            let item = item.display();
            return Err(UsageError(format!("{item:?}: give files that end in .toml, .pcap or .pcapng")).into());
        }
    }
    crate::replay::run(ReplayArgs {
        output: context.format,
        ..args
    })
}
