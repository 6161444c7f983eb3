//! `lb show`: one service with its backends, or one backend.

use std::time::Duration;

use super::Context;
use super::list;
use super::output::{Look, ReadArgs, Shown};
use super::parse::Target;
use super::people;
use super::table::{Cell, Paint, Table};
use crate::core::duration;
use crate::core::model::AdminState;
use crate::core::observed::Health;
use crate::core::view::{Backend, LastCheck, Service};
use crate::edge::client::segment;

/// Arguments of `lb show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Service by name or VIP:PORT[/tcp|udp|sctp|any], with /BACKEND for one of its backends
    #[arg(value_name = "SERVICE[/BACKEND]", value_parser = super::parse::target)]
    target: Target,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(context: Context<'_, '_>, args: ShowArgs) -> anyhow::Result<()> {
    let Target { service, backend } = &args.target;
    let service = format!("/v1/services/{}", segment(service));
    match backend {
        None => context.read::<Service>(&args.read, &service).await,
        Some(backend) => {
            let path = format!("{service}/backends/{}", segment(backend));
            context.read::<Backend>(&args.read, &path).await
        }
    }
}

impl Shown for Service {
    fn table(&self, look: &Look<'_, Self>) -> String {
        let traffic = if look.before.is_some() {
            ["PPS", "NEW/S"]
        } else {
            ["PACKETS", "NEW FLOWS"]
        };
        let mut header = vec!["BACKEND", "ADDRESS", "STATE", "HEALTH", "WEIGHT", "SLOTS"];
        header.extend(traffic);
        header.extend(["FLOWS", "LAST CHECK"]);
        if look.wide {
            header.extend(["BYTES", "NEXT HOP"]);
        }
        header.push("NOTE");
        let mut table = Table::new(&header);
        for backend in &self.backends {
            let before = look.before.and_then(|(service, elapsed)| {
                service
                    .backends
                    .iter()
                    .find(|before| before.name == backend.name)
                    .map(|before| (before, elapsed))
            });
            table.row(row(self, backend, look, before));
        }
        title(self, look) + &table.show(look.colour)
    }

    fn names(&self) -> Vec<String> {
        self.backends
            .iter()
            .map(|backend| format!("{}/{}", self.name, backend.name))
            .collect()
    }
}

fn title(service: &Service, look: &Look<'_, Service>) -> String {
    let Service {
        name,
        vip,
        mode,
        table_size,
        check,
        when_all_down,
        ..
    } = service;
    let revision = look
        .revision
        .map(|revision| format!("revision {revision}  "))
        .unwrap_or_default();
    let state = list::state(&service.state).show(look.colour);
    format!(
        "{name}  {vip}  {mode}  {revision}table {table_size} slots  check {check}  \
         when all down {when_all_down}  {state}\n"
    )
}

fn row(
    service: &Service,
    backend: &Backend,
    look: &Look<'_, Service>,
    before: Option<(&Backend, Duration)>,
) -> Vec<Cell> {
    let counters = &backend.counters;
    let [packets, new_flows] = match (look.before, before) {
        (None, _) => [people::count(counters.packets), people::count(counters.new_flows)],
        (Some(_), None) => ["-".to_owned(), "-".to_owned()],
        (Some(_), Some((before, elapsed))) => {
            let rate = |now, then| people::rate(people::per_second(now, then, elapsed));
            [
                rate(counters.packets, before.counters.packets),
                rate(counters.new_flows, before.counters.new_flows),
            ]
        }
    };
    let mut cells: Vec<Cell> = vec![
        (&backend.name).into(),
        (&backend.address).into(),
        state(backend.state),
        health(backend.health),
        weight(backend).into(),
        people::share(backend.slots.into(), service.table_size.into()).into(),
        packets.into(),
        new_flows.into(),
        backend.flows.map_or_else(|| "-".to_owned(), people::count).into(),
        last_check(backend.last_check.as_ref()).into(),
    ];
    if look.wide {
        cells.extend([people::bytes(counters.bytes).into(), Cell::from(&backend.next_hop)]);
    }
    cells.push(note(backend, look.now).into());
    cells
}

impl Shown for Backend {
    fn table(&self, look: &Look<'_, Self>) -> String {
        let mut table = Table::new(&[&self.name, &self.address]);
        let mut row = |name: &str, value: Cell| table.row(vec![name.into(), value]);
        row("state", state(self.state));
        row("health", health(self.health));
        if let Some(then) = self.health_since {
            row("for", people::since(look.now, then).into());
        }
        row("last check", last_check(self.last_check.as_ref()).into());
        row("weight", weight(self).into());
        row("slots", self.slots.into());
        row(
            "next hop",
            Cell::painted(&self.next_hop, (!self.next_hop_resolved).then_some(Paint::Red)),
        );
        row("packets", people::count(self.counters.packets).into());
        row("bytes", people::bytes(self.counters.bytes).into());
        row("new flows", people::count(self.counters.new_flows).into());
        if let Some((before, elapsed)) = look.before {
            let rate = |now, then| people::per_second(now, then, elapsed);
            let (now, then) = (&self.counters, &before.counters);
            row("packets/s", people::rate(rate(now.packets, then.packets)).into());
            row("bits/s", people::bit_rate(rate(now.bytes, then.bytes)).into());
            row("new flows/s", people::rate(rate(now.new_flows, then.new_flows)).into());
        }
        if let Some(flows) = self.flows {
            row("flows", people::count(flows).into());
        }
        let note = note(self, look.now);
        if !note.is_empty() {
            row("note", note.into());
        }
        table.show(look.colour)
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

fn state(state: AdminState) -> Cell {
    match state {
        AdminState::Ready => "ready".into(),
        AdminState::Drain => Cell::painted("drain", Some(Paint::Yellow)),
        AdminState::Maint => Cell::painted("maint", Some(Paint::Yellow)),
    }
}

fn health(health: Health) -> Cell {
    match health {
        Health::Up => Cell::painted("up", Some(Paint::Green)),
        Health::Down => Cell::painted("down", Some(Paint::Red)),
        Health::Unknown => "unknown".into(),
    }
}

/// `100`; `50 of 100` when it was set by hand; `1 (p1)` for who stands by.
fn weight(backend: &Backend) -> String {
    let Backend {
        weight,
        configured_weight,
        priority,
        ..
    } = backend;
    let of = if weight == configured_weight {
        String::new()
    } else {
        format!(" of {configured_weight}")
    };
    let priority = if *priority == 0 {
        String::new()
    } else {
        format!(" (p{priority})")
    };
    format!("{weight}{of}{priority}")
}

/// `L7OK status 200 in 1.8ms`.
fn last_check(check: Option<&LastCheck>) -> String {
    let Some(LastCheck { result, .. }) = check else {
        return "-".to_owned();
    };
    let detail = if result.detail.is_empty() {
        String::new()
    } else {
        format!(" {}", result.detail)
    };
    format!("{:?}{detail} in {}", result.code, duration::show(result.duration))
}

/// What an operator should know of it: who set something by hand, why it gets no new flows, what is missing.
fn note(backend: &Backend, now: u64) -> String {
    let mut notes = Vec::new();
    if let Some(by) = &backend.set_by {
        notes.push(format!("set by {} {} ago", by.who, people::since(now, by.at)));
    }
    notes.extend(backend.out_because.clone());
    if !backend.next_hop_resolved && backend.out_because.as_deref() != Some(&backend.next_hop) {
        notes.push(backend.next_hop.clone());
    }
    notes.join(", ")
}
