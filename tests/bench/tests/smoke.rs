//! All benchmarks run, and what is made of their figures can be read. No time is judged.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use lb_lab::needs;
use lb_tests::packet::objects::has_flow_table;
use serde_json::{Value, json};

fn bench(arguments: &[&str]) -> Output {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_lb-bench"));
    bench.args(arguments).output().expect("the benchmark is built")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().unwrap_or_else(|| panic!("no {field}"))
}

fn figures(report: &Value) -> impl Iterator<Item = &Value> {
    list(report, "sections")
        .iter()
        .flat_map(|section| list(section, "figures"))
}

/// What needs programs that are not everywhere, and may only say why it has no figures.
const MAY_BE_EMPTY: &str = "connections";

/// Every section has figures, but for the one that may say why not; figures are numbers, of different names.
fn check_figures(report: &Value) {
    for section in list(report, "sections") {
        let (skipped, name) = (list(section, "skipped"), &section["name"]);
        let may_be_empty = name == MAY_BE_EMPTY && !skipped.is_empty();
        let has_figures = !list(section, "figures").is_empty();
        assert!(has_figures || may_be_empty, "{name}: {skipped:?}");
    }
    let mut names = BTreeSet::new();
    for figure in figures(report) {
        let name = figure["name"].as_str().unwrap();
        assert!(names.insert(name), "{name} twice");
        for field in ["min", "median", "spread"] {
            assert!(figure[field].as_f64().is_some_and(f64::is_finite), "{field} of {name}");
        }
        assert!(figure["samples"].as_u64().is_some_and(|samples| samples > 0), "{name}");
    }
}

/// The Markdown names every chart, by where it is, and each is XML.
fn check_charts(report: &Value, dir: &Path) {
    let markdown = std::fs::read_to_string(dir.join("report.md")).unwrap();
    let charts = list(report, "sections")
        .iter()
        .flat_map(|section| list(section, "charts"));
    let mut named: BTreeSet<String> = charts
        .map(|chart| format!("benchmarks/{}.svg", chart["file"].as_str().unwrap()))
        .collect();
    for file in &named {
        assert!(markdown.contains(&format!("]({file})")), "{file}");
        let text = std::fs::read_to_string(dir.join(file)).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        assert!(
            document
                .root_element()
                .has_tag_name(("http://www.w3.org/2000/svg", "svg"))
        );
    }
    for entry in std::fs::read_dir(dir.join("benchmarks")).unwrap() {
        let file = format!("benchmarks/{}", entry.unwrap().file_name().into_string().unwrap());
        assert!(named.remove(&file), "nobody shows {file}");
    }
}

/// The report with another median of its first figure that is to be small, and as a multiple of all else; without spread.
fn with_median(report: &Value, median: f64) -> Value {
    let mut report = report.clone();
    let sections = report["sections"].as_array_mut().unwrap().iter_mut();
    let mut figures = sections.flat_map(|section| section["figures"].as_array_mut().unwrap());
    let figure = figures
        .find(|figure| figure["better"] == "less")
        .expect("some are to be small");
    figure["median"] = json!(median);
    figure["spread"] = json!(0.0);
    // A figure that is no multiple of anything has none.
    let ratios = figure.get_mut("ratios").and_then(Value::as_array_mut);
    for ratio in ratios.into_iter().flatten() {
        ratio["median"] = json!(median);
        ratio["spread"] = json!(0.0);
    }
    report
}

fn diff(before: &Path, after: &Path) -> Output {
    bench(&["diff", before.to_str().unwrap(), after.to_str().unwrap()])
}

#[test]
fn all_benchmarks_run_and_reports_can_be_compared() {
    needs!(lb_lab::is_root(), "needs root");
    needs!(has_flow_table(), "needs atomic compare-exchange in BPF (Linux 5.12)");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let all = bench(&["all", "--smoke", "--out", out.to_str().unwrap()]);
    assert!(all.status.success(), "{}", String::from_utf8_lossy(&all.stderr));
    let json = out.join("report.json");
    assert!(stdout(&all).contains(json.to_str().unwrap()));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    check_figures(&report);
    check_charts(&report, &out);
    needs!(figures(&report).next().is_some(), "nothing can be measured here");

    let same = diff(&json, &json);
    assert_eq!(same.status.code(), Some(0), "{}", stdout(&same));
    assert!(stdout(&same).contains("0 worse, 0 better"), "{}", stdout(&same));

    let write = |name: &str, median: f64| {
        let path = dir.path().join(name);
        std::fs::write(&path, with_median(&report, median).to_string()).unwrap();
        path
    };
    let (once, twice) = (write("once.json", 10.0), write("twice.json", 20.0));
    let worse = diff(&once, &twice);
    assert_eq!(worse.status.code(), Some(1), "{}", stdout(&worse));
    assert!(stdout(&worse).contains("1 worse, 0 better"), "{}", stdout(&worse));
    let better = diff(&twice, &once);
    assert_eq!(better.status.code(), Some(0), "{}", stdout(&better));
    assert!(stdout(&better).contains("0 worse, 1 better"), "{}", stdout(&better));
}

#[test]
fn what_cannot_be_compared_is_one_line_and_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.json");
    std::fs::write(&file, "{}").unwrap();
    for (arguments, wanted) in [
        (
            vec!["diff", file.to_str().unwrap(), "nowhere.json"],
            "holds no figures of `bench`",
        ),
        (vec!["diff", "nowhere.json", "nowhere.json"], "cannot read nowhere.json"),
    ] {
        let output = bench(&arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(wanted) && said.lines().count() == 1, "{said}");
    }
    assert_eq!(bench(&["diff", "one.json"]).status.code(), Some(2));
}

#[test]
fn a_report_is_not_written_over_other_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "").unwrap();
    let output = bench(&["all", "--smoke", "--out", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("has files in it"));
}
