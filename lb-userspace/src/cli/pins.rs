//! Where things are pinned, as an argument.

use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub struct Pins {
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
