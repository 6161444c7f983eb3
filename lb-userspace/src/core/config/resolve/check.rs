//! `check`: of a service, over that of `[defaults]`, over what is built in.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Findings, Table};
use crate::core::config::file::{self, DurationText, Word};
use crate::core::config::words::{self, Wrong, wrong};
use crate::core::model::{Check, CheckKind};

/// Bounds of both intervals.
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
/// Bounds of the timeout.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
/// Bounds of `rise` and `fall`.
const IN_A_ROW: RangeInclusive<u32> = 1..=1000;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
const DEFAULT_FAST_INTERVAL: Duration = Duration::from_millis(500);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_RISE: u32 = 2;
const DEFAULT_FALL: u32 = 3;
const DEFAULT_JITTER: f64 = 0.2;

/// A `check` table, and where it is.
pub struct Layer<'a> {
    pub check: &'a file::Check,
    pub table: Table,
}

/// A value, and the layer it is from.
struct Picked<'a, T> {
    value: &'a T,
    layer: usize,
}

/// The check that the layers amount to, the first one going before the others; and whether any of them names a type.
pub fn resolve(layers: &[Layer<'_>], findings: &mut Findings) -> (Check, bool) {
    let mut stack = Stack { layers, findings };
    let named = stack.pick(|check| check.r#type.as_ref()).is_some();
    let kind = stack.kind();
    let port = stack.value("port", |check| check.port.as_ref(), |port| words::port(*port));
    let interval = stack.duration("interval", INTERVAL, |check| check.interval.as_ref());
    let rise = stack.value(
        "rise",
        |check| check.rise.as_ref(),
        |n| words::integer("rise", *n, IN_A_ROW),
    );
    let fall = stack.value(
        "fall",
        |check| check.fall.as_ref(),
        |n| words::integer("fall", *n, IN_A_ROW),
    );
    let jitter = stack.value("jitter", |check| check.jitter.as_ref(), |share| jitter(*share));
    let interval = interval.unwrap_or(DEFAULT_INTERVAL);
    let check = Check {
        fast_interval: stack.fast_interval(interval),
        timeout: stack.timeout(interval),
        kind: kind.unwrap_or(CheckKind::Tcp),
        port,
        interval,
        rise: rise.unwrap_or(DEFAULT_RISE),
        fall: fall.unwrap_or(DEFAULT_FALL),
        jitter: jitter.unwrap_or(DEFAULT_JITTER),
    };
    (check, named)
}

fn jitter(share: f64) -> Result<f64, Wrong> {
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    wrong(
        format!("jitter {share} is not a share of the interval"),
        "give 0 to 1, like 0.2",
    )
}

struct Stack<'a, 'f> {
    layers: &'a [Layer<'a>],
    findings: &'f mut Findings,
}

impl<'a> Stack<'a, '_> {
    fn pick<T>(&self, field: impl Fn(&'a file::Check) -> Option<&'a T>) -> Option<Picked<'a, T>> {
        let mut found = self.layers.iter().map(|layer| field(layer.check)).enumerate();
        found.find_map(|(layer, value)| Some(Picked { value: value?, layer }))
    }

    fn value<T: 'a, V>(
        &mut self,
        key: &str,
        field: impl Fn(&'a file::Check) -> Option<&'a T>,
        read: impl Fn(&T) -> Result<V, Wrong>,
    ) -> Option<V> {
        let Picked { value, layer } = self.pick(field)?;
        self.findings.take(&self.layers[layer].table, key, read(value))
    }

    fn duration(
        &mut self,
        key: &str,
        bounds: RangeInclusive<Duration>,
        field: impl Fn(&'a file::Check) -> Option<&'a DurationText>,
    ) -> Option<Duration> {
        self.value(key, field, |DurationText(text)| {
            words::duration(key, text, bounds.clone())
        })
    }

    /// Whether a value of this layer was written knowing the interval: one that a service overrides makes an inherited
    /// timeout or fast interval follow it.
    fn knows_interval(&self, layer: usize) -> bool {
        let interval = self.pick(|check| check.interval.as_ref());
        interval.is_none_or(|interval| layer <= interval.layer)
    }

    fn fast_interval(&mut self, interval: Duration) -> Duration {
        let field = |check: &'a file::Check| check.fast_interval.as_ref();
        let given = self
            .duration("fast_interval", INTERVAL, field)
            .unwrap_or(DEFAULT_FAST_INTERVAL);
        if given <= interval {
            return given;
        }
        if let Some(picked) = self.pick(field).filter(|picked| self.knows_interval(picked.layer)) {
            let (fast, slow) = (words::show_duration(given), words::show_duration(interval));
            let what = format!("fast_interval {fast} is longer than interval {slow}");
            let table = &self.layers[picked.layer].table;
            self.findings.take(
                table,
                "fast_interval",
                wrong::<()>(what, format!("give {slow} at most")),
            );
        }
        interval
    }

    fn timeout(&mut self, interval: Duration) -> Duration {
        let field = |check: &'a file::Check| check.timeout.as_ref();
        let given = self.duration("timeout", TIMEOUT, field);
        let Some(picked) = self.pick(field).filter(|picked| self.knows_interval(picked.layer)) else {
            return given.unwrap_or(DEFAULT_TIMEOUT).min(interval);
        };
        let timeout = given.unwrap_or(DEFAULT_TIMEOUT);
        if timeout > interval {
            let (timeout, interval) = (words::show_duration(timeout), words::show_duration(interval));
            let what = format!("timeout {timeout} is longer than interval {interval}, so checks come late");
            let help = format!("give {interval} at most");
            self.findings
                .warn(&self.layers[picked.layer].table, "timeout", &what, &help);
        }
        timeout
    }

    fn kind(&mut self) -> Option<CheckKind> {
        #[derive(Clone, Copy)]
        enum Type {
            None,
            Tcp,
            Http,
        }
        const LATER: [&str; 7] = ["tls", "https", "grpc", "udp", "dns", "icmp", "exec"];
        let known = [("none", Type::None), ("tcp", Type::Tcp), ("http", Type::Http)];
        let field = |check: &'a file::Check| check.r#type.as_ref();
        let layer = self.pick(field).map_or(self.layers.len(), |picked| picked.layer);
        let kind = self.value("type", field, |word| words::one_of("check type", word, &known, &LATER));
        self.value(
            "via",
            |check| check.via.as_ref(),
            |word| words::one_of("via", word, &[("direct", ())], &["datapath"]),
        );
        let http = self.http();
        match kind {
            Some(Type::Http) => http,
            Some(Type::None) => Some(CheckKind::None),
            Some(Type::Tcp) => {
                self.warn_of_http("tcp", layer);
                Some(CheckKind::Tcp)
            }
            None => {
                if layer == self.layers.len() {
                    self.warn_of_http("tcp", layer);
                }
                None
            }
        }
    }

    /// What belongs to `http` says nothing in another type: perhaps the type was forgotten.
    fn warn_of_http(&mut self, kind: &str, type_layer: usize) {
        let given = [
            (
                "path",
                self.pick(|check| check.path.as_ref()).map(|picked| picked.layer),
            ),
            (
                "host",
                self.pick(|check| check.host.as_ref()).map(|picked| picked.layer),
            ),
            (
                "expect",
                self.pick(|check| check.expect.as_ref()).map(|picked| picked.layer),
            ),
        ];
        for (key, layer) in given {
            let Some(layer) = layer.filter(|layer| *layer <= type_layer) else {
                continue;
            };
            let what = format!("{key} means nothing to a check of type {kind:?}");
            self.findings.warn(
                &self.layers[layer].table,
                key,
                &what,
                "set type = \"http\", or remove it",
            );
        }
    }

    fn http(&mut self) -> Option<CheckKind> {
        let path = self.value("path", |check| check.path.as_ref(), |path| http_path(path));
        let host = self.value("host", |check| check.host.as_ref(), |host| http_host(host));
        let expect = self.pick(|check| check.expect.as_ref());
        let mut status = Vec::new();
        if let Some(expect) = &expect {
            let table = &self.layers[expect.layer].table;
            for word in expect.value.status.iter().flat_map(file::OneOrMany::as_slice) {
                let text = match word {
                    Word::Number(number) => number.to_string(),
                    Word::Text(text) => text.clone(),
                };
                status.extend(self.findings.take(table, "expect.status", words::status(&text)));
            }
        }
        if status.is_empty() {
            status.push((200, 299));
        }
        Some(CheckKind::Http {
            path: path.unwrap_or_else(|| "/".to_owned()),
            host,
            status,
            body: expect.and_then(|expect| expect.value.body.clone()),
        })
    }
}

fn http_path(path: &str) -> Result<String, Wrong> {
    if path.starts_with('/') && !path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(path.to_owned());
    }
    wrong(
        format!("path {path:?} is not the path of a request"),
        "begin it with '/', without spaces",
    )
}

fn http_host(host: &str) -> Result<String, Wrong> {
    if !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
        return Ok(host.to_owned());
    }
    wrong(
        format!("host {host:?} is not the name of a host"),
        "write it like \"www.example.org\"",
    )
}
