//! Charts, as SVG.
//!
//! # Layout
//!
//! - here: what goes where
//! - [`scale`]: an axis of values
//! - [`pen`]: elements of an SVG

mod pen;
mod scale;

use super::number;
use super::{Chart, ChartKind, Series};
use pen::{Anchor, FONT, Pen, width};
use scale::Scale;

/// Colours that the colour-blind can tell apart (Okabe and Ito), the one that is hard to see on white left out, and grey.
const COLORS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c959f",
];
const GRID: &str = "#d8dee4";
const AXIS: &str = "#57606a";

/// Pixels of the part with the values in it.
const PLOT_WIDTH: f64 = 600.0;
const PLOT_HEIGHT: f64 = 320.0;
/// Pixels around it all.
const MARGIN: f64 = 16.0;
/// Pixels from one line of the legend to the next.
const LINE: f64 = 22.0;
/// Pixels above the plot: the title, and what the values are.
const TOP: f64 = 68.0;
/// Degrees by which names of places are turned that would not stand side by side.
const TURNED: f64 = -30.0;
/// Share of a place's width that its bars take.
const BARS: f64 = 0.8;

/// The file of a chart.
pub fn draw(chart: &Chart) -> String {
    let plot = Plot::of(chart);
    let legend: Vec<usize> = plot.legend();
    let names = legend.iter().map(|series| width(&chart.series[*series].name));
    let legend_width = names.fold(0.0, f64::max) + 30.0;
    let heading_width = width(&chart.title) * 16.0 / FONT;
    let whole = (plot.right() + MARGIN + legend_width + MARGIN).max(heading_width + 2.0 * MARGIN);
    let mut pen = Pen::new(whole, plot.bottom() + plot.below + MARGIN, &chart.title);
    pen.heading((MARGIN, MARGIN + 16.0), &chart.title);
    plot.axes(&mut pen);
    match chart.kind {
        ChartKind::Lines => plot.lines(&mut pen),
        ChartKind::Bars => plot.bars(&mut pen),
    }
    for (line, series) in legend.into_iter().enumerate() {
        let at = (plot.right() + MARGIN + 8.0, TOP + 8.0 + line as f64 * LINE);
        plot.key(&mut pen, at, series);
    }
    pen.finish()
}

/// Where the values are.
struct Plot<'a> {
    chart: &'a Chart,
    scale: Scale,
    left: f64,
    height: f64,
    /// Pixels for what is written below.
    below: f64,
    is_turned: bool,
}

impl<'a> Plot<'a> {
    fn of(chart: &'a Chart) -> Self {
        let values = chart.series.iter().flat_map(|series| &series.values).copied().flatten();
        let scale = Scale::over(values, chart.logarithmic);
        let labels = scale.ticks.iter().map(|tick| width(&number::short(*tick)));
        let labels_width = labels.fold(0.0, f64::max);
        let widest = chart.places.iter().map(|place| width(place)).fold(0.0, f64::max);
        let is_turned = widest + 8.0 > PLOT_WIDTH / chart.places.len().max(1) as f64;
        let (sine, cosine) = TURNED.abs().to_radians().sin_cos();
        let names_height = if is_turned { widest * sine + FONT } else { FONT };
        // A turned name reaches to the left of its place.
        let reach = |(place, name): (usize, &String)| width(name) * cosine - (place as f64 + 0.5) * slot(chart);
        let reach = chart.places.iter().enumerate().map(reach).fold(0.0, f64::max);
        let reach = if is_turned { reach } else { 0.0 };
        Self {
            chart,
            scale,
            left: MARGIN + (labels_width + 8.0).max(reach),
            height: PLOT_HEIGHT.max(chart.series.len() as f64 * LINE),
            below: names_height + if chart.x.is_empty() { 6.0 } else { FONT + 14.0 },
            is_turned,
        }
    }

    fn right(&self) -> f64 {
        self.left + PLOT_WIDTH
    }

    fn bottom(&self) -> f64 {
        TOP + self.height
    }

    /// Middle of a place.
    fn x(&self, place: usize) -> f64 {
        self.left + (place as f64 + 0.5) * slot(self.chart)
    }

    fn y(&self, value: f64) -> Option<f64> {
        self.scale.place(value).map(|share| self.bottom() - share * self.height)
    }

    /// Ticks with lines across, and names of the places.
    fn axes(&self, pen: &mut Pen) {
        pen.text((MARGIN, TOP - 18.0), Anchor::Start, 0.0, &self.chart.y);
        for tick in &self.scale.ticks {
            let Some(y) = self.y(*tick) else { continue };
            let color = if *tick == self.scale.base() { AXIS } else { GRID };
            pen.line((self.left, y), (self.right(), y), color);
            pen.text(
                (self.left - 8.0, y + FONT * 0.35),
                Anchor::End,
                0.0,
                &number::short(*tick),
            );
        }
        let y = self.bottom() + FONT + 6.0;
        for (place, name) in self.chart.places.iter().enumerate() {
            match self.is_turned {
                true => pen.text((self.x(place) + 4.0, y), Anchor::End, TURNED, name),
                false => pen.text((self.x(place), y), Anchor::Middle, 0.0, name),
            }
        }
        let middle = self.left + PLOT_WIDTH / 2.0;
        pen.text((middle, self.bottom() + self.below), Anchor::Middle, 0.0, &self.chart.x);
        let is_empty = self
            .chart
            .series
            .iter()
            .all(|series| series.values.iter().all(Option::is_none));
        if is_empty {
            let at = (middle, TOP + self.height / 2.0);
            pen.text(at, Anchor::Middle, 0.0, "nothing was measured");
        }
    }

    /// A line a series, with a gap where a value is missing.
    fn lines(&self, pen: &mut Pen) {
        for (number, series) in self.chart.series.iter().enumerate() {
            let points: Vec<Option<(f64, f64)>> = (0..series.values.len())
                .map(|place| Some((self.x(place), self.y(series.values[place]?)?)))
                .collect();
            for run in points.split(Option::is_none) {
                let run: Vec<(f64, f64)> = run.iter().copied().flatten().collect();
                if run.len() > 1 {
                    pen.path(&run, color(number));
                }
            }
            for point in points.into_iter().flatten() {
                pen.marker(point, number, color(number));
            }
        }
    }

    /// A bar a series, side by side at each place, with its value over it where there is room.
    fn bars(&self, pen: &mut Pen) {
        let count = self.chart.series.len().max(1) as f64;
        let bar_width = slot(self.chart) * BARS / count;
        let Some(base) = self.y(self.scale.base()) else { return };
        for (number, series) in self.chart.series.iter().enumerate() {
            for (place, value) in series.values.iter().enumerate() {
                let Some((value, y)) = value.and_then(|value| Some((value, self.y(value)?))) else {
                    continue;
                };
                let left = self.x(place) + (number as f64 - count / 2.0) * bar_width;
                // A gap of a pixel between neighbours.
                pen.bar(left + 0.5, bar_width - 1.0, (base, y), color(number));
                let label = number::plain(value);
                if width(&label) < bar_width + 4.0 {
                    pen.text((left + bar_width / 2.0, y.min(base) - 4.0), Anchor::Middle, 0.0, &label);
                }
            }
        }
    }

    /// Series in the order in which they are named: lines as they end, from above, bars as they stand.
    fn legend(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.chart.series.len()).collect();
        let last = |series: &Series| series.values.iter().rev().copied().flatten().next();
        if self.chart.kind == ChartKind::Lines {
            let at = |number: &usize| last(&self.chart.series[*number]).unwrap_or(f64::NEG_INFINITY);
            order.sort_by(|one, other| at(other).total_cmp(&at(one)));
        }
        order
    }

    /// A line of the legend.
    fn key(&self, pen: &mut Pen, (x, y): (f64, f64), number: usize) {
        match self.chart.kind {
            ChartKind::Lines => {
                pen.path(&[(x - 8.0, y), (x + 8.0, y)], color(number));
                pen.marker((x, y), number, color(number));
            }
            ChartKind::Bars => pen.bar(x - 6.0, 12.0, (y - 6.0, y + 6.0), color(number)),
        }
        let name = &self.chart.series[number].name;
        pen.text((x + 16.0, y + FONT * 0.35), Anchor::Start, 0.0, name);
    }
}

/// Pixels from one place to the next.
fn slot(chart: &Chart) -> f64 {
    PLOT_WIDTH / chart.places.len().max(1) as f64
}

fn color(series: usize) -> &'static str {
    COLORS[series % COLORS.len()]
}

#[cfg(test)]
mod tests;
