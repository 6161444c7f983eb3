//! `lb pass attach|detach`: for labs, without a daemon. A veth peer receives what XDP transmits only if it holds an XDP
//! program of its own; this one passes everything.

use super::Context;
use super::pins::Pins;
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
    #[command(flatten)]
    pub pins: Pins,
}

pub(super) fn run(context: Context<'_, '_>, verb: &PassVerb) -> anyhow::Result<()> {
    let done = match verb {
        PassVerb::Attach(PassArgs {
            interface,
            pins: Pins { pin_dir },
        }) => {
            single::attach_pass(pin_dir, interface)?;
            format!("pass attached to {interface}\n")
        }
        PassVerb::Detach(PassArgs {
            interface,
            pins: Pins { pin_dir },
        }) => {
            single::detach(pin_dir, interface, Single::Pass)?;
            format!("pass detached from {interface}\n")
        }
    };
    Ok(context.screen.print(&done)?)
}
