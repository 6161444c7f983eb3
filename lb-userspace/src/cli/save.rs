//! `lb save`.

use super::Context;
use super::output::Format;
use crate::edge::client::Call;

pub(super) async fn run(context: Context<'_, '_>) -> anyhow::Result<()> {
    match context.format {
        Format::Json | Format::Jsonl => {
            let document: serde_json::Value = context.client.get("/v1/config").await?.value;
            context.screen.print_json(&document, context.format)
        }
        _ => {
            let call = Call {
                accept: "text/toml",
                ..Call::get("/v1/config")
            };
            let document = context.client.call_text(call).await?.value;
            Ok(context.screen.print(&document)?)
        }
    }
}
