//! All that one run has found, and its files.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lb_lab::program;
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::{Figure, Section, markdown, svg};
use crate::Extent;

/// Of the format of [`JSON`]; another one for what an older `bench diff` would misread.
const VERSION: u32 = 1;

/// The figures, for machines.
pub const JSON: &str = "report.json";
/// The same for people.
pub const MARKDOWN: &str = "report.md";
/// Where the charts are that the Markdown shows, beside it. So it can be copied to `docs/benchmarks.md`, and this to `docs`.
pub const CHARTS: &str = "benchmarks";

/// What a run of all benchmarks has found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub version: u32,
    /// When it began: `2026-11-24T14:30:05Z`.
    pub created: String,
    pub extent: Extent,
    /// What was measured, when it comes from a git tree.
    pub tree: Option<Tree>,
    pub machine: Machine,
    /// Share of the CPUs' time just before the run that others used.
    pub busy_before: f64,
    /// Share of the CPUs' time during the run that the host gave to others.
    pub stolen: f64,
    pub sections: Vec<Part>,
}

/// A section, and what it took to find it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    pub seconds: f64,
    #[serde(flatten)]
    pub section: Section,
}

/// A git tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    pub commit: String,
    /// Whether files differ from those of the commit.
    pub is_dirty: bool,
}

impl Tree {
    /// The one that the benchmark was built from, if it is still there.
    pub fn look() -> Option<Self> {
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
            program::output(&mut git).ok()
        };
        Some(Self {
            commit: git(&["rev-parse", "HEAD"])?.trim().to_owned(),
            is_dirty: !git(&["status", "--porcelain"])?.is_empty(),
        })
    }
}

impl Report {
    pub fn new(extent: Extent, created: String, busy_before: f64, sections: Vec<Part>) -> Self {
        Self {
            version: VERSION,
            created,
            extent,
            tree: Tree::look(),
            machine: Machine::look(),
            busy_before,
            stolen: 0.0,
            sections,
        }
    }

    /// Seconds that all of it took.
    pub fn seconds(&self) -> f64 {
        self.sections.iter().map(|part| part.seconds).sum()
    }

    /// Writes JSON, Markdown and charts into `dir`, which exists.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        let charts = dir.join(CHARTS);
        std::fs::create_dir_all(&charts).with_context(|| format!("cannot make {}", charts.display()))?;
        for chart in self.sections.iter().flat_map(|part| &part.section.charts) {
            write(&format!("{CHARTS}/{}.svg", chart.file), &svg::draw(chart))?;
        }
        write(MARKDOWN, &markdown::write(self))?;
        write(JSON, &format!("{}\n", serde_json::to_string_pretty(self)?))
    }
}

/// Figures that are in a file.
pub struct Found {
    pub figures: Vec<Figure>,
    /// What was not measured, and why.
    pub skipped: Vec<String>,
    /// What they are from, when the file says so.
    pub from: Option<(Extent, Machine)>,
}

impl Found {
    /// Reads a report, or the section that a single benchmark writes.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} holds no figures of `bench`", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let json: serde_json::Value = serde_json::from_str(text)?;
        if json.get("sections").is_none() {
            let section: Section = serde_json::from_value(json)?;
            return Ok(Self {
                figures: section.figures,
                skipped: section.skipped,
                from: None,
            });
        }
        let version = json.get("version").and_then(serde_json::Value::as_u64);
        ensure!(
            version == Some(VERSION.into()),
            "its format is not version {VERSION}: compare it with the `bench` that wrote it"
        );
        let report: Report = serde_json::from_value(json)?;
        let mut found = Self {
            figures: Vec::new(),
            skipped: Vec::new(),
            from: Some((report.extent, report.machine)),
        };
        for Part { section, .. } in report.sections {
            found.figures.extend(section.figures);
            let reason = |reason| format!("{}: {reason}", section.name);
            found.skipped.extend(section.skipped.into_iter().map(reason));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Samples;
    use crate::report::Better;

    fn section() -> Section {
        let samples: Samples = [1.0, 2.0, 3.0].into_iter().collect();
        Section {
            name: "a".into(),
            figures: vec![Figure::new("a/b", "ns", Better::Less, &samples)],
            skipped: vec!["c: not here".into()],
            ..Section::default()
        }
    }

    #[test]
    fn a_report_is_read_back() {
        let part = Part {
            seconds: 1.5,
            section: section(),
        };
        let report = Report::new(Extent::Quick, "2026-11-24T14:30:05Z".into(), 0.0, vec![part]);
        let found = Found::parse(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(found.figures[0].name, "a/b");
        assert_eq!(found.skipped, ["a: c: not here"]);
        assert_eq!(found.from, Some((Extent::Quick, report.machine)));
    }

    #[test]
    fn a_section_is_read_too() {
        let found = Found::parse(&serde_json::to_string(&section()).unwrap()).unwrap();
        assert_eq!(found.figures.len(), 1);
        assert_eq!(found.from, None);
    }

    #[test]
    fn another_format_is_refused() {
        let error = |text| format!("{:#}", Found::parse(text).err().unwrap());
        assert!(error(r#"{"version": 2, "sections": []}"#).contains("not version 1"));
        assert!(error("{}").contains("missing field"));
        Found::parse("no JSON").err().unwrap();
    }
}
