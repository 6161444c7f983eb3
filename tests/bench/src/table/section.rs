//! What is said of it all: figures, tables and charts.

use super::build::{Built, Changed};
use super::compare::{Moved, Shared};
use super::memory::{OF_A_SERVICE, Taken};
use super::method::Method;
use super::pool::{Change, Weights};
use super::reconcile::Reconciled;
use super::{Extents, Findings};
use crate::measure::Samples;
use crate::report::number::{percent, plain};
use crate::report::{Better, Chart, ChartKind, Figure, Section, Series, Table};

pub fn section(findings: Findings, extents: &Extents) -> Section {
    let mut tables = vec![
        build_table(&findings.builds),
        change_table(&findings.changes),
        share_table(&findings.shares),
        move_table(&findings.moves),
    ];
    if !findings.reconciled.is_empty() {
        tables.push(reconcile_table(&findings.reconciled));
        tables.push(memory_table(&findings.taken, findings.default_limits));
    }
    Section {
        name: "table".into(),
        title: "Maglev tables".into(),
        method: method(extents),
        figures: figures(&findings),
        tables,
        charts: vec![build_chart(&findings.builds), move_chart(&findings.moves)],
        skipped: findings.skipped,
    }
}

fn method(extents: &Extents) -> Vec<String> {
    vec![
        format!(
            "Times are CPU time of one thread, {} rounds in which everything of a kind is done once, and each time the same table \
             is built by the paper's own pseudocode (Eisenbud 2016, section 3.4, without weights): what a time is a multiple of. \
             Building is `core::maglev::build`. A change is `core::plan::service` from the changed pool to the list of writes, each time to \
             another backend; a change of health is that and all its writes into the maps of a loaded program.",
            extents.rounds
        ),
        format!(
            "`equal`: all backends have the same weight; `weights`: from 1 to 100, as many of each. An ideal share is slots x \
             weight / total. The least that a change can move is what the backends lose whose ideal share falls; where shares are uneven it may be \
             less. A change is tried on {} backends, from light to the heaviest, one at a time.",
            extents.subjects
        ),
        "Each slot is a key for the hashes that Maglev is compared with: consistent hashing on a ring (Karger 1997) with 100 and \
         with ketama's 160 points for a weight of 50, and rendezvous hashing (Thaler and Ravishankar 1998; with weights \
         Schindelhauer and Schomaker 2005)."
            .into(),
        "Maps have room for the one service; bytes are what the kernel accounts for them, counters once a CPU. The account is what \
         the daemon keeps on its heap of what is in the maps."
            .into(),
    ]
}

fn figures(findings: &Findings) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut time = |name: String, time: &Samples, paper: &Samples| {
        figures.push(Figure::new(format!("table/{name}"), "ms", Better::Less, time).ratio("paper", time, paper));
    };
    for built in &findings.builds {
        let name = format!("build/{}/{}", built.shape, built.weights.name());
        time(name, &built.time, &built.paper);
    }
    for changed in &findings.changes {
        let name = format!("change/{}/{}", changed.shape, changed.change.name());
        time(name, &changed.time, &changed.paper);
    }
    for one in &findings.reconciled {
        let name = format!("reconcile/{}/{}", one.shape, direction(one));
        time(name, &one.time, &one.paper);
    }
    figures.extend(findings.shares.iter().flat_map(share_figures));
    figures.extend(findings.moves.iter().map(move_figure));
    for taken in &findings.taken {
        let maps = taken.maps.iter().sum();
        figures.push(bytes(format!("maps/{}", taken.shape), maps));
        figures.push(bytes(format!("account/{}", taken.shape), taken.account));
    }
    figures.extend(
        findings
            .default_limits
            .map(|all| bytes("maps/default-limits".into(), all)),
    );
    figures
}

/// What we compare with is not ours to make better.
fn better(method: Method) -> Better {
    match method {
        Method::Maglev => Better::Less,
        Method::Ring(_) | Method::Rendezvous => Better::Neither,
    }
}

fn share_figures(shared: &Shared) -> [Figure; 2] {
    let name = format!("{}/{}/{}", shared.shape, shared.weights.name(), shared.method);
    let figure = |kind: &str, unit: &str, value: f64| {
        let samples = [value].into_iter().collect();
        Figure::new(format!("table/{kind}/{name}"), unit, better(shared.method), &samples)
    };
    [
        figure("share", "ratio", shared.share.most),
        figure("deviation", "slots", shared.share.off_slots),
    ]
}

fn move_figure(moved: &Moved) -> Figure {
    let (shape, weights, change) = (moved.shape, moved.weights.name(), moved.change.name());
    let name = format!("table/moved/{shape}/{weights}/{change}/{}", moved.method);
    Figure::new(name, "slots", better(moved.method), &moved.slots).ratio("minimum", &moved.slots, &moved.least)
}

fn bytes(name: String, bytes: u64) -> Figure {
    let samples = [bytes as f64].into_iter().collect();
    Figure::new(format!("table/memory/{name}"), "bytes", Better::Less, &samples)
}

fn direction(reconciled: &Reconciled) -> &'static str {
    if reconciled.up { "up" } else { "down" }
}

fn table<const N: usize>(title: &str, columns: [&str; N], rows: Vec<Vec<String>>) -> Table {
    Table {
        title: title.into(),
        columns: columns.map(Into::into).into(),
        rows,
    }
}

/// Least, median, spread, and the median of what it is of the paper's.
fn times(time: &Samples, paper: &Samples) -> [String; 4] {
    [
        plain(time.min()),
        plain(time.median()),
        percent(time.spread()),
        plain(time.over(paper).median()),
    ]
}

fn build_table(builds: &[Built]) -> Table {
    let row = |built: &Built| {
        let name = format!("{} {}", built.shape, built.weights.name());
        std::iter::once(name).chain(times(&built.time, &built.paper)).collect()
    };
    let columns = ["slots x backends", "least", "median", "spread", "x paper's"];
    table("Building a table, ms", columns, builds.iter().map(row).collect())
}

fn change_table(changes: &[Changed]) -> Table {
    let row = |changed: &Changed| {
        let name = format!("{} {}", changed.shape, changed.change.name());
        let times = times(&changed.time, &changed.paper);
        std::iter::once(name)
            .chain(times)
            .chain([plain(changed.slots.median())])
            .collect()
    };
    let columns = [
        "one of equal backends",
        "least",
        "median",
        "spread",
        "x paper's",
        "slots to write",
    ];
    let title = "A change, from the pool to the plan, ms";
    table(title, columns, changes.iter().map(row).collect())
}

fn share_table(shares: &[Shared]) -> Table {
    let row = |shared: &Shared| {
        let share = &shared.share;
        vec![
            format!("{} {} {}", shared.shape, shared.weights.name(), shared.method),
            format!("{:.3}", share.most),
            plain(share.off_slots),
            percent(share.off_part),
            if share.is_even { "yes" } else { "no" }.into(),
        ]
    };
    let columns = [
        "slots x backends",
        "largest / ideal",
        "deviation, slots",
        "of the ideal",
        "within 1 slot or 0.5 %",
    ];
    table(
        "Shares, each time the worst of the pool",
        columns,
        shares.iter().map(row).collect(),
    )
}

/// A row a change, a column a method.
fn move_table(moves: &[Moved]) -> Table {
    let rows = moves
        .iter()
        .filter(|moved| moved.method == Method::ALL[0])
        .map(|first| {
            let same = |moved: &&Moved| {
                (moved.shape, moved.weights, moved.change) == (first.shape, first.weights, first.change)
            };
            let slots = moves.iter().filter(same).map(|moved| plain(moved.slots.median()));
            let name = format!("{} {} {}", first.shape, first.weights.name(), first.change.name());
            [name, plain(first.least.median())].into_iter().chain(slots).collect()
        });
    let methods = Method::ALL.iter().map(ToString::to_string);
    Table {
        title: "Slots moved by a change, median".into(),
        rows: rows.collect(),
        columns: ["one backend".to_owned(), "least possible".into()]
            .into_iter()
            .chain(methods)
            .collect(),
    }
}

fn reconcile_table(reconciled: &[Reconciled]) -> Table {
    let row = |one: &Reconciled| {
        let name = format!("{} {}", one.shape, direction(one));
        let writing = percent(one.writing.over(&one.time).median());
        let rest = [writing, plain(one.slots.median())];
        std::iter::once(name)
            .chain(times(&one.time, &one.paper))
            .chain(rest)
            .collect()
    };
    let columns = [
        "one of equal backends",
        "least",
        "median",
        "spread",
        "x paper's",
        "of it writing",
        "slots written",
    ];
    let title = "A change of health, from the pool to the last slot written, ms";
    table(title, columns, reconciled.iter().map(row).collect())
}

fn memory_table(taken: &[Taken], default_limits: Option<u64>) -> Table {
    let kib = |bytes: u64| plain(bytes.div_ceil(1024) as f64);
    let row = |taken: &Taken| {
        let maps: u64 = taken.maps.iter().sum();
        let each = taken.maps.iter().map(|bytes| kib(*bytes));
        std::iter::once(taken.shape.to_string())
            .chain(each)
            .chain([kib(maps), kib(taken.account)])
            .collect::<Vec<String>>()
    };
    let mut rows: Vec<Vec<String>> = taken.iter().map(row).collect();
    if let Some(bytes) = default_limits {
        let none = std::iter::repeat_n("-".to_owned(), OF_A_SERVICE.len());
        let name = "every map, default limits".to_owned();
        rows.push(
            std::iter::once(name)
                .chain(none)
                .chain([kib(bytes), "-".into()])
                .collect(),
        );
    }
    Table {
        title: "Memory of a service, KiB".into(),
        columns: ["slots x backends"]
            .into_iter()
            .chain(OF_A_SERVICE)
            .chain(["maps together", "account"])
            .map(Into::into)
            .collect(),
        rows,
    }
}

/// A line a size and kind of weights, over the numbers of backends.
fn build_chart(builds: &[Built]) -> Chart {
    let mut backends: Vec<u32> = builds.iter().map(|built| built.shape.backends).collect();
    backends.sort_unstable();
    backends.dedup();
    let mut sizes: Vec<u32> = builds.iter().map(|built| built.shape.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let lines = sizes
        .iter()
        .flat_map(|size| Weights::ALL.map(|weights| (*size, weights)));
    let series = lines.map(|(size, weights)| Series {
        name: format!("{size} slots, {}", weights.name()),
        values: backends
            .iter()
            .map(|backends| {
                let here = |built: &&Built| {
                    (built.shape.size, built.shape.backends, built.weights) == (size, *backends, weights)
                };
                builds.iter().find(here).map(|built| built.time.median())
            })
            .collect(),
    });
    Chart {
        title: "Building a table".into(),
        file: "table-build".into(),
        kind: ChartKind::Lines,
        x: "backends".into(),
        y: "ms".into(),
        logarithmic: true,
        series: series.collect(),
        places: backends.iter().map(ToString::to_string).collect(),
    }
}

/// Bars of each method beside the least possible, where one of equal backends leaves.
fn move_chart(moves: &[Moved]) -> Chart {
    let of = |method: Method| {
        let wanted = (method, Weights::Equal, Change::Removed);
        moves
            .iter()
            .filter(move |moved| (moved.method, moved.weights, moved.change) == wanted)
    };
    let least = of(Method::Maglev).map(|moved| Some(moved.least.median()));
    let mut series = vec![Series {
        name: "least possible".into(),
        values: least.collect(),
    }];
    series.extend(Method::ALL.map(|method| Series {
        name: method.to_string(),
        values: of(method).map(|moved| Some(moved.slots.median())).collect(),
    }));
    let places = of(Method::Maglev).map(|moved| moved.shape.backends.to_string());
    Chart {
        title: "Slots moved when one backend leaves".into(),
        file: "table-moved".into(),
        kind: ChartKind::Bars,
        x: "backends".into(),
        places: places.collect(),
        y: "slots".into(),
        logarithmic: true,
        series,
    }
}
