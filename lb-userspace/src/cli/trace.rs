//! `lb trace`: one packet through the data plane that is pinned, which is left as it is. Needs no daemon.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Context;
use super::exit::UsageError;
use super::output::{Format, Screen};
use super::parse::host_and_port;
use super::pins::Pins;
use super::table::Table;
use super::usage::BadValue;
use crate::trace::{self, MAX_LENGTH, Packet, Report, Transport};

/// Which packet, and through what.
#[derive(Clone, Debug, clap::Args)]
pub struct TraceArgs {
    /// Who sends it: a client, or on the way back a backend
    #[arg(value_name = "SRC:PORT", value_parser = end)]
    pub from: SocketAddr,
    /// Where it goes: a service, or on the way back what the backend answers to; PROTO is tcp, udp or sctp
    #[arg(value_name = "VIP:PORT[/PROTO]", value_parser = destination)]
    pub to: Destination,
    /// Flags of TCP, as ack or syn,ack [default: syn]
    #[arg(long, value_enum, value_name = "FLAG", value_delimiter = ',')]
    pub flags: Vec<Flag>,
    /// Length from the IP header on, in bytes [default: headers alone]
    #[arg(long, value_name = "BYTES")]
    pub length: Option<usize>,
    /// Interface that it comes in by [default: the one towards SRC, or the first]
    #[arg(long, value_name = "IFACE", value_parser = super::parse::interface)]
    pub interface: Option<String>,
    /// Where the desired state is kept, for names while no daemon answers
    #[arg(
        long,
        env = "LB_STATE_DIR",
        hide_env_values = true,
        default_value = "/var/lib/lb",
        value_name = "DIR"
    )]
    pub state_dir: PathBuf,
    #[command(flatten)]
    pub pins: Pins,
}

/// `ADDR:PORT[/PROTO]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    pub address: SocketAddr,
    pub transport: Transport,
}

/// A flag of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Flag {
    Syn,
    Ack,
    Fin,
    Rst,
}

impl Flag {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Syn => "SYN",
            Self::Ack => "ACK",
            Self::Fin => "FIN",
            Self::Rst => "RST",
        }
    }
}

fn end(text: &str) -> Result<SocketAddr, BadValue> {
    let wrong = |why: String| {
        BadValue(format!(
            "{text:?}: {why}; give ADDR:PORT, as 198.51.100.7:40000 or [2001:db8::7]:40000"
        ))
    };
    match host_and_port(text).map_err(wrong)? {
        (address, Some(port)) => Ok(SocketAddr::new(address, port)),
        (_, None) => Err(wrong("it has no port".to_owned())),
    }
}

fn destination(text: &str) -> Result<Destination, BadValue> {
    let (address, transport) = match text.split_once('/') {
        None => (text, Transport::Tcp),
        Some((address, "tcp")) => (address, Transport::Tcp),
        Some((address, "udp")) => (address, Transport::Udp),
        Some((address, "sctp")) => (address, Transport::Sctp),
        Some((_, other)) => return Err(BadValue(format!("{text:?}: {other} is not tcp, udp or sctp"))),
    };
    let address = end(address)?;
    Ok(Destination { address, transport })
}

pub(super) async fn run(context: Context<'_, '_>, args: TraceArgs) -> anyhow::Result<()> {
    let packet = packet(&args)?;
    let report = trace::run(&args, &packet, &context.client).await?;
    show(context.screen, context.format, &report)
}

/// The packet that is asked for.
fn packet(args: &TraceArgs) -> Result<Packet, UsageError> {
    let (from, Destination { address: to, transport }) = (args.from, args.to);
    if from.is_ipv6() != to.is_ipv6() {
        let why = format!("{from} and {to} are of two families; give two IPv4 addresses, or two IPv6 addresses");
        return Err(UsageError(why));
    }
    let least = Packet::header_bytes(from, transport);
    let length = args.length.unwrap_or(least);
    if !(least..=MAX_LENGTH).contains(&length) {
        let why = format!("--length {length}: such a packet has {least} to {MAX_LENGTH} bytes");
        return Err(UsageError(why));
    }
    let flags = match (transport, args.flags.as_slice()) {
        (Transport::Tcp, []) => vec![Flag::Syn],
        (Transport::Udp | Transport::Sctp, [_, ..]) => {
            let why = "--flags are of TCP; leave them out with /udp and /sctp";
            return Err(UsageError(why.to_owned()));
        }
        (_, flags) => flags.to_vec(),
    };
    Ok(Packet {
        from,
        to,
        transport,
        flags,
        payload: length - least,
    })
}

fn show(screen: &mut Screen<'_>, format: Format, report: &Report) -> anyhow::Result<()> {
    match format {
        Format::Json | Format::Jsonl => screen.print_json(report, format),
        Format::Name => {
            let name = report.fate.target().map_or_else(String::new, |name| name + "\n");
            Ok(screen.print(&name)?)
        }
        Format::Table | Format::Wide => {
            let mut rows = report.steps().into_iter();
            let (name, text) = rows.next().expect("there is a packet");
            let mut table = Table::new(&[name, &text]);
            for (name, text) in rows {
                table.row(vec![name.into(), text.into()]);
            }
            Ok(screen.print(&table.show(screen.colour))?)
        }
    }
}
