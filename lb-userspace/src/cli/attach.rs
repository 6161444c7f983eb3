//! `lb attach`, `lb detach`.

use hyper::Method;
use serde_json::json;

use super::{Context, WriteArgs};
use crate::core::model::XdpMode;
use crate::edge::client::{Call, segment};

/// Arguments of `lb attach`.
#[derive(Debug, clap::Args)]
pub struct AttachArgs {
    #[arg(value_name = "IFACE", value_parser = super::parse::interface)]
    interface: String,
    /// Where in the kernel the program runs
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    xdp: XdpArgument,
    #[command(flatten)]
    write: WriteArgs,
}

/// Arguments of `lb detach`.
#[derive(Debug, clap::Args)]
pub struct DetachArgs {
    #[arg(value_name = "IFACE", value_parser = super::parse::interface, required_unless_present = "all")]
    interface: Option<String>,
    /// From all interfaces; nothing of the data plane is left
    #[arg(long, conflicts_with = "interface")]
    all: bool,
    #[command(flatten)]
    write: WriteArgs,
}

/// Where in the kernel a program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum XdpArgument {
    /// In the driver
    #[default]
    Native,
    /// In the network stack: slower, on any interface
    Generic,
    /// Native where the driver can, else generic
    Auto,
}

impl From<XdpArgument> for XdpMode {
    fn from(argument: XdpArgument) -> Self {
        match argument {
            XdpArgument::Native => Self::Native,
            XdpArgument::Generic => Self::Generic,
            XdpArgument::Auto => Self::Auto,
        }
    }
}

pub(super) async fn attach(context: Context<'_, '_>, args: AttachArgs) -> anyhow::Result<()> {
    let AttachArgs { interface, xdp, write } = args;
    let body = json!({ "xdp": XdpMode::from(xdp) });
    let call = Call::change(Method::PUT, format!("/v1/interfaces/{}", segment(&interface))).json(&body);
    context.change(&write, call, &format!("attached to {interface}")).await
}

pub(super) async fn detach(context: Context<'_, '_>, args: DetachArgs) -> anyhow::Result<()> {
    let (path, done) = match &args.interface {
        Some(interface) => (
            format!("/v1/interfaces/{}", segment(interface)),
            format!("detached from {interface}"),
        ),
        None => ("/v1/interfaces".to_owned(), "detached from all interfaces".to_owned()),
    };
    context
        .change(&args.write, Call::change(Method::DELETE, path), &done)
        .await
}
