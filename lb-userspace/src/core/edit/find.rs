//! Which service or backend is meant: by name, or by address.

use std::net::{IpAddr, SocketAddr};

use super::Refusal;
use crate::core::config::closest;
use crate::core::model::{Backend, Model, Service, Vip};

/// Names listed in a refusal at most.
const LISTED: usize = 8;

/// Splits `SERVICE` or `SERVICE/BACKEND`, where a service may be `VIP:PORT/PROTOCOL`, and its VIP a prefix.
pub fn split_reference(text: &str) -> (&str, Option<&str>) {
    let length = length_of_prefix(text);
    let after_vip = text[length..].split_once('/').and_then(|(vip, rest)| {
        let protocol = rest.split('/').next().unwrap_or(rest);
        let is_protocol = vip.contains(':') && matches!(protocol, "tcp" | "udp" | "sctp" | "any");
        is_protocol.then_some(length + vip.len() + 1 + protocol.len())
    });
    let after_name = || text[length..].find('/').map(|end| length + end);
    let split = after_vip.or_else(after_name).filter(|end| *end < text.len());
    match split {
        Some(end) => (&text[..end], Some(&text[end + 1..])),
        None => (text, None),
    }
}

/// How much of a reference is `ADDRESS/` of a prefix with a port behind it: its slash splits nothing.
fn length_of_prefix(text: &str) -> usize {
    let is_prefix = |(address, rest): (&str, &str)| {
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        let length = rest.split_once(':').map_or("", |(length, _)| length);
        (bare.parse::<IpAddr>().is_ok() && length.parse::<u8>().is_ok()).then_some(address.len() + 1)
    };
    text.split_once('/').and_then(is_prefix).unwrap_or(0)
}

/// The service that a name or `VIP:PORT[/PROTOCOL]` means.
pub fn find_service<'a>(model: &'a Model, reference: &str) -> Result<&'a Service, Refusal> {
    service_index(model, reference).map(|index| &model.services[index])
}

/// The backend of a service that a name or `ADDRESS[:PORT]` means.
pub fn find_backend<'a>(service: &'a Service, reference: &str) -> Result<&'a Backend, Refusal> {
    backend_index(service, reference).map(|index| &service.backends[index])
}

pub(super) fn service_index(model: &Model, reference: &str) -> Result<usize, Refusal> {
    let services = &model.services;
    let hits: Vec<usize> = match services.iter().position(|service| service.name == reference) {
        Some(index) => vec![index],
        None => (0..services.len())
            .filter(|index| vip_matches(services[*index].vip, reference))
            .collect(),
    };
    match hits.as_slice() {
        [one] => Ok(*one),
        [] => {
            let names = services.iter().map(|service| service.name.as_str()).collect();
            Err(unknown("service", reference, "", names, "lb service add"))
        }
        many => Err(ambiguous(
            "service",
            reference,
            many.iter().map(|index| services[*index].vip.to_string()),
        )),
    }
}

pub(super) fn backend_index(service: &Service, reference: &str) -> Result<usize, Refusal> {
    let backends = &service.backends;
    let hits: Vec<usize> = match backends.iter().position(|backend| backend.name == reference) {
        Some(index) => vec![index],
        None => (0..backends.len())
            .filter(|index| address_matches(&backends[*index], reference))
            .collect(),
    };
    match hits.as_slice() {
        [one] => Ok(*one),
        [] => {
            let names = backends.iter().map(|backend| backend.name.as_str()).collect();
            Err(unknown(
                "backend",
                reference,
                &format!(" in service {}", service.name),
                names,
                "lb backend add",
            ))
        }
        many => Err(ambiguous(
            "backend",
            reference,
            many.iter().map(|index| backends[*index].name.clone()),
        )),
    }
}

fn vip_matches(vip: Vip, reference: &str) -> bool {
    let whole = vip.to_string();
    reference == whole || whole.rsplit_once('/').is_some_and(|(address, _)| reference == address)
}

fn address_matches(backend: &Backend, reference: &str) -> bool {
    reference.parse::<IpAddr>() == Ok(backend.address)
        || reference.parse::<SocketAddr>() == Ok(SocketAddr::new(backend.address, backend.port))
}

/// `no service "web2"; did you mean "web"? there are web, dns`
fn unknown(kind: &str, reference: &str, place: &str, names: Vec<&str>, add: &str) -> Refusal {
    let what = format!("no {kind} {reference:?}{place}");
    if names.is_empty() {
        return Refusal::NotFound(format!("{what}; there are none yet, add one with {add}"));
    }
    let meant = closest(reference, names.iter().copied());
    let meant = meant.map_or(String::new(), |meant| format!("did you mean {meant:?}? "));
    let verb = if names.len() == 1 { "is" } else { "are" };
    let more = names.len().saturating_sub(LISTED);
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    let listed = names[..names.len().min(LISTED)].join(", ");
    Refusal::NotFound(format!("{what}; {meant}there {verb} {listed}{more}"))
}

fn ambiguous(kind: &str, reference: &str, candidates: impl Iterator<Item = String>) -> Refusal {
    let candidates: Vec<_> = candidates.collect();
    Refusal::Conflict(format!(
        "{kind} {reference:?} may be any of {}; say which",
        candidates.join(", ")
    ))
}
