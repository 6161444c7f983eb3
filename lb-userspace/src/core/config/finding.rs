//! What is wrong with a document, or worth knowing about it; and how that is shown.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// One thing that is wrong, or worth knowing.
///
/// Its `Display` is one line: what and why, then what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    /// What and why: `backend web/web-1: port 0 is not a port`.
    pub message: String,
    /// What to do: `give 1 to 65535`.
    pub help: Option<String>,
    /// Where in the document: `service[0].backend[1].port`.
    pub path: String,
    /// Where in the text, when there was one.
    pub place: Option<Place>,
    /// Whether the key is meant, not its value.
    #[serde(skip)]
    pub(super) at_key: bool,
}

/// Whether a finding stops a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

/// A place in a text, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// At least 1, and not beyond the line's end but for an empty rest.
    pub length: usize,
}

/// Longest part of a source line that is shown, in characters.
const SHOWN: usize = 120;

impl Finding {
    /// An error at a path.
    pub fn error(path: impl Into<String>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Severity::Error, path.into(), message.into(), help.into())
    }

    /// A warning at a path.
    pub fn warning(path: impl Into<String>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Severity::Warning, path.into(), message.into(), help.into())
    }

    fn new(severity: Severity, path: String, message: String, help: String) -> Self {
        let help = (!help.is_empty()).then_some(help);
        Self {
            severity,
            message,
            help,
            path,
            place: None,
            at_key: false,
        }
    }

    /// One line with the place: `lb.toml:12:8: error: backend web/web-1: port 0 is not a port; give 1 to 65535`.
    pub fn located(&self, file_name: &str) -> String {
        format!("{}: {}: {self}", self.at(file_name), self.severity.name())
    }

    fn at(&self, file_name: &str) -> String {
        match self.place {
            Some(place) => format!("{file_name}:{}:{}", place.line, place.column),
            None => file_name.to_owned(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl Severity {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Place {
    /// The place of a range of bytes in a text.
    pub fn of(text: &str, bytes: std::ops::Range<usize>) -> Self {
        let start = floor_boundary(text, bytes.start);
        let end = floor_boundary(text, bytes.end.max(start));
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let first_line = text[start..end].lines().next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            length: first_line.chars().count().max(1),
        }
    }
}

fn floor_boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len()))
        .rev()
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(0)
}

/// Findings as people read them: `file:line:column`, the message, the line with a caret, what to do. `source` is the text
/// that was read; ANSI colours only when asked for.
///
/// ```text
/// lb.toml:12:8: error: backend web/web-1: port 0 is not a port
///    12 |   port = 0
///       |          ^
///       = help: give 1 to 65535
/// ```
pub fn render(findings: &[Finding], file_name: &str, source: &str, colour: bool) -> String {
    let mut out = String::new();
    for finding in findings {
        render_one(&mut out, finding, file_name, source, colour);
    }
    out
}

fn render_one(out: &mut String, finding: &Finding, file_name: &str, source: &str, colour: bool) {
    let (bold, tint, reset) = match (colour, finding.severity) {
        (false, _) => ("", "", ""),
        (true, Severity::Error) => ("\x1b[1m", "\x1b[1;31m", "\x1b[0m"),
        (true, Severity::Warning) => ("\x1b[1m", "\x1b[1;33m", "\x1b[0m"),
    };
    let at = finding.at(file_name);
    let severity = finding.severity.name();
    let message = &finding.message;
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "{bold}{at}: {reset}{tint}{severity}{reset}{bold}: {message}{reset}"
    );
    if let Some((place, line)) = finding.place.and_then(|p| Some((p, source.lines().nth(p.line - 1)?))) {
        let (shown, indent) = excerpt(line, place.column - 1);
        let length = place.length.min(shown.chars().count().saturating_sub(indent)).max(1);
        let _ = writeln!(out, "{:>5} | {shown}", place.line);
        let _ = writeln!(out, "      | {}{tint}{}{reset}", " ".repeat(indent), "^".repeat(length));
    }
    if let Some(help) = &finding.help {
        let _ = writeln!(out, "      = help: {help}");
    }
}

/// The part of a line around a column, without what would upset the columns; and the column in that part.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let skip = if line.chars().count() <= SHOWN {
        0
    } else {
        column.saturating_sub(SHOWN / 2)
    };
    let shown: String = line.chars().skip(skip).take(SHOWN).map(plain).collect();
    (shown.trim_end().to_owned(), column - skip)
}
