//! What a document may hold: its keys and the kinds of their values, and the walk that compares a document with that.
//!
//! The walk reports everything that does not belong, takes it out, and leaves a document that deserialises, so that the
//! rest can be looked at too: one run tells all there is to tell.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::finding::Finding;
use super::words::closest;

/// The kind of a value.
#[derive(Debug)]
pub enum Shape {
    Text,
    Duration,
    Integer,
    Number,
    List(&'static Shape),
    /// The first where both would do.
    Either(&'static Shape, &'static Shape),
    Table(&'static [Key]),
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// As in Rust: a keyword has `r#` before it.
    pub ident: &'static str,
    pub shape: &'static Shape,
}

/// What a type looks like in a document.
pub trait Shaped {
    const SHAPE: Shape;
}

impl Shaped for String {
    const SHAPE: Shape = Shape::Text;
}
impl Shaped for i64 {
    const SHAPE: Shape = Shape::Integer;
}
impl Shaped for f64 {
    const SHAPE: Shape = Shape::Number;
}
impl<T: Shaped> Shaped for Option<T> {
    const SHAPE: Shape = T::SHAPE;
}
impl<T: Shaped> Shaped for Vec<T> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);
}

impl Key {
    fn name(&self) -> &'static str {
        self.ident.strip_prefix("r#").unwrap_or(self.ident)
    }
}

impl Shape {
    /// Whether a value is of this kind, whatever it holds.
    fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Text | Self::Duration => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::List(_) => value.is_array(),
            Self::Either(a, b) => a.admits(value) || b.admits(value),
            Self::Table(_) => value.is_object(),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Text => "text in quotes".to_owned(),
            Self::Duration => "a duration in quotes, like \"2s\" or \"500ms\"".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::List(Shape::Table(_)) => "a list of tables".to_owned(),
            Self::List(item) => format!("a list of {}", item.describe().trim_start_matches("a ")),
            Self::Either(a, b) => format!("{} or {}", a.describe(), b.describe()),
            Self::Table(_) => "a table".to_owned(),
        }
    }

    /// What stands in for a value of another kind, so that the elements after it keep their index.
    fn placeholder(&self) -> Value {
        match self {
            Self::Text | Self::Duration => Value::String(String::new()),
            Self::Integer | Self::Number => 0.into(),
            Self::List(_) => Value::Array(Vec::new()),
            Self::Either(a, _) => a.placeholder(),
            Self::Table(_) => Value::Object(Map::new()),
        }
    }
}

/// What the walk has found.
#[derive(Debug, Default)]
pub struct Walk {
    pub findings: Vec<Finding>,
    /// Paths about which nothing more need be said.
    settled: Vec<String>,
}

impl Walk {
    /// The document that a value holds, without what does not belong there. `subject` begins the messages: `service web`.
    pub fn decode<T>(&mut self, value: Value, path: &str, subject: &str) -> T
    where
        T: Shaped + DeserializeOwned + Default,
    {
        let Some(value) = self.prune(value, &T::SHAPE, path, subject) else {
            return T::default();
        };
        serde_json::from_value(value).unwrap_or_else(|error| {
            self.findings
                .push(Finding::error(path, prefixed(subject, &error.to_string()), ""));
            T::default()
        })
    }

    /// Whether a finding repeats what the walk has said already.
    pub fn covers(&self, finding: &Finding) -> bool {
        self.settled
            .iter()
            .any(|path| match finding.path.strip_prefix(path.as_str()) {
                Some(rest) => rest.is_empty() || rest.starts_with(['.', '[']),
                None => false,
            })
    }

    fn prune(&mut self, value: Value, shape: &Shape, path: &str, subject: &str) -> Option<Value> {
        if !shape.admits(&value) {
            self.wrong_kind(&value, shape, path, subject);
            return None;
        }
        Some(match (shape, value) {
            (Shape::Either(a, b), value) => {
                let shape = if a.admits(&value) { a } else { b };
                return self.prune(value, shape, path, subject);
            }
            (Shape::Table(keys), Value::Object(table)) => Value::Object(self.prune_table(table, keys, path, subject)),
            (Shape::List(shape), Value::Array(items)) => Value::Array(self.prune_list(items, shape, path, subject)),
            (Shape::Integer, value) if value.as_i64().is_none() => i64::MAX.into(),
            (_, value) => value,
        })
    }

    fn prune_list(&mut self, items: Vec<Value>, shape: &Shape, path: &str, subject: &str) -> Vec<Value> {
        let key = path.rsplit('.').next().unwrap_or(path);
        let mut kept = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let subject = item_subject(subject, key, index, &item);
            let item = self.prune(item, shape, &format!("{path}[{index}]"), &subject);
            kept.push(item.unwrap_or_else(|| shape.placeholder()));
        }
        kept
    }

    fn prune_table(
        &mut self,
        table: Map<String, Value>,
        keys: &[Key],
        path: &str,
        subject: &str,
    ) -> Map<String, Value> {
        let mut kept = Map::new();
        for (name, value) in table {
            let path = join(path, &name);
            match keys.iter().find(|key| key.name() == name) {
                None => self.unknown_key(&name, keys, &path, subject),
                // In JSON, null is how a key is left out.
                Some(_) if value.is_null() => {}
                Some(key) => {
                    if let Some(value) = self.prune(value, key.shape, &path, subject) {
                        kept.insert(name, value);
                    }
                }
            }
        }
        kept
    }

    fn unknown_key(&mut self, name: &str, keys: &[Key], path: &str, subject: &str) {
        let names = || keys.iter().map(Key::name);
        let meant = elsewhere(name)
            .filter(|meant| names().any(|n| n == *meant))
            .or_else(|| closest(name, names()));
        let help = match meant {
            Some(meant) => {
                let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
                self.settled.push(join(parent, meant));
                format!("did you mean {meant:?}?")
            }
            None => format!("the keys here are {}", names().collect::<Vec<_>>().join(", ")),
        };
        let mut finding = Finding::error(path, prefixed(subject, &format!("unknown key {name:?}")), help);
        finding.at_key = true;
        self.findings.push(finding);
    }

    fn wrong_kind(&mut self, value: &Value, shape: &Shape, path: &str, subject: &str) {
        let name = path.rsplit('.').next().unwrap_or(path);
        let name = if name.is_empty() { "the document" } else { name };
        let what = format!("{name} must be {}, not {}", shape.describe(), kind(value));
        let help = match (shape, value) {
            (Shape::List(Shape::Table(_)), Value::Object(_)) => format!("write [[{name}]], with double brackets"),
            (Shape::Integer | Shape::Number, Value::String(_)) => "write it without quotes".to_owned(),
            (Shape::Text, Value::Number(_)) => "write it in quotes".to_owned(),
            _ => String::new(),
        };
        self.settled.push(path.to_owned());
        self.findings.push(Finding::error(path, prefixed(subject, &what), help));
    }
}

/// A key's name in other balancers, and ours.
fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name {
        "healthy_threshold" => "rise",
        "unhealthy_threshold" => "fall",
        "inter" => "interval",
        "fastinter" => "fast_interval",
        "health" | "health_check" => "check",
        "vip" | "ip" | "addr" => "address",
        "server" | "real_server" | "upstream" => "backend",
        "no_healthy" => "when_all_down",
        _ => return None,
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() != 0.0) => "a number with a fraction",
        Value::Number(number) if number.is_f64() => "a number beyond 64 bits",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// `service web`, `backend web/web-1`, or what stood there before.
fn item_subject(subject: &str, key: &str, index: usize, item: &Value) -> String {
    let text = |field: &str| item.get(field).and_then(Value::as_str);
    match key {
        "service" => service_subject(text("name"), index),
        "backend" => backend_subject(subject, text("name").or(text("address")), index),
        _ => subject.to_owned(),
    }
}

/// How messages call a service.
pub(super) fn service_subject(name: Option<&str>, index: usize) -> String {
    match name {
        Some(name) => format!("service {}", name.escape_debug()),
        None => format!("service number {}", index + 1),
    }
}

/// How messages call a backend of the service that is called `service`.
pub(super) fn backend_subject(service: &str, name: Option<&str>, index: usize) -> String {
    let service = service.strip_prefix("service ").unwrap_or(service);
    match name {
        Some(name) => format!("backend {service}/{}", name.escape_debug()),
        None => format!("service {service}: backend number {}", index + 1),
    }
}

/// `subject: message`.
pub(super) fn prefixed(subject: &str, message: &str) -> String {
    if subject.is_empty() {
        message.to_owned()
    } else {
        format!("{subject}: {message}")
    }
}

/// The path of a key in the table at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
