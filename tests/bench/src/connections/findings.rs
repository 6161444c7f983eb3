//! What is made of the findings: figures, tables, charts, and how it was measured.

use super::client::Use;
use super::row::{Places, Subject};
use super::{Extents, Findings, Measured, QUANTILES, USES, pace};
use crate::measure::Samples;
use crate::report::{Better, Chart, ChartKind, Figure, Section, Series, Table};

impl Use {
    /// As names of figures have it.
    fn name(self) -> &'static str {
        match self {
            Self::Once => "new",
            Self::KeptAlive => "keepalive",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Once => "A connection for each request",
            Self::KeptAlive => "Requests over connections that are kept",
        }
    }
}

/// What is said of it all.
pub fn section(measured: &[Measured], extents: &Extents, places: Places, skipped: Vec<String>) -> Section {
    let findings = All(measured);
    let mut figures = Vec::new();
    for one in measured {
        for connections in USES {
            figures.extend(findings.figures(one, connections));
        }
    }
    let mut tables: Vec<Table> = USES.map(|connections| findings.table(connections)).into();
    tables.extend(program_table(measured));
    Section {
        name: "connections".into(),
        title: "Requests to real servers".into(),
        method: method(extents, places),
        charts: vec![
            chart(
                "rate",
                "Requests per second at full load, of that directly",
                &figures,
                |figure| {
                    figure
                        .ratios
                        .iter()
                        .find(|ratio| ratio.to == "direct")
                        .map(|ratio| ratio.median)
                },
            ),
            chart(
                "balancing-cpu-per-request",
                "CPU time of balancing per request, µs",
                &figures,
                |figure| Some(figure.median),
            ),
        ],
        figures,
        tables,
        skipped,
    }
}

/// The findings of all rows, which are compared with each other.
struct All<'a>(&'a [Measured]);

impl All<'_> {
    fn of(&self, subject: Subject, connections: Use) -> Option<&Findings> {
        let found = self.0.iter().find(|one| one.subject == subject);
        found.map(|one| one.of(connections))
    }

    /// CPU time that a request takes more than it does directly, round by round, in microseconds.
    fn balancing_us(&self, one: &Measured, connections: Use) -> Option<Samples> {
        let direct = self.of(Subject::Direct, connections)?;
        let own = one.of(connections);
        (one.subject != Subject::Direct).then(|| own.cpu_us.less(&direct.cpu_us))
    }

    fn figures(&self, one: &Measured, connections: Use) -> Vec<Figure> {
        let own = one.of(connections);
        let name = |what: &str| format!("connections/{}/{}/{what}", one.subject.name(), connections.name());
        let peers = [Subject::Direct, Subject::Haproxy];
        let compared = |mut figure: Figure, samples: &Samples, of: &dyn Fn(&Findings) -> Samples| {
            for peer in peers.into_iter().filter(|peer| *peer != one.subject) {
                if let Some(findings) = self.of(peer, connections) {
                    figure = figure.ratio(peer.name(), samples, &of(findings));
                }
            }
            figure
        };
        let unit = match connections {
            Use::Once => "connections/s",
            Use::KeptAlive => "requests/s",
        };
        let rate = Figure::new(name("rate"), unit, Better::More, &own.rate);
        let cpu = Figure::new(name("cpu-per-request"), "µs", Better::Less, &own.cpu_us);
        let mut figures = vec![
            compared(rate, &own.rate, &|other| other.rate.clone()),
            compared(cpu, &own.cpu_us, &|other| other.cpu_us.clone()),
        ];
        for (place, (quantile, _)) in QUANTILES.iter().enumerate() {
            let samples = &own.latency_us[place];
            let figure = Figure::new(name(quantile), "µs", Better::Less, samples);
            figures.push(compared(figure, samples, &|other| other.latency_us[place].clone()));
        }
        if let Some(samples) = self.balancing_us(one, connections) {
            let mut figure = Figure::new(name("balancing-cpu-per-request"), "µs", Better::Less, &samples);
            let haproxy = self.0.iter().find(|other| other.subject == Subject::Haproxy);
            let haproxy = haproxy.filter(|_| one.subject != Subject::Haproxy);
            if let Some(other) = haproxy.and_then(|haproxy| self.balancing_us(haproxy, connections)) {
                figure = figure.ratio(Subject::Haproxy.name(), &samples, &other);
            }
            figures.push(figure);
        }
        if one.subject.is_proxy() {
            let figure = Figure::new(name("process-cpu-per-request"), "µs", Better::Less, &own.balancer_us);
            figures.push(figure);
        }
        if let Some((run_time, answers)) = own.run_time {
            let single = |per: f64| [per].into_iter().collect();
            let time_ns = run_time.time.as_nanos() as f64;
            let per_packet = single(time_ns / run_time.packets as f64);
            let per_request = single(time_ns / answers as f64);
            figures.push(Figure::new(name("program-per-packet"), "ns", Better::Less, &per_packet));
            figures.push(Figure::new(
                name("program-per-request"),
                "ns",
                Better::Less,
                &per_request,
            ));
        }
        figures
    }

    fn table(&self, connections: Use) -> Table {
        let columns = [
            "row",
            "per second",
            "spread",
            "of direct",
            "of haproxy",
            "p50",
            "p99",
            "p99.9",
            "CPU",
            "of it balancing",
            "spread",
            "errors",
            "sent again",
        ];
        Table {
            title: format!(
                "{}: rate and CPU time per request (µs) at full load; latency (µs) at {} a second",
                connections.title(),
                pace(connections)
            ),
            columns: columns.map(str::to_owned).into(),
            rows: self.0.iter().map(|one| self.row(one, connections)).collect(),
        }
    }

    fn row(&self, one: &Measured, connections: Use) -> Vec<String> {
        let own = one.of(connections);
        let of = |peer: Subject| {
            let peer = self.of(peer, connections);
            peer.map_or("-".into(), |peer| format!("{:.2}", own.rate.over(&peer.rate).median()))
        };
        let balancing = self.balancing_us(one, connections);
        let [balancing, spread] = balancing.map_or(["-".into(), "-".into()], |balancing| {
            [
                format!("{:.1}", balancing.median()),
                format!("± {:.1}", balancing.half_quartiles()),
            ]
        });
        let mut cells = vec![
            one.subject.name().to_owned(),
            format!("{:.0}", own.rate.median()),
            format!("{:.1} %", own.rate.spread() * 100.0),
            of(Subject::Direct),
            of(Subject::Haproxy),
        ];
        cells.extend(own.latency_us.iter().map(|samples| format!("{:.0}", samples.median())));
        cells.extend([
            format!("{:.1}", own.cpu_us.median()),
            balancing,
            spread,
            errors(own),
            own.retransmitted.to_string(),
        ]);
        cells
    }
}

/// How many, and what the most frequent was.
fn errors(findings: &Findings) -> String {
    let sum: u64 = findings.errors.values().sum();
    match findings.errors.iter().max_by_key(|(_, times)| **times) {
        None => "0".into(),
        Some((error, _)) => format!("{sum} of {}: {error}", findings.requests + sum),
    }
}

/// What `lb`'s program takes by itself.
fn program_table(measured: &[Measured]) -> Option<Table> {
    let mut rows = Vec::new();
    for one in measured {
        for connections in USES {
            let Some((run_time, answers)) = one.of(connections).run_time else {
                continue;
            };
            let time_ns = run_time.time.as_nanos() as f64;
            let (packets, answers) = (run_time.packets as f64, answers as f64);
            rows.push(vec![
                format!("{} {}", one.subject.name(), connections.name()),
                format!("{:.1}", packets / answers),
                format!("{:.0}", time_ns / packets),
                format!("{:.0}", time_ns / answers),
            ]);
        }
    }
    let columns = ["row", "packets per request", "ns per packet", "ns per request"];
    (!rows.is_empty()).then(|| Table {
        title: "lb's own program, by the kernel's statistics of BPF programs".into(),
        columns: columns.map(str::to_owned).into(),
        rows,
    })
}

/// Bars of a figure of all rows.
fn chart(what: &str, title: &str, figures: &[Figure], value: impl Fn(&Figure) -> Option<f64>) -> Chart {
    let of = |row: &str, connections: Use| {
        let wanted = format!("connections/{row}/{}/{what}", connections.name());
        figures.iter().find(|figure| figure.name == wanted).and_then(&value)
    };
    let all = Subject::ALL.map(Subject::name);
    let rows: Vec<&str> = all.into_iter().filter(|row| of(row, Use::Once).is_some()).collect();
    let series = USES.map(|connections| Series {
        name: connections.title().into(),
        values: rows.iter().map(|row| of(row, connections)).collect(),
    });
    Chart {
        title: title.into(),
        file: format!("connections-{what}"),
        kind: ChartKind::Bars,
        x: "row".into(),
        places: rows.iter().map(|row| (*row).to_owned()).collect(),
        y: title.into(),
        logarithmic: false,
        series: series.into(),
    }
}

fn method(extents: &Extents, places: Places) -> Vec<String> {
    vec![format!(
        "A client, the balancer and {} nginx servers in network namespaces, joined by veth and a bridge (`nat` and nft: the \
             balancer is the servers' router); answers of some 180 bytes. The client runs on CPU {}, the servers and the program that \
             balances on CPU {}. {} rounds; in each every row is measured in turn, beginning with another one, {:.1} s at full load \
             with {} connections at a time and {:.1} s at a pace, for both uses of connections.",
        extents.servers,
        places.client,
        places.servers,
        extents.rounds,
        extents.full.as_secs_f64(),
        extents.at_a_time,
        extents.paced.as_secs_f64(),
    )]
}
