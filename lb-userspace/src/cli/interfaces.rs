//! `lb interfaces`.

use super::output::{Look, Shown};
use super::table::{Cell, Paint, Table};
use crate::core::model::XdpMode;
use crate::core::view::Interface;

impl Shown for Vec<Interface> {
    fn table(&self, look: &Look<'_, Self>) -> String {
        let mut table = Table::new(&["INTERFACE", "XDP", "LINK", "KIND", "MTU", "MAC", "ADDRESSES"]);
        for interface in self {
            let link = if interface.up { "up" } else { "down" };
            let paint = (!interface.up && interface.attached.is_some()).then_some(Paint::Red);
            let kind = if interface.kind.is_empty() {
                "-"
            } else {
                &interface.kind
            };
            table.row(vec![
                (&interface.name).into(),
                program(interface),
                Cell::painted(link, paint),
                kind.into(),
                interface.mtu_bytes.into(),
                (&interface.mac).into(),
                interface.addresses.join(" ").into(),
            ]);
        }
        table.show(look.colour)
    }

    fn names(&self) -> Vec<String> {
        self.iter().map(|interface| interface.name.clone()).collect()
    }
}

/// Whose program is on the interface.
fn program(interface: &Interface) -> Cell {
    match (interface.attached, interface.other_program) {
        (Some(mode), _) => Cell::painted(mode_name(mode), Some(Paint::Green)),
        (None, Some(number)) => Cell::painted(format!("other (program {number})"), Some(Paint::Yellow)),
        (None, None) => "-".into(),
    }
}

pub(super) fn mode_name(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Native => "native",
        XdpMode::Generic => "generic",
        XdpMode::Auto => "auto",
    }
}
