//! `lb decap attach|detach|show`: on a backend, without a daemon.

use std::net::IpAddr;

use lb_common::{encap, maps::decap as outcome};
use serde_json::{Map, Value};

use super::Context;
use super::attach::XdpArgument;
use super::output::{Format, Screen};
use super::pins::Pins;
use super::table::Table;
use crate::core::prefix::Prefix;
use crate::edge::dataplane::single::{self, Single};
use crate::edge::net;

#[derive(Clone, Debug, clap::Subcommand)]
pub enum DecapVerb {
    /// Unwrap the tunnelled packets that come in on an interface
    Attach(DecapAttachArgs),
    /// Stop that
    Detach(DecapPlaceArgs),
    /// What was unwrapped, and what was not
    Show(DecapPlaceArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub struct DecapAttachArgs {
    #[command(flatten)]
    pub place: DecapPlaceArgs,
    /// Accept tunnels from these balancers alone; left out, from anybody
    #[arg(long, value_name = "PREFIX", value_parser = super::parse::prefix)]
    pub from: Vec<Prefix>,
    /// Where tunnels end; left out, at the addresses of the interface
    #[arg(long, value_name = "ADDR", value_parser = super::parse::address)]
    pub local: Vec<IpAddr>,
    /// UDP port at which tunnels of mode gue end
    #[arg(long, value_name = "PORT", default_value_t = encap::GUE_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    pub gue_port: u16,
    /// Where in the kernel the program runs
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    pub xdp: XdpArgument,
}

#[derive(Clone, Debug, clap::Args)]
pub struct DecapPlaceArgs {
    #[arg(value_name = "IFACE", value_parser = super::parse::interface)]
    pub interface: String,
    #[command(flatten)]
    pub pins: Pins,
}

pub(super) async fn run(context: Context<'_, '_>, verb: DecapVerb) -> anyhow::Result<()> {
    match verb {
        DecapVerb::Attach(args) => attach(context.screen, args).await,
        DecapVerb::Detach(DecapPlaceArgs {
            interface,
            pins: Pins { pin_dir },
        }) => {
            single::detach(&pin_dir, &interface, Single::Decap)?;
            Ok(context.screen.print(&format!("decap detached from {interface}\n"))?)
        }
        DecapVerb::Show(args) => show(context, &args),
    }
}

async fn attach(screen: &mut Screen<'_>, args: DecapAttachArgs) -> anyhow::Result<()> {
    let DecapAttachArgs {
        place: DecapPlaceArgs {
            interface,
            pins: Pins { pin_dir },
        },
        from,
        mut local,
        gue_port,
        xdp,
    } = args;
    if local.is_empty() {
        local = addresses(&interface).await?;
    }
    let tunnels = single::Tunnels {
        local: &local,
        from: &from,
        gue_port,
    };
    single::attach_decap(&pin_dir, &interface, tunnels, xdp.into())?;
    let local: Vec<String> = local.iter().map(IpAddr::to_string).collect();
    Ok(screen.print(&format!(
        "decap attached to {interface}, tunnels end at {}\n",
        local.join(", ")
    ))?)
}

/// The interface's own addresses.
async fn addresses(interface: &str) -> anyhow::Result<Vec<IpAddr>> {
    let links = net::links_once().await?;
    let link = links.into_iter().find(|link| link.name == interface);
    let Some(link) = link else {
        anyhow::bail!("there is no interface {interface}; see: ip link");
    };
    // Nobody sends a tunnel packet to a link-local address: it means nothing beyond the link.
    let is_reachable = |address: &IpAddr| !matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    let addresses = link.addresses.into_iter().map(|(address, _)| address);
    let addresses: Vec<IpAddr> = addresses.filter(is_reachable).collect();
    if addresses.is_empty() {
        anyhow::bail!("{interface} has no address; say where tunnels end with --local ADDR");
    }
    Ok(addresses)
}

fn show(context: Context<'_, '_>, args: &DecapPlaceArgs) -> anyhow::Result<()> {
    let counters = single::decap_counters(&args.pins.pin_dir, &args.interface)?;
    let outcomes = [
        ("unpacked", outcome::UNPACKED, "unwrapped and passed on"),
        (
            "other",
            outcome::OTHER,
            "no tunnel packet to one of our addresses; passed as it was",
        ),
        (
            "not_allowed",
            outcome::NOT_ALLOWED,
            "from a source that --from does not allow; dropped",
        ),
        (
            "malformed",
            outcome::MALFORMED,
            "what is inside is not what the outer header says, or cut short; dropped",
        ),
        (
            "not_capable",
            outcome::NOT_CAPABLE,
            "marked as congested, for a sender that knows no marks; dropped",
        ),
    ];
    let packets = |index: u32| counters[index as usize];
    if matches!(context.format, Format::Json | Format::Jsonl) {
        let fields = outcomes.map(|(name, index, _)| (format!("{name}_packets"), Value::from(packets(index))));
        return context.screen.print_json(&Map::from_iter(fields), context.format);
    }
    let mut table = Table::new(&["OUTCOME", "PACKETS", "MEANING"]);
    for (name, index, meaning) in outcomes {
        table.row(vec![name.into(), packets(index).into(), meaning.into()]);
    }
    Ok(context.screen.print(&table.show(false))?)
}
