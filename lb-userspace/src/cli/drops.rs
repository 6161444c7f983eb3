//! `lb drops`.

use super::output::{Look, Shown};
use super::people;
use super::table::{Cell, Paint, Table};
use crate::core::view::ReasonCount;

impl Shown for Vec<ReasonCount> {
    /// Reasons that never came up are left out of the narrow table.
    fn table(&self, look: &Look<'_, Self>) -> String {
        let mut header = vec!["REASON", "VERDICT", "PACKETS"];
        if look.before.is_some() {
            header.push("PPS");
        }
        header.push("MEANING");
        let mut table = Table::new(&header);
        for reason in self.iter().filter(|reason| look.wide || reason.packets > 0) {
            let paint = (reason.verdict == "drop" && reason.packets > 0).then_some(Paint::Red);
            let mut cells: Vec<Cell> = vec![
                (&reason.reason).into(),
                Cell::painted(&reason.verdict, paint),
                people::count(reason.packets).into(),
            ];
            if let Some((before, elapsed)) = look.before {
                let then = before
                    .iter()
                    .find(|before| before.reason == reason.reason)
                    .map_or(0, |before| before.packets);
                cells.push(people::rate(people::per_second(reason.packets, then, elapsed)).into());
            }
            cells.push(reason.meaning.trim().into());
            table.row(cells);
        }
        table.show(look.colour)
    }

    fn names(&self) -> Vec<String> {
        self.iter().map(|reason| reason.reason.clone()).collect()
    }
}
