//! `lb version`, `lb completion`, `lb man`: what the program says of itself.

use clap::Command;
use clap_complete::Shell;
use serde_json::json;

use super::Context;
use super::output::Format;

/// Arguments of `lb completion`.
#[derive(Debug, clap::Args)]
pub struct CompletionArgs {
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn version(context: Context<'_, '_>) -> anyhow::Result<()> {
    let (version, abi) = (env!("CARGO_PKG_VERSION"), lb_common::abi::ABI_VERSION);
    match context.format {
        Format::Json | Format::Jsonl => context
            .screen
            .print_json(&json!({ "version": version, "abi_version": abi }), context.format),
        _ => Ok(context
            .screen
            .print(&format!("lb {version} (data plane ABI {abi})\n"))?),
    }
}

pub(super) fn completion(context: Context<'_, '_>, args: &CompletionArgs, mut lb: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut lb, "lb", &mut script);
    Ok(context.screen.print(&String::from_utf8(script)?)?)
}

pub(super) fn man(context: Context<'_, '_>, lb: Command) -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(lb).render(&mut page)?;
    Ok(context.screen.print(&String::from_utf8(page)?)?)
}
