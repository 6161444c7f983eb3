//! `lb daemon`.

use std::path::PathBuf;

use super::Context;
use super::parse::AttachArgument;
use super::pins::Pins;

/// What the daemon is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Configuration; left out, /etc/lb/lb.toml where there is one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Attach to an interface, beside those of the configuration
    #[arg(long, value_name = "IFACE[=native|generic|auto]", value_parser = super::parse::attach)]
    pub attach: Vec<AttachArgument>,
    /// Where the desired state is kept
    #[arg(
        long,
        env = "LB_STATE_DIR",
        hide_env_values = true,
        default_value = "/var/lib/lb",
        value_name = "DIR"
    )]
    pub state_dir: PathBuf,
    #[command(flatten)]
    pub pins: Pins,
    /// From `--socket` or `LB_SOCKET`; goes before the configuration's.
    #[arg(skip)]
    pub socket: Option<PathBuf>,
}

pub(super) async fn run(context: Context<'_, '_>, options: Options) -> anyhow::Result<()> {
    crate::daemon::run(Options {
        socket: context.socket,
        ..options
    })
    .await
}
