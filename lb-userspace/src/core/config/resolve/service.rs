//! `[[service]]` and `[[service.backend]]`

use std::ops::RangeInclusive;
use std::time::Duration;

use lb_common::encap;

use super::check::{self, Layer};
use super::{Findings, Table, vip};
use crate::core::config::file::{self, Affinity, DurationText, File};
use crate::core::config::overrides::{Overrides, override_key};
use crate::core::config::shape::{backend_subject, service_subject};
use crate::core::config::words::{self, Wrong, wrong};
use crate::core::model::{AdminState, Backend, Check, CheckKind, Mode, Protocol, Service, Vip, WhenAllDown};

const DEFAULT_TABLE_SIZE: u32 = 65_537;
const DEFAULT_WEIGHT: u32 = 100;
/// Bounds of a drain's timeout.
const DRAIN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);

const MODES: [(&str, Mode); 5] = [
    ("fullnat", Mode::Fullnat),
    ("nat", Mode::Nat),
    ("l2", Mode::L2),
    ("ipip", Mode::Ipip),
    ("gue", Mode::Gue),
];
const WHEN_ALL_DOWN: [(&str, WhenAllDown); 2] = [("drop", WhenAllDown::Drop), ("use-all", WhenAllDown::UseAll)];
const STATES: [(&str, AdminState); 3] = [
    ("ready", AdminState::Ready),
    ("drain", AdminState::Drain),
    ("maint", AdminState::Maint),
];

/// A service as far as it could be read; its place is its index.
pub struct Draft {
    pub table: Table,
    pub name: Option<String>,
    pub vip: Option<Vip>,
    pub mode: Option<Mode>,
    pub table_size: Option<u32>,
    tunnel_port: Option<u16>,
    mss_clamp: Option<u16>,
    when_all_down: Option<WhenAllDown>,
    check: Check,
    pub backends: Vec<BackendDraft>,
}

/// A backend as far as it could be read.
pub struct BackendDraft {
    pub table: Table,
    pub backend: Option<Backend>,
    /// Whether the document gives it a port.
    pub own_port: bool,
}

impl Draft {
    /// Whether checks go to a port that only its backends can say.
    pub fn checks_need_a_port(&self) -> bool {
        self.check.kind != CheckKind::None && self.check.port.is_none()
    }

    /// The service, if everything about it could be read.
    pub fn finish(self) -> Option<Service> {
        Some(Service {
            name: self.name?,
            vip: self.vip?,
            mode: self.mode?,
            table_size: self.table_size?,
            tunnel_port: self.tunnel_port?,
            mss_clamp: self.mss_clamp,
            check: self.check,
            when_all_down: self.when_all_down?,
            backends: self
                .backends
                .into_iter()
                .map(|draft| draft.backend)
                .collect::<Option<_>>()?,
        })
    }
}

/// What `[defaults]` says, with what is built in below it; `None` where it cannot be read.
struct Defaults<'a> {
    mode: Option<Mode>,
    table_size: Option<u32>,
    tunnel_port: Option<u16>,
    /// None: segments are as large as both ends say.
    mss_clamp: Option<u16>,
    when_all_down: Option<WhenAllDown>,
    check: Option<&'a file::Check>,
}

pub fn resolve(file: &File, overrides: &Overrides, findings: &mut Findings) -> Vec<Draft> {
    let defaults = defaults(file.defaults.as_ref(), findings);
    let services = file.service.iter().enumerate();
    services
        .map(|(index, service)| resolve_one(index, service, &defaults, overrides, findings))
        .collect()
}

fn defaults<'a>(defaults: Option<&'a file::Defaults>, findings: &mut Findings) -> Defaults<'a> {
    let Some(defaults) = defaults else {
        return Defaults {
            mode: Some(Mode::Fullnat),
            table_size: Some(DEFAULT_TABLE_SIZE),
            tunnel_port: Some(encap::GUE_PORT),
            mss_clamp: None,
            when_all_down: Some(WhenAllDown::Drop),
            check: None,
        };
    };
    let table = Table::new("defaults", "defaults");
    drain(defaults.drain.as_ref(), &table, findings);
    let layers: Vec<_> = defaults.check.iter().map(default_check).collect();
    check::resolve(&layers, findings);
    Defaults {
        mode: mode(defaults.mode.as_deref(), Some(Mode::Fullnat), &table, findings),
        table_size: table_size(defaults.table_size, Some(DEFAULT_TABLE_SIZE), &table, findings),
        tunnel_port: tunnel_port(defaults.tunnel_port, Some(encap::GUE_PORT), &table, findings),
        mss_clamp: mss_clamp(defaults.mss_clamp, None, &table, findings),
        when_all_down: all_down(
            defaults.when_all_down.as_deref(),
            Some(WhenAllDown::Drop),
            &table,
            findings,
        ),
        check: defaults.check.as_ref(),
    }
}

fn default_check(check: &file::Check) -> Layer<'_> {
    Layer {
        check,
        table: Table::new("defaults.check", "defaults.check"),
    }
}

fn resolve_one(
    index: usize,
    service: &file::Service,
    defaults: &Defaults<'_>,
    overrides: &Overrides,
    findings: &mut Findings,
) -> Draft {
    let table = Table::new(
        format!("service[{index}]"),
        service_subject(service.name.as_deref(), index),
    );
    if let Some(affinity) = &service.affinity {
        findings.take(&table, "affinity", check_affinity(affinity));
    }
    drain(service.drain.as_ref(), &table, findings);
    let name = findings.take(&table, "name", name(service.name.as_deref()));
    let vip = vip::resolve(service, &table, findings);
    let mode = mode(service.mode.as_deref(), defaults.mode, &table, findings);
    if service.tunnel_port.is_some() && mode.is_some_and(|mode| mode != Mode::Gue) {
        let help = "leave it out, or use mode gue";
        findings.warn(
            &table,
            "tunnel_port",
            "only mode gue has a port that tunnels go to",
            help,
        );
    }
    if service.mss_clamp.is_some() && vip.is_some_and(|vip| matches!(vip.protocol, Protocol::Udp | Protocol::Sctp)) {
        let help = "leave it out";
        findings.warn(&table, "mss_clamp", "only TCP has segments", help);
    }
    let check = service_check(service, vip, defaults, &table, findings);
    let mut backends = Vec::with_capacity(service.backend.len());
    for (index, backend) in service.backend.iter().enumerate() {
        let path = format!("{}.backend[{index}]", table.path);
        let table = Table::new(path, backend_subject(&table.subject, backend.effective_name(), index));
        let mut draft = resolve_backend(backend, vip, table, findings);
        if let (Some(service), Some(backend)) = (name.as_deref(), &mut draft.backend) {
            set_by_hand(service, backend, overrides);
        }
        backends.push(draft);
    }
    Draft {
        name,
        vip,
        mode,
        table_size: table_size(service.table_size, defaults.table_size, &table, findings),
        tunnel_port: tunnel_port(service.tunnel_port, defaults.tunnel_port, &table, findings),
        mss_clamp: mss_clamp(service.mss_clamp, defaults.mss_clamp, &table, findings),
        when_all_down: all_down(
            service.when_all_down.as_deref(),
            defaults.when_all_down,
            &table,
            findings,
        ),
        check,
        backends,
        table,
    }
}

fn service_check(
    service: &file::Service,
    vip: Option<Vip>,
    defaults: &Defaults<'_>,
    table: &Table,
    findings: &mut Findings,
) -> Check {
    let own = service.check.iter().map(|check| Layer {
        check,
        table: Table::new(table.at("check"), format!("{}: check", table.subject)),
    });
    let layers: Vec<_> = own.chain(defaults.check.map(default_check)).collect();
    let (check, named) = check::resolve(&layers, findings);
    if let Some(vip) = vip
        && !named
        && matches!(vip.protocol, Protocol::Udp | Protocol::Sctp)
    {
        let protocol = vip.protocol.name();
        let what = &format!("a {protocol} service whose backends are checked by tcp connections");
        let help = "say check = { type = \"tcp\" } if they take them, else type = \"http\" or \"none\"";
        findings.warn(table, "check", what, help);
    }
    check
}

fn name(name: Option<&str>) -> Result<String, Wrong> {
    match name {
        Some(name) => words::name(name),
        None => wrong("there is no name", "give it one: name = \"web\""),
    }
}

fn mode(word: Option<&str>, default: Option<Mode>, table: &Table, findings: &mut Findings) -> Option<Mode> {
    let Some(word) = word else { return default };
    findings.take(table, "mode", words::one_of("mode", word, &MODES, &[]))
}

fn table_size(size: Option<i64>, default: Option<u32>, table: &Table, findings: &mut Findings) -> Option<u32> {
    let Some(size) = size else { return default };
    findings.take(table, "table_size", words::table_size(size))
}

fn tunnel_port(port: Option<i64>, default: Option<u16>, table: &Table, findings: &mut Findings) -> Option<u16> {
    let Some(port) = port else { return default };
    let port = words::integer("tunnel_port", port, 1..=u16::MAX.into());
    findings.take(table, "tunnel_port", port.map(|port| port as u16))
}

/// The smallest segment that every host takes is one of 536 bytes (RFC 9293, section 3.7.1), and 60 are the largest headers.
fn mss_clamp(bytes: Option<i64>, default: Option<u16>, table: &Table, findings: &mut Findings) -> Option<u16> {
    let Some(bytes) = bytes else { return default };
    let bytes = words::integer("mss_clamp", bytes, 536..=u32::from(u16::MAX) - 60);
    findings.take(table, "mss_clamp", bytes.map(|bytes| bytes as u16))
}

fn all_down(
    word: Option<&str>,
    default: Option<WhenAllDown>,
    table: &Table,
    findings: &mut Findings,
) -> Option<WhenAllDown> {
    let Some(word) = word else { return default };
    findings.take(
        table,
        "when_all_down",
        words::one_of("when_all_down", word, &WHEN_ALL_DOWN, &["reject", "sorry"]),
    )
}

fn check_affinity(affinity: &Affinity) -> Result<(), Wrong> {
    match affinity {
        Affinity::Named(word) => words::one_of("affinity", word, &[("flow", ())], &["source"]),
        Affinity::Prefixes(_) => wrong(
            "affinity by source prefix is not built yet",
            "the one there is is \"flow\"",
        ),
    }
}

fn drain(drain: Option<&file::Drain>, table: &Table, findings: &mut Findings) {
    if let Some(DurationText(text)) = drain.and_then(|drain| drain.timeout.as_ref()) {
        findings.take(table, "drain.timeout", words::duration("drain.timeout", text, DRAIN));
    }
}

fn resolve_backend(backend: &file::Backend, vip: Option<Vip>, table: Table, findings: &mut Findings) -> BackendDraft {
    let address = match backend.address.as_deref() {
        Some(text) => words::address(text),
        None => wrong("there is no address", "give the server's: address = \"10.0.1.1\""),
    };
    let address = findings.take(&table, "address", address);
    let name = match backend.name.as_deref() {
        Some(name) => findings.take(&table, "name", words::name(name)),
        None => address.map(|address| address.to_string()),
    };
    let own_port = backend
        .port
        .map(|port| findings.take(&table, "port", words::port(port)));
    let weight = match backend.weight {
        Some(weight) => findings.take(&table, "weight", self::weight(weight)),
        None => Some(DEFAULT_WEIGHT),
    };
    let priority = backend
        .priority
        .map_or(Ok(0), |n| words::integer("priority", n, 0..=u32::MAX));
    let priority = findings.take(&table, "priority", priority);
    let state = backend
        .state
        .as_deref()
        .map_or(Ok(AdminState::Ready), |word| words::one_of("state", word, &STATES, &[]));
    let state = findings.take(&table, "state", state);
    let next_hop = backend
        .next_hop
        .as_deref()
        .map(|text| findings.take(&table, "next_hop", words::next_hop(text)));
    let read = || {
        Some(Backend {
            name: name?,
            address: address?,
            // With a service that cannot be read the port is unknown, but all else can still be looked at.
            port: own_port.unwrap_or(Some(vip.map_or(0, |vip| vip.port)))?,
            weight: weight?,
            configured_weight: weight?,
            priority: priority?,
            state: state?,
            set_by: None,
            next_hop: match next_hop {
                Some(given) => Some(given?),
                None => None,
            },
        })
    };
    BackendDraft {
        backend: read(),
        own_port: own_port.is_some(),
        table,
    }
}

/// Weight of a backend.
fn weight(weight: i64) -> Result<u32, Wrong> {
    words::integer("weight", weight, 0..=65_535).map_err(|wrong| Wrong {
        what: wrong.what,
        help: "give 0 to 65535 (0: no new flows)".to_owned(),
    })
}

/// What an operator set goes before what the document says.
fn set_by_hand(service: &str, backend: &mut Backend, overrides: &Overrides) {
    if let Some(set) = overrides.get(&override_key(service, &backend.name)) {
        backend.state = set.state.unwrap_or(backend.state);
        backend.weight = set.weight.unwrap_or(backend.weight);
        backend.set_by = Some(set.set_by.clone());
    }
}
