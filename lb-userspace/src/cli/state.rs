//! `lb ready`, `lb maint`, `lb weight`: what an operator sets by hand.

use hyper::Method;
use serde_json::{Value, json};

use super::backend::path;
use super::parse::BackendTarget;
use super::{Context, WriteArgs};
use crate::core::model::AdminState;
use crate::edge::client::Call;

/// Arguments of `lb ready` and `lb maint`.
#[derive(Debug, clap::Args)]
pub struct StateArgs {
    #[arg(value_name = "SERVICE/BACKEND", value_parser = super::parse::backend_target)]
    target: BackendTarget,
    #[command(flatten)]
    write: WriteArgs,
}

/// Arguments of `lb weight`.
#[derive(Debug, clap::Args)]
pub struct WeightArgs {
    #[arg(value_name = "SERVICE/BACKEND", value_parser = super::parse::backend_target)]
    target: BackendTarget,
    /// A weight, or a share of the configured one
    #[arg(value_name = "N|N%", value_parser = super::parse::weight_change, allow_hyphen_values = true)]
    weight: Value,
    #[command(flatten)]
    write: WriteArgs,
}

pub(super) async fn ready(context: Context<'_, '_>, args: StateArgs) -> anyhow::Result<()> {
    set(context, args, AdminState::Ready, "ready").await
}

pub(super) async fn maint(context: Context<'_, '_>, args: StateArgs) -> anyhow::Result<()> {
    set(context, args, AdminState::Maint, "in maintenance").await
}

async fn set(context: Context<'_, '_>, args: StateArgs, state: AdminState, is: &str) -> anyhow::Result<()> {
    let StateArgs { target, write } = args;
    let call = Call::change(Method::PUT, format!("{}/state", path(&target))).json(&json!({ "state": state }));
    context
        .change(
            &write,
            call,
            &format!("backend {}/{} is {is}", target.service, target.backend),
        )
        .await
}

pub(super) async fn weight(context: Context<'_, '_>, args: WeightArgs) -> anyhow::Result<()> {
    let WeightArgs { target, weight, write } = args;
    let call = Call::change(Method::PUT, format!("{}/weight", path(&target))).json(&json!({ "weight": weight }));
    let shown = weight
        .as_str()
        .map_or_else(|| weight.to_string(), |percent| format!("{percent} of the configured"));
    context
        .change(
            &write,
            call,
            &format!("backend {}/{} has weight {shown}", target.service, target.backend),
        )
        .await
}
