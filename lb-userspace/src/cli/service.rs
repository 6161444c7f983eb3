//! `lb service add|set|remove`.

use hyper::Method;
use serde_json::{Map, Value};

use super::exit::UsageError;
use super::vip::VipArgument;
use super::{Context, WriteArgs};
use crate::edge::client::{Call, segment};

#[derive(Debug, clap::Subcommand)]
pub enum ServiceVerb {
    /// Add a service
    Add(AddArgs),
    /// Change a service
    Set(SetArgs),
    /// Remove a service and its backends
    Remove(RemoveArgs),
}

#[derive(Debug, clap::Args)]
pub struct AddArgs {
    name: String,
    /// What clients connect to; tcp where the protocol is left out
    #[arg(long, value_name = "ADDR[/LEN][:PORT|:FROM-TO][/tcp|udp|sctp|any]", value_parser = super::vip::vip)]
    vip: VipArgument,
    #[command(flatten)]
    fields: FieldArgs,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// Name, or VIP:PORT[/tcp|udp|sctp|any]
    #[arg(value_parser = super::parse::service)]
    service: String,
    /// What clients connect to
    #[arg(long, value_name = "ADDR[/LEN][:PORT|:FROM-TO][/tcp|udp|sctp|any]", value_parser = super::vip::vip)]
    vip: Option<VipArgument>,
    #[command(flatten)]
    fields: FieldArgs,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// Name, or VIP:PORT[/tcp|udp|sctp|any]
    #[arg(value_parser = super::parse::service)]
    service: String,
    #[command(flatten)]
    write: WriteArgs,
}

/// What a service may have beside name and VIP.
#[derive(Debug, clap::Args)]
pub struct FieldArgs {
    /// How packets reach the backends
    #[arg(long, value_parser = ["fullnat", "nat", "l2", "ipip", "gue"])]
    mode: Option<String>,
    /// none, tcp or http, with settings: http,interval=2s,rise=2,path=/healthz,status=200-299
    #[arg(long, value_name = "TYPE[,KEY=VALUE…]", value_parser = super::parse::check)]
    check: Option<Value>,
    /// Slots of its table, a prime
    #[arg(long, value_name = "N", value_parser = super::parse::table_size, allow_negative_numbers = true)]
    table_size: Option<u32>,
    /// Mode gue: UDP port of the backends that tunnels go to [default: 6080]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    tunnel_port: Option<u16>,
    /// TCP: no larger segments than this many bytes, whatever both ends say
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(536..=65475))]
    mss_clamp: Option<u16>,
    /// What to do with packets when no backend is healthy
    #[arg(long, value_name = "WHAT", value_parser = ["drop", "use-all"])]
    when_all_down: Option<String>,
}

impl FieldArgs {
    /// As `[[service]]` has them.
    fn into_fields(self, vip: Option<VipArgument>) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(key.to_owned(), value);
            }
        };
        if let Some(VipArgument {
            address,
            length,
            port,
            protocol,
        }) = vip
        {
            let length = length.map_or(String::new(), |length| format!("/{length}"));
            set("address", Some(format!("{address}{length}").into()));
            set("port", Some(port.unwrap_or_else(|| "any".into())));
            set("protocol", protocol.map(Value::from));
        }
        set("mode", self.mode.map(Value::from));
        set("check", self.check);
        set("table_size", self.table_size.map(Value::from));
        set("tunnel_port", self.tunnel_port.map(Value::from));
        set("mss_clamp", self.mss_clamp.map(Value::from));
        set("when_all_down", self.when_all_down.map(Value::from));
        fields
    }
}

pub(super) async fn run(context: Context<'_, '_>, verb: ServiceVerb) -> anyhow::Result<()> {
    match verb {
        ServiceVerb::Add(AddArgs {
            name,
            vip,
            fields,
            write,
        }) => {
            let mut fields = fields.into_fields(Some(vip));
            fields.insert("name".to_owned(), name.as_str().into());
            let call = Call::change(Method::POST, "/v1/services").json(&fields.into());
            context.change(&write, call, &format!("service {name} added")).await
        }
        ServiceVerb::Set(SetArgs {
            service,
            vip,
            fields,
            write,
        }) => {
            let fields = fields.into_fields(vip);
            if fields.is_empty() {
                let flags = "--vip, --mode, --check, --table-size or --when-all-down";
                return Err(UsageError(format!("service {service}: nothing to set; give {flags}")).into());
            }
            let call = Call::change(Method::PATCH, path(&service)).json(&fields.into());
            context
                .change(&write, call, &format!("service {service} changed"))
                .await
        }
        ServiceVerb::Remove(RemoveArgs { service, write }) => {
            let call = Call::change(Method::DELETE, path(&service));
            context
                .change(&write, call, &format!("service {service} removed"))
                .await
        }
    }
}

fn path(service: &str) -> String {
    format!("/v1/services/{}", segment(service))
}
