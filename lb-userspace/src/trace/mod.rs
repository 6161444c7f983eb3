//! `lb trace`: one packet through the data plane that is pinned, which is left as it is.
//!
//! The packet runs in a private copy of the pinned maps, through the program that writes down what it decides: so nothing is
//! counted, no flow begins, and no port is taken. No daemon is needed; if one answers, it says what everything is called.
//!
//! # Layout
//!
//! - `packet`: the packet that is sent; `headers`: what a packet says, and where two differ
//! - `ingress`: the interface that it comes in by
//! - `names`: what services and backends are called, and how the backends are
//! - `report`: what was found out; `words`: the same in words

mod headers;
mod ingress;
mod names;
mod packet;
mod report;
mod words;

use lb_common::abi::Tags;

use crate::cli::trace::TraceArgs;
use crate::edge::client::Client;
use crate::edge::dataplane::run::{Arrival, Runner};
use crate::edge::dataplane::{self, Dataplane};
use crate::edge::net;
use ingress::Attached;
use names::Names;
use report::Found;

pub use packet::{MAX_LENGTH, Packet, Transport};
pub use report::Report;

/// The MAC address of a sender that the routes do not know.
const SOMEBODY: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Runs the packet and says what became of it.
///
/// # Errors
///
/// Nothing is pinned, or by another ABI version; the interface is not attached; no permission; a kernel before Linux 5.15.
pub async fn run(args: &TraceArgs, packet: &Packet, client: &Client) -> anyhow::Result<Report> {
    let links = net::links_once().await?;
    let attached = Attached::of(&args.pins.pin_dir, &links)?;
    let mut copy = Dataplane::copy_of(&args.pins.pin_dir, dataplane::capabilities().flow_table)?;
    let sender = copy.hop(packet.from.ip());
    let ingress = attached.choose(args.interface.as_deref(), sender.map(|hop| hop.egress))?;
    // What comes from there comes as what goes there does: from that neighbour, in that VLAN.
    let sender = sender.filter(|hop| hop.egress == ingress.index);
    let tags = sender.map_or(Tags::NONE, |hop| hop.tags);
    let source_mac = sender.map_or(SOMEBODY, |hop| headers::destination_mac(hop.ethernet));
    let frame = packet.frame(source_mac, ingress.mac, tags);
    let arrival = Arrival {
        interface: ingress.index,
        ..Arrival::default()
    };
    let outcome = Runner::new(&mut copy)?.run_as(&copy, arrival, &frame)?;
    let names = Names::find(client, &args.state_dir).await;
    Found {
        packet,
        frame: &frame,
        outcome: &outcome,
        copy: &copy,
        ingress,
        attached: &attached,
        links: &links,
        names: &names,
    }
    .report()
}
