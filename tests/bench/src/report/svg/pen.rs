//! Elements of an SVG.

use std::fmt::Write as _;

/// Pixels of a letter's height.
pub const FONT: f64 = 13.0;
/// Width of a letter as a share of its height, rather too much than too little: who draws has the font, not we.
const LETTER: f64 = 0.6;

/// What is drawn so far.
pub struct Pen(String);

/// Where a text is, from the point that it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Pen {
    /// A white page, so that it can be read whatever is behind it.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let title = escaped(title);
        let mut pen = Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             role=\"img\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"{FONT}\">\n<title>{title}</title>\n"
        ));
        let size = format!("width=\"{width:.0}\" height=\"{height:.0}\"");
        pen.draw(&format!("<rect {size} rx=\"6\" fill=\"#ffffff\"/>"));
        pen
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.draw(&format!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{color}\"/>"
        ));
    }

    /// A line through points.
    pub fn path(&mut self, points: &[(f64, f64)], color: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        self.draw(&format!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>"
        ));
    }

    /// A bar between two heights.
    pub fn bar(&mut self, x: f64, width: f64, (one, other): (f64, f64), color: &str) {
        let (top, height) = (one.min(other), (one - other).abs());
        self.draw(&format!(
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>"
        ));
    }

    /// A mark round a point; its shape tells series apart where colours do not.
    pub fn marker(&mut self, (x, y): (f64, f64), shape: usize, color: &str) {
        let outline: &[(f64, f64)] = match shape % 4 {
            0 => {
                self.draw(&format!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{color}\"/>"
                ));
                return;
            }
            1 => &[(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)],
            2 => &[(0.0, -5.0), (5.0, 4.0), (-5.0, 4.0)],
            _ => &[(0.0, -5.5), (5.5, 0.0), (0.0, 5.5), (-5.5, 0.0)],
        };
        let corners: Vec<String> = outline
            .iter()
            .map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy))
            .collect();
        self.draw(&format!("<polygon points=\"{}\" fill=\"{color}\"/>", corners.join(" ")));
    }

    /// A text, turned by that many degrees about its point.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, turned: f64, text: &str) {
        let turn = match turned {
            0.0 => String::new(),
            _ => format!(" transform=\"rotate({turned:.0} {x:.1} {y:.1})\""),
        };
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.draw(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#24292f\"{turn}>{text}</text>"
        ));
    }

    /// The text over it all.
    pub fn heading(&mut self, (x, y): (f64, f64), text: &str) {
        let text = escaped(text);
        self.draw(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"16\" font-weight=\"600\" fill=\"#24292f\">{text}</text>"
        ));
    }

    /// The file.
    pub fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    fn draw(&mut self, element: &str) {
        writeln!(self.0, "{element}").expect("a String takes all");
    }
}

/// Pixels that a text is wide, about.
pub fn width(text: &str) -> f64 {
    text.chars().count() as f64 * FONT * LETTER
}

/// As XML holds it: in text and in attributes, without what XML cannot hold.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            _ if letter.is_control() => escaped.push(' '),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escaped("<a> & \"b\" 'c'\u{1b}"),
            "&lt;a&gt; &amp; &quot;b&quot; &apos;c&apos; "
        );
        assert_eq!(escaped("µs · größer"), "µs · größer");
    }

    #[test]
    fn every_shape_is_another() {
        let shapes: Vec<String> = (0..4)
            .map(|shape| {
                let mut pen = Pen::new(10.0, 10.0, "");
                pen.marker((5.0, 5.0), shape, "red");
                pen.finish()
            })
            .collect();
        for (place, shape) in shapes.iter().enumerate() {
            assert!(!shapes[..place].contains(shape));
        }
    }
}
