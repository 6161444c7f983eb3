//! `lb status`.

use super::interfaces::mode_name;
use super::output::{Look, Shown};
use super::people;
use super::table::{Cell, Paint, Table};
use crate::core::view::Status;

impl Shown for Status {
    fn table(&self, look: &Look<'_, Self>) -> String {
        let ago = |then| people::since(look.now, then);
        let mut table = Table::new(&["lb", &self.version]);
        let mut row = |name: &str, value: Cell| table.row(vec![name.into(), value]);
        row("node", self.name.as_deref().unwrap_or("-").into());
        row(
            "daemon",
            format!(
                "up {}, data plane {} when it started",
                ago(self.started_at),
                self.data_plane
            )
            .into(),
        );
        row(
            "data plane",
            format!("up {}, ABI {}", ago(self.data_plane_since), self.abi_version).into(),
        );
        row("interfaces", interfaces(self));
        row("revision", self.revision.into());
        row("config", config(self));
        row("services", self.services.into());
        row("backends", backends(self));
        row("next hops", next_hops(self));
        row("slots", used(self.slots_used, self.slots_capacity));
        row("flows", used(self.flow_table_entries, self.flow_table_capacity));
        row("dropped", dropped(self, look));
        for warning in &self.warnings {
            row("warning", Cell::painted(warning, Some(Paint::Yellow)));
        }
        table.show(look.colour)
    }

    fn names(&self) -> Vec<String> {
        self.name.iter().cloned().collect()
    }
}

fn interfaces(status: &Status) -> Cell {
    let attached: Vec<String> = status
        .interfaces
        .iter()
        .filter_map(|interface| Some(format!("{} ({})", interface.name, mode_name(interface.attached?))))
        .collect();
    match attached.is_empty() {
        true => Cell::painted("none attached; attach with: lb attach IFACE", Some(Paint::Yellow)),
        false => attached.join(", ").into(),
    }
}

fn config(status: &Status) -> Cell {
    match status.config_last_load_successful {
        true => "ok".into(),
        false => Cell::painted(
            "the file could not be read when last tried; see lb config check",
            Some(Paint::Red),
        ),
    }
}

fn backends(status: &Status) -> Cell {
    let Status {
        backends,
        backends_up,
        backends_down,
        ..
    } = *status;
    let other = backends.saturating_sub(backends_up + backends_down);
    let mut text = format!("{backends}: {backends_up} up, {backends_down} down");
    if other > 0 {
        text += &format!(", {other} unknown");
    }
    Cell::painted(text, (backends_down > 0).then_some(Paint::Red))
}

fn next_hops(status: &Status) -> Cell {
    match status.next_hops_unresolved {
        0 => "all known".into(),
        number => Cell::painted(format!("{number} not known; see lb show SERVICE"), Some(Paint::Red)),
    }
}

fn used(part: u64, whole: u64) -> Cell {
    let (part_text, whole_text) = (people::count(part), people::count(whole));
    let paint = (part.saturating_mul(10) > whole.saturating_mul(9)).then_some(Paint::Yellow);
    Cell::painted(
        format!("{part_text} of {whole_text} ({})", people::share(part, whole)),
        paint,
    )
}

fn dropped(status: &Status, look: &Look<'_, Status>) -> Cell {
    let packets = people::count(status.dropped_packets);
    match look.before {
        None => format!("{packets} packets; see lb drops").into(),
        Some((before, elapsed)) => {
            let rate = people::per_second(status.dropped_packets, before.dropped_packets, elapsed);
            format!("{packets} packets, {}/s; see lb drops", people::rate(rate)).into()
        }
    }
}
