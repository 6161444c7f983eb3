//! `lb pass attach|detach`: for labs, without a daemon. A veth peer receives what XDP transmits only if it holds an XDP
//! program of its own; this one passes everything.

use std::path::PathBuf;

use super::Context;
use crate::edge::dataplane::single::{self, Single};

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

pub(super) fn run(context: Context<'_, '_>, verb: &PassVerb) -> anyhow::Result<()> {
    let done = match verb {
        PassVerb::Attach(PassArgs { interface, pin_dir }) => {
            single::attach_pass(pin_dir, interface)?;
            format!("pass attached to {interface}\n")
        }
        PassVerb::Detach(PassArgs { interface, pin_dir }) => {
            single::detach(pin_dir, interface, Single::Pass)?;
            format!("pass detached from {interface}\n")
        }
    };
    Ok(context.screen.print(&done)?)
}
