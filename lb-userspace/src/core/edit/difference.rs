//! What changes between two models, in words: a line each, `+` for what comes, `-` for what goes, `~` for what differs.

use std::collections::HashMap;

use crate::core::config::show_duration;
use crate::core::model::{
    AdminState, Backend, Check, CheckKind, Interface, Model, NextHop, Node, Service, WhenAllDown, XdpMode, mode_name,
};

/// The lines, in the order of the new model, what goes last. A document that only reads differently says so.
pub fn difference(before: Option<&Model>, after: &Model) -> Vec<String> {
    let mut lines = Vec::new();
    interfaces(
        before.map_or(&[][..], |model| &model.node.interfaces),
        &after.node.interfaces,
        &mut lines,
    );
    if let Some(before) = before {
        changed(
            &mut lines,
            "node",
            &node_fields(&before.node),
            &node_fields(&after.node),
        );
    }
    let old: HashMap<&str, &Service> = before
        .map(|model| services_by_name(&model.services))
        .unwrap_or_default();
    let new = services_by_name(&after.services);
    for service in &after.services {
        match old.get(service.name.as_str()) {
            Some(before) => service_changes(before, service, &mut lines),
            None => service_comes(service, &mut lines),
        }
    }
    for service in before.map_or(&[][..], |model| &model.services) {
        if !new.contains_key(service.name.as_str()) {
            lines.extend(
                service
                    .backends
                    .iter()
                    .map(|backend| format!("- backend {}", show_backend(service, backend))),
            );
            lines.push(format!("- service {} {}", service.name, service.vip));
        }
    }
    if lines.is_empty() {
        lines.push("~ the base state is written differently and means the same".to_owned());
    }
    lines
}

fn services_by_name(services: &[Service]) -> HashMap<&str, &Service> {
    services
        .iter()
        .map(|service| (service.name.as_str(), service))
        .collect()
}

fn interfaces(before: &[Interface], after: &[Interface], lines: &mut Vec<String>) {
    for interface in after {
        match before.iter().find(|other| other.name == interface.name) {
            None => lines.push(format!("+ interface {} {}", interface.name, xdp_name(interface.xdp))),
            Some(old) if old.xdp != interface.xdp => {
                let (from, to) = (xdp_name(old.xdp), xdp_name(interface.xdp));
                lines.push(format!("~ interface {}: {from} -> {to}", interface.name));
            }
            Some(_) => {}
        }
    }
    let gone = before
        .iter()
        .filter(|old| after.iter().all(|interface| interface.name != old.name));
    lines.extend(gone.map(|old| format!("- interface {}", old.name)));
}

fn service_comes(service: &Service, lines: &mut Vec<String>) {
    lines.push(format!(
        "+ service {} {} {}",
        service.name,
        service.vip,
        mode_name(service.mode)
    ));
    lines.extend(
        service
            .backends
            .iter()
            .map(|backend| format!("+ backend {}", show_backend(service, backend))),
    );
}

fn service_changes(before: &Service, after: &Service, lines: &mut Vec<String>) {
    let subject = format!("service {}", after.name);
    changed(lines, &subject, &service_fields(before), &service_fields(after));
    let (old, new) = (backends_by_name(before), backends_by_name(after));
    for backend in &after.backends {
        match old.get(backend.name.as_str()) {
            Some(before) => {
                let subject = format!("backend {}/{}", after.name, backend.name);
                changed(
                    lines,
                    &subject,
                    &backend_fields(before, backend),
                    &backend_fields(backend, before),
                );
            }
            None => lines.push(format!("+ backend {}", show_backend(after, backend))),
        }
    }
    let gone = before
        .backends
        .iter()
        .filter(|backend| !new.contains_key(backend.name.as_str()));
    lines.extend(gone.map(|backend| format!("- backend {}", show_backend(before, backend))));
}

fn backends_by_name(service: &Service) -> HashMap<&str, &Backend> {
    service
        .backends
        .iter()
        .map(|backend| (backend.name.as_str(), backend))
        .collect()
}

fn show_backend(service: &Service, backend: &Backend) -> String {
    let Backend {
        name,
        address,
        port,
        weight,
        state,
        ..
    } = backend;
    let state = if *state == AdminState::Ready {
        String::new()
    } else {
        format!(" {}", state_name(*state))
    };
    format!("{}/{name} {address}:{port} weight {weight}{state}", service.name)
}

/// Names of fields, and how their values are shown.
type Fields = Vec<(&'static str, String)>;

/// `~ service web: mode fullnat -> nat, table_size 65537 -> 251`
fn changed(lines: &mut Vec<String>, subject: &str, before: &Fields, after: &Fields) {
    let pairs = before.iter().zip(after).filter(|((_, from), (_, to))| from != to);
    let changes: Vec<_> = pairs
        .map(|((field, from), (_, to))| format!("{field} {from} -> {to}"))
        .collect();
    if !changes.is_empty() {
        lines.push(format!("~ {subject}: {}", changes.join(", ")));
    }
}

fn node_fields(node: &Node) -> Fields {
    let sources: Vec<_> = node.source.iter().map(ToString::to_string).collect();
    let sources = if sources.is_empty() {
        "by interface".to_owned()
    } else {
        sources.join(" ")
    };
    let spread: Vec<_> = node
        .ipip_source
        .iter()
        .map(|spread| format!("{}/{}", spread.address, spread.length))
        .collect();
    let spread = if spread.is_empty() {
        "none".to_owned()
    } else {
        spread.join(" ")
    };
    let (limits, timeouts) = (node.limits, node.flow_timeouts);
    vec![
        ("name", node.name.clone().unwrap_or_else(|| "none".to_owned())),
        ("source", sources),
        ("ipip_source", spread),
        (
            "hash_key",
            format!("{:016x}{:016x}", node.hash_key[0], node.hash_key[1]),
        ),
        ("limits.services", limits.services.to_string()),
        ("limits.backends", limits.backends.to_string()),
        ("limits.slots", limits.slots.to_string()),
        ("limits.flows", limits.flows.to_string()),
        ("limits.sources", limits.sources.to_string()),
        ("flow_timeouts.tcp_embryonic", show_duration(timeouts.tcp_embryonic)),
        ("flow_timeouts.tcp_established", show_duration(timeouts.tcp_established)),
        ("flow_timeouts.tcp_closed", show_duration(timeouts.tcp_closed)),
        ("flow_timeouts.udp", show_duration(timeouts.udp)),
    ]
}

fn service_fields(service: &Service) -> Fields {
    let all_down = match service.when_all_down {
        WhenAllDown::Drop => "drop",
        WhenAllDown::UseAll => "use-all",
    };
    let mut fields = vec![
        ("address", service.vip.to_string()),
        ("mode", mode_name(service.mode).to_owned()),
        ("table_size", service.table_size.to_string()),
        ("tunnel_port", service.tunnel_port.to_string()),
        (
            "mss_clamp",
            service.mss_clamp.map_or("none".into(), |bytes| bytes.to_string()),
        ),
        ("when_all_down", all_down.to_owned()),
    ];
    fields.extend(check_fields(&service.check));
    fields
}

fn check_fields(check: &Check) -> Fields {
    let (kind, http) = match &check.kind {
        CheckKind::None => ("none", None),
        CheckKind::Tcp => ("tcp", None),
        CheckKind::Http {
            path,
            host,
            status,
            body,
        } => ("http", Some((path, host, status, body))),
    };
    let none = || "none".to_owned();
    let quoted = |text: &String| format!("{text:?}");
    let status = |ranges: &Vec<(u16, u16)>| {
        let ranges: Vec<_> = ranges.iter().map(|(low, high)| format!("{low}-{high}")).collect();
        ranges.join(" ")
    };
    vec![
        ("check.type", kind.to_owned()),
        (
            "check.port",
            check
                .port
                .map_or_else(|| "the backend's".to_owned(), |port| port.to_string()),
        ),
        ("check.interval", show_duration(check.interval)),
        ("check.fast_interval", show_duration(check.fast_interval)),
        ("check.timeout", show_duration(check.timeout)),
        ("check.rise", check.rise.to_string()),
        ("check.fall", check.fall.to_string()),
        ("check.jitter", check.jitter.to_string()),
        ("check.path", http.map_or_else(none, |(path, ..)| quoted(path))),
        (
            "check.host",
            http.and_then(|(_, host, ..)| host.as_ref()).map_or_else(none, quoted),
        ),
        (
            "check.expect.status",
            http.map_or_else(none, |(_, _, ranges, _)| status(ranges)),
        ),
        (
            "check.expect.body",
            http.and_then(|(.., body)| body.as_ref()).map_or_else(none, quoted),
        ),
    ]
}

/// Fields of a backend; the configured weight only where it is not the weight that holds, in either of the two models.
fn backend_fields(backend: &Backend, other: &Backend) -> Fields {
    let overridden = [backend, other]
        .iter()
        .any(|backend| backend.weight != backend.configured_weight);
    let next_hop = match backend.next_hop {
        None => "by route".to_owned(),
        Some(NextHop::Address(address)) => address.to_string(),
        Some(NextHop::Mac(mac)) => mac.map(|byte| format!("{byte:02x}")).join(":"),
    };
    vec![
        ("address", format!("{}:{}", backend.address, backend.port)),
        ("state", state_name(backend.state).to_owned()),
        ("weight", backend.weight.to_string()),
        (
            "configured weight",
            if overridden {
                backend.configured_weight.to_string()
            } else {
                String::new()
            },
        ),
        ("priority", backend.priority.to_string()),
        ("next_hop", next_hop),
        (
            "set by",
            backend
                .set_by
                .as_ref()
                .map_or_else(|| "the configuration".to_owned(), |by| by.who.clone()),
        ),
    ]
}

fn state_name(state: AdminState) -> &'static str {
    match state {
        AdminState::Ready => "ready",
        AdminState::Drain => "drain",
        AdminState::Maint => "maint",
    }
}

fn xdp_name(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Native => "native",
        XdpMode::Generic => "generic",
        XdpMode::Auto => "auto",
    }
}
