//! What is made of the samples.

use super::Extents;
use super::rounds::Measured;
use super::scenario;
use crate::report::{Better, Chart, ChartKind, Figure, Section, Series, Table};

/// What is said of it all.
pub fn section(measured: &[Measured], extents: &Extents) -> Section {
    let gross = |name: &str, flows: u32| {
        let found = measured
            .iter()
            .find(|one| one.scenario.name == name && one.flows == flows);
        found.map(|one| &one.gross)
    };
    let net = |one: &Measured| {
        let drop = if one.scenario.is_listed {
            scenario::DROP_LISTED
        } else {
            scenario::DROP
        };
        gross(drop, one.flows).map(|drop| one.gross.less(drop))
    };
    let mut figures = Vec::new();
    for one in measured {
        let Some(own) = net(one) else { continue };
        let name = format!("packet/{}/{}", one.scenario.name, one.flows);
        if one.scenario.name == scenario::DROP || one.scenario.name == scenario::DROP_LISTED {
            // What the feeder and the call take: on these nothing is taken off.
            figures.push(Figure::new(name, "ns", Better::Neither, &one.gross));
            continue;
        }
        let mut figure = Figure::new(name, "ns", Better::Less, &own);
        let named = |name: &str, flows: u32| {
            measured
                .iter()
                .find(|one| one.scenario.name == name && one.flows == flows)
                .and_then(net)
        };
        if let Some(floor) = named(scenario::FLOOR, one.flows) {
            figure = figure.ratio("floor", &own, &floor);
        }
        if let Some(alone) = named(&one.scenario.name, 1).filter(|_| one.flows != 1) {
            figure = figure.ratio("1 flow", &own, &alone);
        }
        figures.push(figure);
    }
    Section {
        name: "packet".into(),
        title: "Nanoseconds per packet".into(),
        method: vec![format!(
            "`BPF_PROG_TEST_RUN` on one core, {} packets of 60 bytes a sample after {} to warm up, {} rounds in which everything is \
             measured once, in turn. A feeder puts each packet back, gives it another flow at random and tail-calls the program; \
             time is the thread's CPU time, less what the same takes with a program that only drops. Ratios are medians of the \
             ratios of each round.",
            extents.packets, extents.warm_up, extents.rounds
        )],
        tables: vec![
            table(&figures, extents, "ns per packet, median", |figure| {
                format!("{:.1}", figure.median)
            }),
            table(&figures, extents, "times the smallest balancer", |figure| {
                figure
                    .ratios
                    .iter()
                    .find(|ratio| ratio.to == "floor")
                    .map_or(String::new(), |ratio| format!("{:.2}", ratio.median))
            }),
        ],
        charts: vec![chart(&figures, extents)],
        figures,
        skipped: Vec::new(),
    }
}

/// A row a scenario, a column a number of flows.
fn table(figures: &[Figure], extents: &Extents, title: &str, cell: impl Fn(&Figure) -> String) -> Table {
    let mut columns = vec!["scenario".to_owned()];
    columns.extend(extents.flows.iter().map(|flows| named_flows(*flows)));
    let rows = names(figures).into_iter().map(|name| {
        let cells = extents.flows.iter().map(|flows| {
            let wanted = format!("packet/{name}/{flows}");
            figures
                .iter()
                .find(|figure| figure.name == wanted)
                .map_or_else(|| "-".into(), &cell)
        });
        std::iter::once(name.to_owned()).chain(cells).collect()
    });
    Table {
        title: title.into(),
        columns,
        rows: rows.collect(),
    }
}

fn chart(figures: &[Figure], extents: &Extents) -> Chart {
    let shown = [
        "floor/balancer",
        "ipip/established",
        "l2/established",
        "nat/established",
        "fullnat/established",
        "fullnat/back",
        "pass/not-ours",
    ];
    let series = shown.into_iter().map(|name| Series {
        name: name.into(),
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

fn named_flows(flows: u32) -> String {
    match flows {
        1 => "1 flow".into(),
        _ if flows >= 1 << 20 && flows.is_multiple_of(1 << 20) => format!("{} M", flows >> 20),
        _ if flows >= 1 << 10 && flows.is_multiple_of(1 << 10) => format!("{} k", flows >> 10),
        _ => flows.to_string(),
    }
}
