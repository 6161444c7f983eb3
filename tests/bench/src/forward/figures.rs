//! What is made of the samples.

use lb_userspace::core::model::Mode;

use super::nft::Ruleset;
use super::subject::{FEW, Subject};
use super::trafficgen::Compared;
use super::world::Load;
use super::{Extents, Measured, Results};
use crate::bpf::floors::Floor;
use crate::report::number::{self, flows as named_flows};
use crate::report::{Better, Chart, ChartKind, Figure, Section, Series, Table};

/// A cell of which nothing is known.
const NOTHING: &str = "-";

/// The smallest balancer.
const FLOOR: Subject = Subject::Floor(Floor::Balancer);
/// What most of Linux's own load balancing is.
const NFTABLES: Subject = Subject::Nft(Ruleset::Conntrack);

/// Samples of one way to measure, found by load.
struct Found<'a> {
    /// As figures are named.
    name: &'static str,
    measured: &'a [Measured],
}

impl<'a> Found<'a> {
    fn one(&self, load: Load) -> Option<&'a Measured> {
        self.measured.iter().find(|one| one.load == load)
    }

    /// Subjects, in their order.
    fn subjects(&self) -> impl Iterator<Item = Subject> {
        let is_here = |subject: &Subject| self.measured.iter().any(|one| one.load.subject == *subject);
        Subject::ALL.into_iter().filter(is_here)
    }

    /// Packets per second, as a multiple of what the others deliver that it is compared with.
    fn rate(&self, one: &Measured) -> Figure {
        let better = match one.load.subject {
            Subject::Lb(_) | FLOOR => Better::More,
            // What is not ours may get worse.
            Subject::Floor(_) | Subject::Router | Subject::Nft(_) => Better::Neither,
        };
        let mut figure = Figure::new(self.path(one.load), "packets/s", better, &one.rate);
        for (name, other) in [("floor", FLOOR), ("nftables", NFTABLES)] {
            let other = self.one(Load {
                subject: other,
                ..one.load
            });
            if let Some(other) = other.filter(|other| other.load != one.load) {
                figure = figure.ratio(name, &one.rate, &other.rate);
            }
        }
        figure
    }

    /// Nanoseconds per packet, which say the same and can be added and subtracted.
    fn time(&self, one: &Measured) -> Figure {
        let name = format!("{}/ns", self.path(one.load));
        Figure::new(name, "ns", Better::Neither, &one.time)
    }

    fn path(&self, load: Load) -> String {
        format!(
            "forward/{}/{}/{}/{}",
            self.name,
            load.subject.name(),
            load.bytes,
            load.flows
        )
    }

    /// A row a subject that there is something to say of.
    fn table(
        &self,
        title: String,
        columns: Vec<String>,
        loads: &[Load],
        cell: impl Fn(&Measured) -> Option<String>,
    ) -> Table {
        let row = |subject: Subject| {
            let cells = loads.iter().map(|load| {
                let one = self.one(Load { subject, ..*load });
                one.and_then(&cell).unwrap_or_else(|| NOTHING.into())
            });
            std::iter::once(subject.name()).chain(cells).collect()
        };
        let says_something = |row: &Vec<String>| row.iter().skip(1).any(|cell| cell != NOTHING);
        Table {
            title,
            columns: std::iter::once(String::new()).chain(columns).collect(),
            rows: self.subjects().map(row).filter(says_something).collect(),
        }
    }

    /// Packets per second as a multiple of another subject's with the same load.
    fn times(&self, one: &Measured, other: Subject) -> Option<String> {
        let other = self.one(Load {
            subject: other,
            ..one.load
        })?;
        Some(format!("{:.2}", one.rate.over(&other.rate).median()))
    }
}

/// What is said of it all.
pub fn section(results: &Results, extents: &Extents, mut skipped: Vec<String>) -> Section {
    let one = Found {
        name: "one-core",
        measured: &results.one_core,
    };
    let mut figures: Vec<Figure> = one.measured.iter().map(|measured| one.rate(measured)).collect();
    figures.extend(one.measured.iter().map(|measured| one.time(measured)));
    let mut tables = by_flows(&one, extents);
    tables.extend(by_size(&one, extents));
    match &results.trafficgen {
        Ok(compared) => {
            figures.push(of_trafficgen(compared));
            tables.push(table_of_trafficgen(compared));
        }
        Err(why) => skipped.push(format!("packets of xdp-trafficgen: {why}")),
    }
    match &results.two_cores {
        Ok(measured) => {
            let two = Found {
                name: "two-cores",
                measured,
            };
            figures.extend(two.measured.iter().map(|measured| two.rate(measured)));
            tables.extend(across(&two));
        }
        Err(why) => skipped.push(format!("balancers on another core than the sender: {why}")),
    }
    Section {
        name: "forward".into(),
        title: "Packets per second through a balancer".into(),
        method: method(results, extents),
        charts: vec![lines(&one, extents), bars(&one, extents)],
        tables,
        figures,
        skipped,
    }
}

fn method(results: &Results, extents: &Extents) -> Vec<String> {
    let packets = number::plain(extents.packets as f64);
    let how = format!(
        "A program of ours makes UDP packets of random flows (`BPF_PROG_TEST_RUN` with live frames) and redirects them into a veth. At \
         its other end, in a network namespace of its own, is what is measured: `lb` (the daemon as it is installed, 100 backends a \
         service, native XDP), the smallest programs, or Linux without XDP. It sends packets back by the same interface, where they \
         are counted and end: in the driver for XDP, as early as the stack can for Linux, which keeps Linux from making frames of its \
         packets again. Everything has a veth of its own that is like all others. Sizes are those of Ethernet frames, the check \
         sequence counted. {packets} packets a sample, an eighth of them for Linux, some more before that to warm up; {} rounds in which \
         everything is measured once, in turn, and {} times in all that everything is built anew. Ratios are medians of the ratios of each round.",
        extents.rounds, extents.worlds
    );
    let one_core = format!(
        "One core does everything, from making a packet to its end: what a packet takes is all that happens to it. One packet of each \
         subject was looked at, checksums and all. {}",
        losses(&results.one_core)
    );
    let two_cores = "Two cores: the sender on one, the interface of what is measured polled on the other (threaded NAPI), more packets \
                     than it can take, a quarter of the rounds. What counts is what it delivers.";
    let mut paragraphs = vec![how, one_core];
    if results.two_cores.is_ok() {
        paragraphs.push(two_cores.into());
    }
    paragraphs
}

/// What did not arrive, or not in order.
fn losses(measured: &[Measured]) -> String {
    let sent: u64 = measured.iter().map(|one| one.sent).sum();
    let what = |one: &Measured| {
        let Load { subject, bytes, flows } = one.load;
        let lost = number::percent(one.lost());
        let late = number::plain(one.late as f64);
        let name = subject.name();
        (one.lost() > 0.0 || one.late > 0)
            .then(|| format!("{name} ({bytes} bytes, {flows} flows) lost {lost} and reordered {late}"))
    };
    let troubled: Vec<String> = measured.iter().filter_map(what).collect();
    let sent = number::plain(sent as f64);
    match troubled.is_empty() {
        true => format!("All {sent} packets arrived, those of each flow in their order."),
        false => format!("Of {sent} packets not all arrived in order: {}.", troubled.join("; ")),
    }
}

fn by_flows(one: &Found, extents: &Extents) -> Vec<Table> {
    let bytes = extents.bytes[0];
    let loads: Vec<Load> = extents.flows.iter().map(|flows| any(bytes, *flows)).collect();
    let table = |title: &str, cell: &dyn Fn(&Measured) -> Option<String>| {
        let columns = extents.flows.iter().map(|flows| named_flows(*flows)).collect();
        let title = format!("one core, {bytes} bytes: {title}");
        one.table(title, columns, &loads, cell)
    };
    vec![
        table("million packets per second", &|one| Some(millions(one))),
        table("nanoseconds per packet", &|one| Some(number::plain(one.time.median()))),
        table("times the packets of the smallest balancer", &|measured| {
            one.times(measured, FLOOR)
        }),
        table("times the packets of nftables with conntrack", &|measured| {
            one.times(measured, NFTABLES)
        }),
    ]
}

fn by_size(one: &Found, extents: &Extents) -> Vec<Table> {
    if extents.bytes.len() == 1 || !extents.flows.contains(&FEW) {
        return Vec::new();
    }
    let loads: Vec<Load> = extents.bytes.iter().map(|bytes| any(*bytes, FEW)).collect();
    let table = |title: &str, cell: &dyn Fn(&Measured) -> Option<String>| {
        let columns = extents.bytes.iter().map(|bytes| format!("{bytes} bytes")).collect();
        let title = format!("one core, {} flows: {title}", named_flows(FEW));
        one.table(title, columns, &loads, cell)
    };
    vec![
        table("million packets per second", &|one| Some(millions(one))),
        table("times the packets of the smallest balancer", &|measured| {
            one.times(measured, FLOOR)
        }),
    ]
}

fn across(two: &Found) -> Option<Table> {
    let load = two.measured.first()?.load;
    let columns = ["M packets/s", "× smallest", "× nftables", "not taken"].map(str::to_owned);
    let cells = |subject: Subject| {
        let one = two.one(Load { subject, ..load })?;
        let mut row = vec![subject.name(), format!("{:.2}", one.rate.median() / 1e6)];
        for other in [FLOOR, NFTABLES] {
            row.push(two.times(one, other).unwrap_or_else(|| NOTHING.into()));
        }
        row.push(number::percent(one.lost()));
        Some(row)
    };
    Some(Table {
        title: format!(
            "two cores, {} bytes, {} flows: delivered under overload",
            load.bytes,
            named_flows(load.flows)
        ),
        columns: std::iter::once(String::new()).chain(columns).collect(),
        rows: two.subjects().filter_map(cells).collect(),
    })
}

fn of_trafficgen(compared: &Compared) -> Figure {
    let name = "forward/one-core/floor-tx-by-xdp-trafficgen/64/4096";
    let figure = Figure::new(name, "packets/s", Better::Neither, &compared.theirs);
    figure.ratio("our generator", &compared.theirs, &compared.ours)
}

fn table_of_trafficgen(compared: &Compared) -> Table {
    let row = |name: &str, rate: f64| vec![name.to_owned(), format!("{:.2}", rate / 1e6)];
    Table {
        title: "one core, 64 bytes, sent back by floor-tx: another generator's packets".into(),
        columns: ["generator", "M packets/s"].map(str::to_owned).to_vec(),
        rows: vec![
            row("ours", compared.ours.median()),
            row("xdp-trafficgen", compared.theirs.median()),
        ],
    }
}

/// What is shown in the charts.
const SHOWN: [Subject; 7] = [
    FLOOR,
    Subject::Lb(Mode::Ipip),
    Subject::Lb(Mode::L2),
    Subject::Lb(Mode::Nat),
    Subject::Lb(Mode::Fullnat),
    Subject::Nft(Ruleset::Stateless),
    NFTABLES,
];

fn lines(one: &Found, extents: &Extents) -> Chart {
    let bytes = extents.bytes[0];
    let series = SHOWN.into_iter().map(|subject| Series {
        name: subject.name(),
        values: extents
            .flows
            .iter()
            .map(|flows| {
                let one = one.one(Load {
                    subject,
                    ..any(bytes, *flows)
                });
                one.map(|one| one.rate.median())
            })
            .collect(),
    });
    Chart {
        title: format!("Packets of {bytes} bytes through one core, by the number of flows"),
        file: "forward-flows".into(),
        kind: ChartKind::Lines,
        x: "flows".into(),
        places: extents.flows.iter().map(|flows| named_flows(*flows)).collect(),
        y: "packets per second".into(),
        logarithmic: false,
        series: series.collect(),
    }
}

fn bars(one: &Found, extents: &Extents) -> Chart {
    let flows = extents.usual_flows();
    let subjects: Vec<Subject> = one.subjects().filter(|subject| subject.sends()).collect();
    let series = extents.bytes.iter().map(|bytes| Series {
        name: format!("{bytes} bytes"),
        values: subjects
            .iter()
            .map(|subject| {
                let one = one.one(Load {
                    subject: *subject,
                    ..any(*bytes, flows)
                });
                one.map(|one| one.rate.median())
            })
            .collect(),
    });
    Chart {
        title: format!("Packets of {} through one core", named_flows(flows)),
        file: "forward-subjects".into(),
        kind: ChartKind::Bars,
        x: String::new(),
        places: subjects.iter().map(|subject| subject.name()).collect(),
        y: "packets per second".into(),
        logarithmic: false,
        series: series.collect(),
    }
}

/// A load, to be one of any subject.
fn any(bytes: u32, flows: u32) -> Load {
    Load {
        subject: FLOOR,
        bytes,
        flows,
    }
}

fn millions(one: &Measured) -> String {
    let rate = format!("{:.2}", one.rate.median() / 1e6);
    match one.lost() {
        0.0 => rate,
        lost => format!("{rate} ({} lost)", number::percent(lost)),
    }
}
