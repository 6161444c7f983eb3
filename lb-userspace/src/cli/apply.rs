//! `lb apply`.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use hyper::Method;

use super::{Context, WriteArgs};
use crate::core::config::Format;
use crate::edge::client::{Call, ClientError};

/// Arguments of `lb apply`.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    /// TOML, or JSON where the name or the text says so; - is stdin
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
        let named = name.ends_with(".json") || name.ends_with(".toml");
        let format = if named {
            Format::of_name(&name)
        } else {
            Format::of_text(&text)
        };
        Ok(Self { name, text, format })
    }
}

pub(super) async fn run(context: Context<'_, '_>, args: ApplyArgs) -> anyhow::Result<()> {
    let document = Document::read(&args.file)?;
    // What a broken pipe leaves behind must not remove every service.
    let name = &document.name;
    ensure!(
        !document.text.trim().is_empty(),
        "{name} is empty, nothing was changed; to remove every service, apply: version = 1"
    );
    let kind = match document.format {
        Format::Toml => "text/toml",
        Format::Json => "application/json",
    };
    let body = Some((kind, document.text.clone().into_bytes()));
    let call = Call {
        body,
        ..Call::change(Method::PUT, "/v1/config")
    };
    let applied = context
        .change(&args.write, call, &format!("{} applied", document.name))
        .await;
    applied.map_err(|error| at_its_place(error, &document))
}

/// What the daemon refuses is shown at its place in the file. The daemon never saw the file's name.
fn at_its_place(error: anyhow::Error, document: &Document) -> anyhow::Error {
    let refused = matches!(error.downcast_ref(), Some(ClientError::Refused(problem)) if !problem.findings.is_empty());
    match document.check() {
        Err(findings) if refused => document.wrong(&findings).into(),
        _ => error,
    }
}
