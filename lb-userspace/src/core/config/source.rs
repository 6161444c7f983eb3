//! From text to values, and from a path back to its place in the text.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Format;
use super::finding::{Finding, Place};
use super::shape::join;

/// Where each path stands in a text.
#[derive(Debug, Default)]
pub struct Places {
    text: String,
    spans: BTreeMap<String, Spans>,
}

/// Ranges of bytes.
#[derive(Debug)]
struct Spans {
    key: Range<usize>,
    value: Range<usize>,
}

/// The value that a text holds, or every syntax error in it.
pub fn read(text: &str, format: Format) -> Result<(Value, Places), Vec<Finding>> {
    match format {
        Format::Toml => read_toml(text),
        Format::Json => read_json(text),
    }
}

fn read_toml(text: &str) -> Result<(Value, Places), Vec<Finding>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mut findings: Vec<Finding> = errors.iter().map(|error| syntax_error(text, error)).collect();
        // What follows the first on a line comes of it.
        findings.dedup_by_key(|finding| finding.place.map(|place| place.line));
        return Err(findings);
    }
    let mut places = Places {
        text: text.to_owned(),
        spans: BTreeMap::new(),
    };
    let value = places.table(table.get_ref(), "");
    Ok((value, places))
}

fn syntax_error(text: &str, error: &toml::de::Error) -> Finding {
    let mut finding = Finding::error(
        "",
        format!("not valid TOML: {}", error.message().replace('\n', ", ")),
        "",
    );
    finding.place = error.span().map(|span| Place::of(text, span));
    finding
}

fn read_json(text: &str) -> Result<(Value, Places), Vec<Finding>> {
    serde_json::from_str(text)
        .map(|value| (value, Places::default()))
        .map_err(|error| {
            let message = error.to_string();
            let message = message
                .rsplit_once(" at line ")
                .map_or(message.as_str(), |(what, _)| what);
            let mut finding = Finding::error("", format!("not valid JSON: {message}"), "");
            finding.place = Some(Place {
                line: error.line().max(1),
                column: error.column().max(1),
                length: 1,
            });
            vec![finding]
        })
}

impl Places {
    /// Gives a finding its place: that of its path, or of the nearest table around it.
    pub fn fill(&self, finding: &mut Finding) {
        let mut path = finding.path.as_str();
        let mut at_key = finding.at_key;
        loop {
            if let Some(spans) = self.spans.get(path) {
                let span = if at_key { &spans.key } else { &spans.value };
                finding.place = Some(Place::of(&self.text, span.clone()));
                return;
            }
            let Some(end) = path.rfind(['.', '[']) else { return };
            path = &path[..end];
            at_key = false;
        }
    }

    fn table(&mut self, table: &DeTable<'_>, path: &str) -> Value {
        // The parser sorts keys; findings come in the order of the text.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut out = Map::new();
        for (key, value) in entries {
            let path = join(path, key.get_ref());
            let converted = self.value(value, &path);
            self.spans.insert(
                path,
                Spans {
                    key: key.span(),
                    value: value.span(),
                },
            );
            out.insert(key.get_ref().to_string(), converted);
        }
        Value::Object(out)
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Value {
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(digits) => integer(digits.as_str(), digits.radix()),
            DeValue::Float(digits) => float(digits.as_str()),
            DeValue::Boolean(boolean) => Value::Bool(*boolean),
            DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
            DeValue::Table(table) => self.table(table, path),
            DeValue::Array(items) => {
                let mut out = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    out.push(self.value(item, &path));
                    self.spans.insert(
                        path,
                        Spans {
                            key: item.span(),
                            value: item.span(),
                        },
                    );
                }
                Value::Array(out)
            }
        }
    }
}

/// Numbers beyond 64 bits are refused by every bound, so the nearest one does as well.
fn integer(digits: &str, radix: u32) -> Value {
    let saturated = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
    i64::from_str_radix(digits, radix).unwrap_or(saturated).into()
}

/// JSON has no `inf` and `nan`: they stay text, which is no number.
fn float(digits: &str) -> Value {
    let number = digits.parse().ok().and_then(serde_json::Number::from_f64);
    number.map_or_else(|| Value::String(digits.to_owned()), Value::Number)
}
