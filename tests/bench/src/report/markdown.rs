//! A report for people.

use std::fmt::Write as _;

use super::document::{CHARTS, Part, Report};
use super::{Better, Figure, Table, number};
use crate::Extent;
use crate::all::{self, Headline};
use crate::measure::Samples;

/// What the figures do not show.
const TRIED: &str = include_str!("../../tried.md");

/// Share of the CPUs' time that others may use without being mentioned.
const BUSY: f64 = 0.1;
/// The same for what the host takes.
const STOLEN: f64 = 0.01;

/// The whole text.
pub fn write(report: &Report) -> String {
    let mut text = String::from("# Benchmarks\n\n");
    write_all(report, &mut text).expect("a String takes all");
    text
}

fn write_all(report: &Report, text: &mut String) -> std::fmt::Result {
    head(report, text)?;
    writeln!(text, "## Summary\n")?;
    writeln!(
        text,
        "What counts are the multiples (×): both sides were measured in the same run, in turn. Absolute figures are those of this \
         machine on that day. Figures are medians.\n"
    )?;
    for part in &report.sections {
        summary(part, all::headlines(&part.section.name), text)?;
    }
    for part in &report.sections {
        section(part, text)?;
    }
    writeln!(text, "{TRIED}")?;
    run_and_machine(report, text)
}

/// What ran, and what is to be known before reading.
fn head(report: &Report, text: &mut String) -> std::fmt::Result {
    let extent = match report.extent {
        Extent::Smoke => "a smoke run",
        Extent::Quick => "a quick run",
        Extent::Whole => "a whole run",
    };
    let minutes = report.seconds() / 60.0;
    writeln!(
        text,
        "Written by `cargo xtask bench all`: {extent} of {minutes:.1} minutes, begun at {}, of {}.\n",
        report.created,
        tree(report)
    )?;
    let mut warn = |condition: bool, what: &str| match condition {
        true => writeln!(text, "> {what}\n"),
        false => Ok(()),
    };
    warn(
        report.extent == Extent::Smoke,
        "A smoke run shows that everything runs. Its figures mean nothing.",
    )?;
    warn(
        report.machine.profile != "release",
        "Not built for release: what runs in user space is slower than it should be.",
    )?;
    let busy = number::percent(report.busy_before);
    warn(
        report.busy_before > BUSY,
        &format!("Something else was running: just before, {busy} of the CPUs' time was used."),
    )?;
    let stolen = number::percent(report.stolen);
    warn(
        report.stolen > STOLEN,
        &format!("The host gave {stolen} of the CPUs' time to others during the run."),
    )
}

fn tree(report: &Report) -> String {
    match &report.tree {
        None => "a tree without git".into(),
        Some(tree) if tree.is_dirty => format!("commit `{}` with changes", tree.commit),
        Some(tree) => format!("commit `{}`", tree.commit),
    }
}

/// The figures of a section that matter most.
fn summary(part: &Part, headlines: &[Headline], text: &mut String) -> std::fmt::Result {
    let found: Vec<(&Headline, &Figure)> = headlines
        .iter()
        .filter_map(|headline| {
            let mut figures = part.section.figures.iter();
            Some((headline, figures.find(|figure| figure.name == headline.figure)?))
        })
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    let bases = bases(found.iter().map(|(_, figure)| *figure));
    let mut table = Table {
        title: part.section.title.clone(),
        columns: ["", "measured", "better is"].map(str::to_owned).to_vec(),
        rows: Vec::new(),
    };
    table.columns.extend(bases.iter().map(|base| format!("× {base}")));
    for (headline, figure) in found {
        let better = match figure.better {
            Better::Less => "less",
            Better::More => "more",
            Better::Neither => "",
        };
        let mut row = vec![headline.says.to_owned(), measured(figure), better.to_owned()];
        row.extend(bases.iter().map(|base| multiple(figure, base)));
        table.rows.push(row);
    }
    write_table(&table, text)
}

fn section(part: &Part, text: &mut String) -> std::fmt::Result {
    let section = &part.section;
    writeln!(text, "## {}\n", section.title)?;
    for paragraph in &section.method {
        writeln!(text, "{paragraph}\n")?;
    }
    for chart in &section.charts {
        writeln!(text, "![{}]({CHARTS}/{}.svg)\n", chart.title, chart.file)?;
    }
    for table in &section.tables {
        write_table(table, text)?;
    }
    if !section.skipped.is_empty() {
        writeln!(text, "Not measured:\n")?;
        for skipped in &section.skipped {
            writeln!(text, "- {}", one_line(skipped))?;
        }
        writeln!(text)?;
    }
    if !section.figures.is_empty() {
        spread(&section.figures, text)?;
        all_figures(&section.figures, text)?;
    }
    Ok(())
}

/// How far the figures can be trusted.
fn spread(figures: &[Figure], text: &mut String) -> std::fmt::Result {
    let spreads: Samples = figures.iter().map(|figure| figure.spread).collect();
    writeln!(
        text,
        "Spread (half the distance of the quartiles, as a share of the median): up to {} for half of the figures, up to {} for nine of \
         ten.\n",
        number::percent(spreads.quantile(0.5)),
        number::percent(spreads.quantile(0.9))
    )
}

fn all_figures(figures: &[Figure], text: &mut String) -> std::fmt::Result {
    let bases = bases(figures.iter());
    let columns = ["figure", "median", "least", "spread", "samples"].map(str::to_owned);
    let mut table = Table {
        columns: columns.to_vec(),
        ..Table::default()
    };
    table.columns.extend(bases.iter().map(|base| format!("× {base}")));
    for figure in figures {
        let mut row = vec![
            format!("`{}`", figure.name),
            measured(figure),
            number::plain(figure.min),
            number::percent(figure.spread),
            figure.samples.to_string(),
        ];
        row.extend(bases.iter().map(|base| multiple(figure, base)));
        table.rows.push(row);
    }
    writeln!(text, "<details>\n<summary>All {} figures</summary>\n", figures.len())?;
    write_table(&table, text)?;
    writeln!(text, "</details>\n")
}

fn run_and_machine(report: &Report, text: &mut String) -> std::fmt::Result {
    writeln!(text, "## Machine and run\n")?;
    let mut rows: Vec<Vec<String>> = report
        .machine
        .lines()
        .into_iter()
        .map(|(what, value)| vec![what.to_owned(), value])
        .collect();
    let load: Vec<String> = report.machine.load.iter().map(|load| format!("{load:.2}")).collect();
    let parts = report.sections.iter();
    let took: Vec<String> = parts
        .map(|part| format!("{} {:.0} s", part.section.name, part.seconds))
        .collect();
    let mut say = |what: &str, value: String| rows.push(vec![what.to_owned(), value]);
    say("tree", tree(report));
    say("load averages before", load.join(", "));
    say("CPUs busy just before", number::percent(report.busy_before));
    say("CPUs' time taken by the host", number::percent(report.stolen));
    say("took", took.join(", "));
    let table = Table {
        columns: vec![String::new(); 2],
        rows,
        ..Table::default()
    };
    write_table(&table, text)
}

/// What figures are given as multiples of, in the order in which they first come.
fn bases<'a>(figures: impl Iterator<Item = &'a Figure>) -> Vec<&'a str> {
    let mut bases = Vec::new();
    for ratio in figures.flat_map(|figure| &figure.ratios) {
        if !bases.contains(&ratio.to.as_str()) {
            bases.push(ratio.to.as_str());
        }
    }
    bases
}

fn multiple(figure: &Figure, base: &str) -> String {
    let ratio = figure.ratios.iter().find(|ratio| ratio.to == base);
    ratio.map_or_else(String::new, |ratio| number::plain(ratio.median))
}

fn measured(figure: &Figure) -> String {
    number::with_unit(figure.median, &figure.unit)
}

/// A table, its title over it; what its first column says stands to the left, all else to the right, but words.
fn write_table(table: &Table, text: &mut String) -> std::fmt::Result {
    if !table.title.is_empty() {
        writeln!(text, "**{}**\n", one_line(&table.title))?;
    }
    let mut line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell_of(cell)).collect();
        writeln!(text, "| {} |", cells.join(" | "))
    };
    line(&table.columns)?;
    let column = |number: usize| {
        let is_number = |row: &Vec<String>| row.get(number).is_none_or(|cell| is_numeric(cell));
        let to_the_right = number > 0 && table.rows.iter().all(is_number);
        if to_the_right { "---:" } else { "---" }.to_owned()
    };
    let rule: Vec<String> = (0..table.columns.len()).map(column).collect();
    line(&rule)?;
    for row in &table.rows {
        line(row)?;
    }
    writeln!(text)
}

/// Whether a cell is a number with its unit, or nothing.
fn is_numeric(cell: &str) -> bool {
    let begins = |letter: char| letter.is_ascii_digit() || letter == '-' || letter == '+';
    cell.is_empty() || cell.starts_with(begins)
}

fn cell_of(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Chart, Section};

    fn report() -> Report {
        let samples = |times: f64| -> Samples { [10.0, 11.0, 12.0].map(|sample| sample * times).into_iter().collect() };
        let (own, floor) = (samples(2.0), samples(1.0));
        let name = "packet/ipip/established/1";
        let section = Section {
            name: "packet".into(),
            title: "Nanoseconds per packet".into(),
            method: vec!["Many times.".into()],
            figures: vec![
                Figure::new(name, "ns", Better::Less, &own).ratio("floor", &own, &floor),
                Figure::new("packet/floor", "ns", Better::Neither, &floor),
            ],
            tables: vec![Table {
                title: "ns".into(),
                columns: ["scenario", "1 flow", "how"].map(str::to_owned).to_vec(),
                rows: vec![
                    ["a|b", "1.0", "so"].map(str::to_owned).to_vec(),
                    ["c", "-", ""].map(str::to_owned).to_vec(),
                ],
            }],
            charts: vec![Chart {
                title: "Cost".into(),
                file: "packet-flows".into(),
                ..Chart::default()
            }],
            skipped: vec!["katran: not\nhere".into()],
        };
        let part = Part { seconds: 90.0, section };
        Report::new(Extent::Quick, "2026-11-24T14:30:05Z".into(), 0.5, vec![part])
    }

    #[test]
    fn a_report_has_what_a_reader_looks_for() {
        let text = write(&report());
        for wanted in [
            "a quick run of 1.5 minutes, begun at 2026-11-24T14:30:05Z",
            "> Something else was running: just before, 50.0 % of",
            "| 22.0 ns | less | 2.00 |",
            "![Cost](benchmarks/packet-flows.svg)",
            "| scenario | 1 flow | how |\n| --- | ---: | --- |\n| a\\|b | 1.0 | so |",
            "- katran: not here",
            "| `packet/floor` | 11.0 ns | 10.0 | 4.5 % | 3 |  |",
            "| took | packet 90 s |",
            "| kernel | ",
        ] {
            assert!(text.contains(wanted), "no {wanted:?} in:\n{text}");
        }
        assert!(!text.contains("smoke"));
        let place = |what: &str| text.find(what).unwrap();
        assert!(place("## Summary") < place("## Nanoseconds") && place("## Nanoseconds") < place("## Machine"));
    }

    #[test]
    fn tables_are_set_apart_by_empty_lines() {
        let text = write(&report());
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let is_row = |line: &str| line.starts_with('|');
            assert!(
                is_row(pair[1]) == is_row(pair[0]) || pair[0].is_empty() || pair[1].is_empty(),
                "{pair:?}"
            );
        }
        assert!(!text.contains("\n\n\n"));
    }
}
