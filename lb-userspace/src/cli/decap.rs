//! `lb decap attach|detach|show`: on a backend, without a daemon.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::Context;
use super::attach::XdpArgument;

#[derive(Clone, Debug, clap::Subcommand)]
pub enum DecapVerb {
    /// Unwrap the tunnelled packets that come in on an interface
    Attach(DecapAttachArgs),
    /// Stop that
    Detach(DecapPlaceArgs),
    /// What was unwrapped, and what was not
    Show(DecapPlaceArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub struct DecapAttachArgs {
    #[command(flatten)]
    pub place: DecapPlaceArgs,
    /// Accept tunnels from these balancers alone; left out, from anybody
    #[arg(long, value_name = "PREFIX", value_parser = super::parse::prefix)]
    pub from: Vec<(Ipv4Addr, u8)>,
    /// Where in the kernel the program runs
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    pub xdp: XdpArgument,
}

#[derive(Clone, Debug, clap::Args)]
pub struct DecapPlaceArgs {
    #[arg(value_name = "IFACE", value_parser = super::parse::interface)]
    pub interface: String,
    /// Where programs, links and maps are pinned
    #[arg(
        long,
        env = "LB_PIN_DIR",
        hide_env_values = true,
        default_value = "/sys/fs/bpf/lb",
        value_name = "DIR"
    )]
    pub pin_dir: PathBuf,
}

// lead: each verb calls its function of `crate::edge::dataplane`.
pub(super) fn run(_context: Context<'_, '_>, _verb: DecapVerb) -> anyhow::Result<()> {
    anyhow::bail!("decap is not part of this build")
}
