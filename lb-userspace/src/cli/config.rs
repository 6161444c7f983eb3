//! `lb config check|example`.

use std::path::PathBuf;

use super::Context;
use super::apply::Document;
use super::exit::WrongDocument;
use super::output::Format;
use crate::core::capabilities::Capabilities;
use crate::core::config::{self, Checked, Finding};

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

pub(super) fn run(context: Context<'_, '_>, verb: &ConfigVerb) -> anyhow::Result<()> {
    match verb {
        ConfigVerb::Check { file } => check(context, &Document::read(file)?),
        ConfigVerb::Example => Ok(context.screen.print(config::example())?),
    }
}

fn check(context: Context<'_, '_>, document: &Document) -> anyhow::Result<()> {
    let Context { screen, format, .. } = context;
    let json = matches!(format, Format::Json | Format::Jsonl);
    match document.check() {
        Ok(Checked { warnings, .. }) if json => screen.print_json(&warnings, format),
        Ok(Checked { model, warnings, .. }) => {
            write!(screen.err, "{}", document.show(&warnings))?;
            let (services, backends) = (
                &model.services,
                model.services.iter().map(|service| service.backends.len()),
            );
            let (name, services, backends) = (&document.name, services.len(), backends.sum::<usize>());
            Ok(screen.print(&format!("{name}: ok, services: {services}, backends: {backends}\n"))?)
        }
        Err(findings) => {
            if json {
                screen.print_json(&findings, format)?;
            }
            Err(document.wrong(&findings).into())
        }
    }
}

impl Document {
    pub fn check(&self) -> Result<Checked, Vec<Finding>> {
        config::check(&self.text, self.format, &Capabilities::all())
    }
    /// The findings, each at its place.
    pub fn show(&self, findings: &[Finding]) -> String {
        config::render(findings, &self.name, &self.text, false)
    }
    pub fn wrong(&self, findings: &[Finding]) -> WrongDocument {
        WrongDocument(self.show(findings))
    }
}
