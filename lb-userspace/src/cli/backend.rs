//! `lb backend add|set|remove`.

use hyper::Method;
use serde_json::{Map, Value};

use super::exit::UsageError;
use super::parse::{BackendAddress, BackendTarget, Target};
use super::{Context, WriteArgs};
use crate::edge::client::{Call, segment};

#[derive(Debug, clap::Subcommand)]
pub enum BackendVerb {
    /// Add a backend to a service
    Add(AddArgs),
    /// Change a backend
    Set(SetArgs),
    /// Remove a backend
    Remove(RemoveArgs),
}

#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Service, and a name for the backend; left out, it is named by its address
    #[arg(value_name = "SERVICE[/NAME]", value_parser = super::parse::target)]
    target: Target,
    /// Where it is; the service's port where it is left out
    #[arg(value_name = "ADDR[:PORT]", value_parser = super::parse::backend_address)]
    address: BackendAddress,
    #[command(flatten)]
    fields: FieldArgs,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Debug, clap::Args)]
pub struct SetArgs {
    #[arg(value_name = "SERVICE/BACKEND", value_parser = super::parse::backend_target)]
    target: BackendTarget,
    /// Where it is
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = super::parse::backend_address)]
    address: Option<BackendAddress>,
    #[command(flatten)]
    fields: FieldArgs,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    #[arg(value_name = "SERVICE/BACKEND", value_parser = super::parse::backend_target)]
    target: BackendTarget,
    #[command(flatten)]
    write: WriteArgs,
}

/// What a backend may have beside name and address.
#[derive(Debug, clap::Args)]
pub struct FieldArgs {
    /// Its share of the flows, beside the others' weights; 0: no new flows
    #[arg(long, value_name = "N", value_parser = super::parse::weight, allow_negative_numbers = true)]
    weight: Option<u32>,
    /// 1 and up are used when the ones before have nobody to offer
    #[arg(long, value_name = "N", value_parser = super::parse::priority, allow_negative_numbers = true)]
    priority: Option<u32>,
    /// Router or MAC address to send to; route: as the routes say
    #[arg(long, value_name = "ADDR|MAC|route", value_parser = super::parse::next_hop)]
    next_hop: Option<Value>,
    /// In the configuration; what was set by hand goes before it
    #[arg(long, value_parser = ["ready", "drain", "maint"])]
    state: Option<String>,
}

impl FieldArgs {
    /// As `[[service.backend]]` has them.
    fn into_fields(self, address: Option<BackendAddress>) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(key.to_owned(), value);
            }
        };
        if let Some(BackendAddress { address, port }) = address {
            set("address", Some(address.to_string().into()));
            set("port", port.map(Value::from));
        }
        set("weight", self.weight.map(Value::from));
        set("priority", self.priority.map(Value::from));
        set("next_hop", self.next_hop);
        set("state", self.state.map(Value::from));
        fields
    }
}

pub(super) async fn run(context: Context<'_, '_>, verb: BackendVerb) -> anyhow::Result<()> {
    match verb {
        BackendVerb::Add(args) => add(context, args).await,
        BackendVerb::Set(SetArgs {
            target,
            address,
            fields,
            write,
        }) => {
            let fields = fields.into_fields(address);
            let BackendTarget { service, backend } = &target;
            if fields.is_empty() {
                let flags = "--address, --weight, --priority, --next-hop or --state";
                return Err(UsageError(format!("backend {service}/{backend}: nothing to set; give {flags}")).into());
            }
            let call = Call::change(Method::PATCH, path(&target)).json(&fields.into());
            context
                .change(&write, call, &format!("backend {service}/{backend} changed"))
                .await
        }
        BackendVerb::Remove(RemoveArgs { target, write }) => {
            let call = Call::change(Method::DELETE, path(&target));
            let BackendTarget { service, backend } = &target;
            context
                .change(&write, call, &format!("backend {service}/{backend} removed"))
                .await
        }
    }
}

async fn add(context: Context<'_, '_>, args: AddArgs) -> anyhow::Result<()> {
    let AddArgs {
        target: Target { service, backend },
        address,
        fields,
        write,
    } = args;
    let name = backend.clone().unwrap_or_else(|| address.address.to_string());
    let mut fields = fields.into_fields(Some(address));
    // Nothing to clear on what is new.
    fields.retain(|_, value| !value.is_null());
    if let Some(backend) = backend {
        fields.insert("name".to_owned(), backend.into());
    }
    let call = Call::change(Method::POST, format!("/v1/services/{}/backends", segment(&service))).json(&fields.into());
    context
        .change(&write, call, &format!("backend {service}/{name} added"))
        .await
}

/// Where a backend is in the API.
pub(super) fn path(target: &BackendTarget) -> String {
    format!(
        "/v1/services/{}/backends/{}",
        segment(&target.service),
        segment(&target.backend)
    )
}
