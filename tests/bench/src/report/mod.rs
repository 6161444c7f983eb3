//! What a benchmark has found, for machines and for people.
//!
//! # Layout
//!
//! - here: a section, its figures, tables and charts
//! - [`document`]: all sections of a run, and their files
//! - [`machine`]: what figures depend on
//! - [`markdown`], [`svg`]: what people read
//! - [`number`]: numbers as people read them

pub mod document;
pub mod machine;
mod markdown;
pub mod number;
mod svg;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::measure::Samples;

/// One benchmark's findings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Section {
    /// `packet`, `forward`, `connections`, `table`: what its figures' names begin with.
    pub name: String,
    pub title: String,
    /// How it was measured, and on what; paragraphs.
    pub method: Vec<String>,
    pub figures: Vec<Figure>,
    pub tables: Vec<Table>,
    pub charts: Vec<Chart>,
    /// What could not be measured, and why.
    pub skipped: Vec<String>,
}

/// Which way a figure is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Less,
    More,
    /// Neither: said for understanding.
    Neither,
}

/// Something measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Its path: `packet/ipip/established/65536`. Unique in a report.
    pub name: String,
    /// `ns`, `packets/s`, `requests/s`, `ms`, `bytes`, `ratio`.
    pub unit: String,
    pub better: Better,
    pub min: f64,
    pub median: f64,
    /// Half the distance of the quartiles, as a share of the median.
    pub spread: f64,
    pub samples: usize,
    /// As a multiple of other figures: medians of the ratios of samples of the same round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ratios: Vec<Ratio>,
}

/// A figure as a multiple of another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ratio {
    /// What of: `floor`, `katran`, `1 flow`.
    pub to: String,
    pub median: f64,
    /// Half the distance of the quartiles.
    pub spread: f64,
}

impl Figure {
    /// From its samples, one a round.
    pub fn new(name: impl Into<String>, unit: &str, better: Better, samples: &Samples) -> Self {
        Self {
            name: name.into(),
            unit: unit.into(),
            better,
            min: samples.min(),
            median: samples.median(),
            spread: samples.spread(),
            samples: samples.len(),
            ratios: Vec::new(),
        }
    }

    /// As a multiple of `other`, round by round.
    pub fn ratio(mut self, to: &str, samples: &Samples, other: &Samples) -> Self {
        let ratios = samples.over(other);
        self.ratios.push(Ratio {
            to: to.into(),
            median: ratios.median(),
            spread: ratios.half_quartiles(),
        });
        self
    }
}

/// Rows and columns, for people.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Table {
    pub title: String,
    pub columns: Vec<String>,
    /// The first cell of each row says what it is.
    pub rows: Vec<Vec<String>>,
}

/// Lines over a few places, or bars.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Chart {
    pub title: String,
    /// File name without its extension: `packet-flows`.
    pub file: String,
    pub kind: ChartKind,
    /// What the places are: `flows`.
    pub x: String,
    pub places: Vec<String>,
    /// What the values are: `ns per packet`.
    pub y: String,
    pub logarithmic: bool,
    pub series: Vec<Series>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartKind {
    #[default]
    Lines,
    Bars,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Series {
    pub name: String,
    /// One a place.
    pub values: Vec<Option<f64>>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        let lines: Vec<&Vec<String>> = std::iter::once(&self.columns).chain(&self.rows).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = lines.iter().filter_map(|line| line.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        for line in lines {
            for (place, (cell, width)) in line.iter().zip(&widths).enumerate() {
                match place {
                    0 => write!(f, "  {cell:<width$}")?,
                    _ => write!(f, "  {cell:>width$}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        for table in &self.tables {
            writeln!(f, "{table}")?;
        }
        for skipped in &self.skipped {
            writeln!(f, "skipped: {skipped}")?;
        }
        Ok(())
    }
}
