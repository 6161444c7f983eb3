//! `lb apply`.

use std::io::Read;
use std::path::PathBuf;

use anyhow::Context as _;
use hyper::Method;

use super::{Context, WriteArgs};
use crate::core::edit::Format;
use crate::edge::client::Call;

/// Arguments of `lb apply`.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    /// TOML, or JSON where the name ends in .json; - is stdin
    file: PathBuf,
    #[command(flatten)]
    write: WriteArgs,
}

/// A document from a file or stdin.
pub(super) struct Document {
    /// As messages name it.
    pub name: String,
    pub text: String,
    pub format: Format,
}

impl Document {
    pub fn read(file: &PathBuf) -> anyhow::Result<Self> {
        let name = if file.as_os_str() == "-" {
            "stdin".to_owned()
        } else {
            file.display().to_string()
        };
        let text = if file.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(file)
        };
        let text = text.with_context(|| format!("cannot read {name}"))?;
        let json = name.ends_with(".json") || (!name.ends_with(".toml") && text.trim_start().starts_with('{'));
        let format = if json { Format::Json } else { Format::Toml };
        Ok(Self { name, text, format })
    }
}

pub(super) async fn run(context: Context<'_, '_>, args: ApplyArgs) -> anyhow::Result<()> {
    let Document { name, text, format } = Document::read(&args.file)?;
    let kind = match format {
        Format::Toml => "text/toml",
        Format::Json => "application/json",
    };
    let call = Call {
        body: Some((kind, text.into_bytes())),
        ..Call::change(Method::PUT, "/v1/config")
    };
    context.change(&args.write, call, &format!("{name} applied")).await
}
