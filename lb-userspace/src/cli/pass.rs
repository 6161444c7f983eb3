//! `lb pass attach|detach`: for labs, without a daemon. A veth peer receives what XDP transmits only if it holds an XDP
//! program of its own; this one passes everything.

use std::path::PathBuf;

use super::Context;

#[derive(Clone, Debug, clap::Subcommand)]
pub enum PassVerb {
    /// Attach a program that passes everything
    Attach(PassArgs),
    /// Detach it
    Detach(PassArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub struct PassArgs {
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
pub(super) fn run(_context: Context<'_, '_>, _verb: PassVerb) -> anyhow::Result<()> {
    anyhow::bail!("pass is not part of this build")
}
