//! `lb list`.

use std::time::Duration;

use super::output::{Look, Shown};
use super::people;
use super::table::{Cell, Paint, Table};
use crate::core::model::AdminState;
use crate::core::observed::Health;
use crate::core::view::{Backend, Service};

impl Shown for Vec<Service> {
    fn table(&self, look: &Look<'_, Self>) -> String {
        let traffic = if look.before.is_some() {
            ["PPS", "BPS", "NEW/S"]
        } else {
            ["PACKETS", "BYTES", "NEW FLOWS"]
        };
        let mut header = vec!["SERVICE", "VIP", "MODE", "BACKENDS"];
        header.extend(traffic);
        header.push("STATE");
        if look.wide {
            header.extend(["CHECK", "WHEN ALL DOWN", "SLOTS", "BACK PACKETS", "BACK BYTES"]);
        }
        let mut table = Table::new(&header);
        for service in self {
            let before = look.before.and_then(|(services, elapsed)| {
                services
                    .iter()
                    .find(|before| before.name == service.name)
                    .map(|before| (before, elapsed))
            });
            table.row(row(service, look, before));
        }
        table.show(look.colour)
    }

    fn names(&self) -> Vec<String> {
        self.iter().map(|service| service.name.clone()).collect()
    }
}

fn row(service: &Service, look: &Look<'_, Vec<Service>>, before: Option<(&Service, Duration)>) -> Vec<Cell> {
    let counters = &service.counters;
    let mut cells: Vec<Cell> = vec![
        (&service.name).into(),
        (&service.vip).into(),
        (&service.mode).into(),
        backends(service).into(),
    ];
    cells.extend(
        match (look.before, before) {
            (None, _) => [
                people::count(counters.packets),
                people::bytes(counters.bytes),
                people::count(counters.new_flows),
            ],
            (Some(_), None) => ["-", "-", "-"].map(str::to_owned),
            (Some(_), Some((before, elapsed))) => {
                let rate = |now, then| people::per_second(now, then, elapsed);
                [
                    people::rate(rate(counters.packets, before.counters.packets)),
                    people::bit_rate(rate(counters.bytes, before.counters.bytes)),
                    people::rate(rate(counters.new_flows, before.counters.new_flows)),
                ]
            }
        }
        .map(Cell::from),
    );
    cells.push(state(&service.state));
    if look.wide {
        cells.extend([
            (&service.check).into(),
            (&service.when_all_down).into(),
            service.table_size.into(),
            people::count(counters.back_packets).into(),
            Cell::from(people::bytes(counters.back_bytes)),
        ]);
    }
    cells
}

/// `2 up 1 down`; what an operator took out is counted as that.
pub(super) fn backends(service: &Service) -> String {
    let count = |state: AdminState, health: Option<Health>| {
        let matches =
            |backend: &&Backend| backend.state == state && health.is_none_or(|health| backend.health == health);
        service.backends.iter().filter(matches).count()
    };
    let counts = [
        (count(AdminState::Ready, Some(Health::Up)), "up"),
        (count(AdminState::Ready, Some(Health::Down)), "down"),
        (count(AdminState::Ready, Some(Health::Unknown)), "unknown"),
        (count(AdminState::Drain, None), "drain"),
        (count(AdminState::Maint, None), "maint"),
    ];
    let parts: Vec<String> = counts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, name)| format!("{number} {name}"))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(" ")
    }
}

pub(super) fn state(state: &str) -> Cell {
    let paint = match state {
        "ok" => Paint::Green,
        "degraded" => Paint::Yellow,
        _ => Paint::Red,
    };
    Cell::painted(state, Some(paint))
}
