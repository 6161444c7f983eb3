//! What is made of the samples.

use super::Extents;
use super::against::Rivals;
use super::rounds::{Bench, Measured};
use super::scenario;
use crate::measure::Samples;
use crate::report::number::flows as named_flows;
use crate::report::{Better, Chart, ChartKind, Figure, Section, Series, Table};

/// A cell of which nothing is known.
const NOTHING: &str = "-";
/// What the smallest balancer is compared with.
const C: &str = "C";
/// What IPv6, and packets in VLANs, are compared with.
const IPV4: &str = "plain IPv4";

/// All samples, found by name and number of flows.
struct Found<'a>(&'a [Measured<'a>]);

impl Found<'_> {
    fn one(&self, name: &str, flows: u32) -> Option<&Measured<'_>> {
        self.0.iter().find(|one| one.name() == name && one.flows() == flows)
    }

    /// What the program itself takes.
    fn net(&self, one: &Measured) -> Option<Samples> {
        let drop = self.one(one.drop(), one.flows())?;
        Some(one.gross.less(&drop.gross))
    }

    /// The same in the quietest moments of the run. Not the least of the differences: that would be the moment in which the feeder
    /// was slow.
    fn quickest(&self, one: &Measured) -> Option<f64> {
        let drop = self.one(one.drop(), one.flows())?;
        Some(one.gross.min() - drop.gross.min())
    }

    fn named(&self, name: &str, flows: u32) -> Option<Samples> {
        self.one(name, flows).and_then(|one| self.net(one))
    }

    fn figure(&self, one: &Measured, rival: Option<&str>) -> Option<Figure> {
        let own = self.net(one)?;
        let (name, flows) = (one.name(), one.flows());
        let path = format!("packet/{name}/{flows}");
        let drops = [
            scenario::DROP,
            scenario::DROP_LISTED,
            scenario::DROP_SIX,
            scenario::DROP_SIX_LISTED,
            scenario::DROP_TAGGED,
        ];
        if drops.contains(&name) {
            // What the feeder and the call take: on these nothing is taken off.
            return Some(Figure::new(path, "ns", Better::Neither, &one.gross));
        }
        let is_ours = rival.is_none_or(|rival| !name.starts_with(rival));
        // Another balancer that got slower is no loss.
        let better = if is_ours { Better::Less } else { Better::Neither };
        let mut figure = Figure::new(path, "ns", better, &own);
        figure.min = self.quickest(one)?;
        if let Some(floor) = self.named(scenario::FLOOR, flows) {
            figure = figure.ratio("floor", &own, &floor);
        }
        if name == scenario::FLOOR
            && let Some(in_c) = self.named(scenario::FLOOR_IN_C, flows)
        {
            figure = figure.ratio(C, &own, &in_c);
        }
        if let Some((mode, family)) = name.split_once('/')
            && (family.starts_with("ipv") || family == "tagged")
            && let Some(four) = self.named(&format!("{mode}/established"), flows)
        {
            figure = figure.ratio(IPV4, &own, &four);
        }
        if let Some(four) = name.strip_suffix("-ipv6").filter(|four| four.ends_with("/back"))
            && let Some(four) = self.named(four, flows)
        {
            figure = figure.ratio(IPV4, &own, &four);
        }
        if let Some(alone) = self.named(name, 1).filter(|_| flows != 1) {
            figure = figure.ratio("1 flow", &own, &alone);
        }
        let Some(rival) = rival.filter(|_| is_ours) else {
            return Some(figure);
        };
        if let Some((theirs, flows)) = counterpart(name, flows)
            && let Some(theirs) = self.named(&format!("{rival}/{theirs}"), flows)
        {
            figure = figure.ratio(rival, &own, &theirs);
        }
        if name.ends_with("/established")
            && let Some(theirs) = self.named(&format!("{rival}/stateless"), flows)
        {
            figure = figure.ratio(&format!("{rival} stateless"), &own, &theirs);
        }
        Some(figure)
    }
}

/// What of another balancer does the same as a scenario of ours, and with how many flows.
fn counterpart(name: &str, flows: u32) -> Option<(&'static str, u32)> {
    match name {
        // A flow that is open sends no SYN in `fullnat`.
        "fullnat/syn" | "ipip/established+trace" => None,
        _ if name.starts_with("floor/") => None,
        _ => match name.rsplit_once('/')?.1 {
            "established" | "back" => Some(("established", flows)),
            "syn" | "new-flow" => Some(("new-flow", 1)),
            "udp" if flows == 1 => Some(("udp", 1)),
            "not-ours" if flows == 1 => Some(("not-ours", 1)),
            _ => None,
        },
    }
}

/// The ratio of a figure to another.
fn ratio(figure: &Figure, to: &str) -> String {
    let ratio = figure.ratios.iter().find(|ratio| ratio.to == to);
    ratio.map_or_else(|| NOTHING.into(), |ratio| format!("{:.2}", ratio.median))
}

/// A figure as a multiple of the smallest balancer, both at their quickest.
fn quickest_ratio(figure: &Figure, figures: &[Figure]) -> String {
    let flows = figure.name.rsplit_once('/').map_or("", |(_, flows)| flows);
    let floor = format!("packet/{}/{flows}", scenario::FLOOR);
    let Some(floor) = figures.iter().find(|other| other.name == floor) else {
        return NOTHING.into();
    };
    match figure.name.contains(scenario::DROP) {
        true => NOTHING.into(),
        false => format!("{:.2}", figure.min / floor.min),
    }
}

/// What is said of it all.
pub fn section(measured: &[Measured], extents: &Extents, bench: &Bench) -> Section {
    let rivals = bench.rivals();
    let found = Found(measured);
    let rival = rivals.map(Rivals::name);
    let figures: Vec<Figure> = measured.iter().filter_map(|one| found.figure(one, rival)).collect();
    let mut method = vec![format!(
        "`BPF_PROG_TEST_RUN` on one core, {} packets of 60 bytes (of IPv6 80, in a VLAN 64) a sample after {} to warm up, in a few calls of which the \
         shortest counts, {} rounds in which everything is measured once, in turn. A feeder puts each packet back, gives it another flow at random and tail-calls the program; \
         time is the thread's CPU time, less what the same takes with a program that only drops. Ratios are medians of the \
         ratios of each round; the quickest is the least of all rounds, the feeder's least taken off, so that what else \
         the machine did at the time is left out.",
        extents.packets, extents.warm_up, extents.rounds
    )];
    let mut tables = vec![
        table(&figures, extents, "ns per packet, median", |figure| {
            format!("{:.1}", figure.median)
        }),
        table(&figures, extents, "times the smallest balancer", |figure| {
            ratio(figure, "floor")
        }),
        table(
            &figures,
            extents,
            "times the smallest balancer, both at their quickest",
            |figure| quickest_ratio(figure, &figures),
        ),
        table(&figures, extents, "times the same over IPv4 without tags", |figure| {
            ratio(figure, IPV4)
        }),
    ];
    if bench.has_floor_in_c() {
        tables.push(table(&figures, extents, "times the same in C", |figure| {
            ratio(figure, C)
        }));
    }
    method.push(
        match bench.has_floor_in_c() {
            true => "`floor/balancer-in-c` is the smallest balancer as clang makes it of C, `tests/bench/src/bpf/floor.c`.",
            false => "The smallest balancer was not measured in C: there is no clang here, which Debian's package `clang` has.",
        }
        .to_owned(),
    );
    if let Some(rivals) = rivals {
        method.push(rivals.setup());
        let title = format!("times {}", rivals.name());
        tables.push(table(&figures, extents, &title, |figure| ratio(figure, rivals.name())));
    }
    Section {
        name: "packet".into(),
        title: "Nanoseconds per packet".into(),
        method,
        tables,
        charts: vec![chart(&figures, extents, rival)],
        figures,
        skipped: Vec::new(),
    }
}

/// A row a scenario that there is something to say of, a column a number of flows.
fn table(figures: &[Figure], extents: &Extents, title: &str, cell: impl Fn(&Figure) -> String) -> Table {
    let mut columns = vec!["scenario".to_owned()];
    columns.extend(extents.flows.iter().map(|flows| named_flows(*flows)));
    let rows = names(figures).into_iter().map(|name| {
        let cells = extents.flows.iter().map(|flows| {
            let wanted = format!("packet/{name}/{flows}");
            let figure = figures.iter().find(|figure| figure.name == wanted);
            figure.map_or_else(|| NOTHING.into(), &cell)
        });
        std::iter::once(name.to_owned()).chain(cells).collect()
    });
    let says_something = |row: &Vec<String>| row.iter().skip(1).any(|cell| cell != NOTHING);
    Table {
        title: title.into(),
        columns,
        rows: rows.filter(says_something).collect(),
    }
}

fn chart(figures: &[Figure], extents: &Extents, rival: Option<&str>) -> Chart {
    let ours = [
        "floor/balancer",
        "ipip/established",
        "l2/established",
        "nat/established",
        "fullnat/established",
        "fullnat/back",
        "pass/not-ours",
    ];
    let theirs = ["established", "stateless"].into_iter();
    let theirs = rival
        .into_iter()
        .flat_map(|rival| theirs.clone().map(move |what| format!("{rival}/{what}")));
    let shown = ours.into_iter().map(str::to_owned).chain(theirs);
    let series = shown.map(|name| Series {
        values: extents
            .flows
            .iter()
            .map(|flows| {
                let wanted = format!("packet/{name}/{flows}");
                figures
                    .iter()
                    .find(|figure| figure.name == wanted)
                    .map(|figure| figure.median)
            })
            .collect(),
        name,
    });
    Chart {
        title: "Cost of a packet by the number of flows".into(),
        file: "packet-flows".into(),
        kind: ChartKind::Lines,
        x: "flows".into(),
        places: extents.flows.iter().map(|flows| named_flows(*flows)).collect(),
        y: "ns per packet".into(),
        logarithmic: false,
        series: series.collect(),
    }
}

/// Names of scenarios, in the figures' order.
fn names(figures: &[Figure]) -> Vec<&str> {
    let mut names = Vec::new();
    for figure in figures {
        let name = figure
            .name
            .strip_prefix("packet/")
            .and_then(|rest| rest.rsplit_once('/'));
        if let Some((name, _)) = name
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_is_compared_with_like() {
        assert_eq!(counterpart("fullnat/back", 65_536), Some(("established", 65_536)));
        assert_eq!(counterpart("ipip/established", 1), Some(("established", 1)));
        assert_eq!(counterpart("fullnat/new-flow", 1 << 20), Some(("new-flow", 1)));
        assert_eq!(counterpart("ipip/syn", 65_536), Some(("new-flow", 1)));
        assert_eq!(counterpart("pass/not-ours", 1), Some(("not-ours", 1)));
        for (name, flows) in [
            ("fullnat/syn", 1),
            ("l2/udp", 65_536),
            ("drop/fragment", 1),
            ("floor/not-ours", 1),
        ] {
            assert_eq!(counterpart(name, flows), None, "{name}");
        }
    }
}
