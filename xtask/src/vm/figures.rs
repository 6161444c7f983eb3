//! What was measured in a guest, for people and in a file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::machine::Processor;

const INSTRUCTIONS: &str = "instructions per packet";
const TIME: &str = "ns per packet";

/// Figures by name, all of one kernel and in one unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    unit: String,
    pub kernel: String,
    pub figures: BTreeMap<String, f64>,
}

impl Figures {
    /// None yet.
    pub fn new(kernel: &str, processor: Processor) -> Self {
        let unit = match processor {
            Processor::Counting => INSTRUCTIONS,
            Processor::Kvm | Processor::Emulated => TIME,
        };
        Self {
            unit: unit.to_owned(),
            kernel: kernel.to_owned(),
            figures: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, name: String, value: f64) {
        self.figures.insert(name, value);
    }

    pub fn are_instructions(&self) -> bool {
        self.unit == INSTRUCTIONS
    }

    /// Writes them as JSON, a figure a line.
    pub fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.to_json()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn to_json(&self) -> String {
        let figure = |(name, value): (&String, &f64)| format!("    \"{name}\": {value:.2}");
        let figures: Vec<String> = self.figures.iter().map(figure).collect();
        let (unit, kernel, figures) = (&self.unit, &self.kernel, figures.join(",\n"));
        format!("{{\n  \"unit\": \"{unit}\",\n  \"kernel\": \"{kernel}\",\n  \"figures\": {{\n{figures}\n  }}\n}}\n")
    }

    /// Reads what [`Figures::write`] has written.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::from_json(&text).with_context(|| format!("{} was not written by `cargo xtask vm bench`", path.display()))
    }

    fn from_json(text: &str) -> Result<Self> {
        let lines = text.lines().filter_map(|line| {
            let (name, value) = line.trim().trim_end_matches(',').split_once("\": ")?;
            Some((name.strip_prefix('"')?, value))
        });
        let lines: Vec<(&str, &str)> = lines.collect();
        let text_of = |wanted: &str| {
            let (_, value) = lines.iter().find(|(name, _)| *name == wanted)?;
            Some(value.trim_matches('"').to_owned())
        };
        let number = |(name, value): &(&str, &str)| Some(((*name).to_owned(), value.parse().ok()?));
        let figures: BTreeMap<String, f64> = lines.iter().filter_map(number).collect();
        ensure!(!figures.is_empty(), "it holds no figures");
        Ok(Self {
            unit: text_of("unit").context("it names no unit")?,
            kernel: text_of("kernel").context("it names no kernel")?,
            figures,
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on {}:", self.unit, self.kernel)?;
        if self.are_instructions() {
            writeln!(
                f,
                "(counted by an emulated processor: they say what changed, not how fast anything is)"
            )?;
        }
        for (name, value) in &self.figures {
            writeln!(f, "  {name:<50} {value:>8.0}")?;
        }
        write!(
            f,
            "forward/base is the generator, the cable, and a program that drops; the others of forward/ are without it."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_they_were_written() {
        let mut figures = Figures::new("6.18.15+deb13-cloud-amd64", Processor::Counting);
        figures.add("forward/lb-l2".into(), 812.25);
        figures.add("packet/ipip/established/1".into(), 402.0);
        let read = Figures::from_json(&figures.to_json()).unwrap();
        assert_eq!(read, figures);
        assert!(read.are_instructions());
        assert!(Figures::from_json("{}").is_err());
    }
}
