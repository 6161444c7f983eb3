//! Rules that hold between the parts of a document.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::service::Draft;
use super::{Findings, Table};
use crate::core::config::words::{Wrong, wrong};
use crate::core::model::{Backend, Mode, NextHop, Node, Protocol, Vip, mode_name};

pub fn check(services: &[Draft], node: &Node, findings: &mut Findings) {
    names(services, findings);
    vips(services, findings);
    for service in services {
        backends(service, findings);
    }
    nat_ways_back(services, findings);
    capacities(services, node, findings);
}

fn names(services: &[Draft], findings: &mut Findings) {
    let mut seen = HashMap::new();
    for service in services {
        let Some(name) = service.name.as_deref() else { continue };
        if seen.insert(name, ()).is_some() {
            let what = "another service has this name already";
            findings.error(
                &service.table,
                "name",
                Wrong {
                    what: what.to_owned(),
                    help: "rename one of them".to_owned(),
                },
            );
        }
    }
}

fn vips(services: &[Draft], findings: &mut Findings) {
    let mut seen: HashMap<Vip, &Table> = HashMap::new();
    for service in services {
        let Some(vip) = service.vip else { continue };
        if let Some(mode) = service.mode.filter(|mode| mode.translates())
            && let Some((key, what, help)) = not_translated(vip, mode_name(mode))
        {
            let help = format!("{help}use mode l2, ipip or gue");
            findings.take(&service.table, key, wrong::<()>(what, help));
        }
        let overlap = |other: &&Vip| {
            let is_there = (other.prefix(), other.protocol) == (vip.prefix(), vip.protocol);
            let both = other.is_range() && vip.is_range() && !other.is_any() && !vip.is_any();
            is_there && both && *other != &vip && other.port <= vip.last_port && vip.port <= other.last_port
        };
        if vip.is_range()
            && let Some(other) = seen.keys().find(overlap)
        {
            let what = format!("{vip} has ports of {other}, which is {}", seen[other].subject);
            let help = "give ranges that have no port in common; one port alone may lie in a range";
            findings.take(&service.table, "port", wrong::<()>(what, help));
        }
        if let Some(other) = seen.get(&vip) {
            let what = format!("{vip} is taken by {}", other.subject);
            let help = "use another port, or add the backends there";
            findings.take(&service.table, "address", wrong::<()>(what, help));
        } else {
            seen.insert(vip, &service.table);
        }
    }
}

/// What a mode that translates cannot translate: key of the document, reason, another way out.
fn not_translated(vip: Vip, mode: &str) -> Option<(&'static str, String, &'static str)> {
    Some(match vip.protocol {
        Protocol::Sctp => (
            "protocol",
            format!(
                "{vip} has a checksum over the whole packet and addresses in chunks, which mode {mode} cannot translate"
            ),
            "",
        ),
        Protocol::Any => (
            "protocol",
            format!("{vip} takes every protocol, and mode {mode} translates tcp and udp alone"),
            "give one of those, or ",
        ),
        _ if vip.is_prefix() => (
            "address",
            format!("{vip} has several addresses, and mode {mode} sends answers from one"),
            "give one address, or ",
        ),
        _ if vip.is_range() => (
            "port",
            format!("{vip} has several ports, and mode {mode} sends answers from one"),
            "give one port, or ",
        ),
        Protocol::Tcp | Protocol::Udp => return None,
    })
}

fn backends(service: &Draft, findings: &mut Findings) {
    let mut names: HashMap<&str, ()> = HashMap::new();
    let mut places: HashMap<(IpAddr, u16), &str> = HashMap::new();
    for draft in &service.backends {
        let Some(backend) = &draft.backend else { continue };
        let table = &draft.table;
        if names.insert(&backend.name, ()).is_some() {
            let help = "give each backend a name of its own";
            findings.take(
                table,
                "name",
                wrong::<()>("the service has a backend of this name already", help),
            );
            continue;
        }
        if backend
            .name
            .parse::<IpAddr>()
            .is_ok_and(|named| named != backend.address)
        {
            let what = "its name is an address, but not its own";
            findings.take(table, "name", wrong::<()>(what, "give it another name, or none"));
        }
        let Some((mode, vip)) = service.mode.zip(service.vip) else {
            continue;
        };
        families(backend, mode, vip, table, findings);
        // Where packets to a backend do not get its port, backends differ by address alone.
        let port = if mode.translates() { backend.port } else { 0 };
        if let Some(other) = places.insert((backend.address, port), &backend.name) {
            let place = place(backend.address, port);
            let what = format!("{place} is backend {other} already");
            findings.take(
                table,
                "address",
                wrong::<()>(what, "remove one of them, and give the other more weight"),
            );
        }
        if vip.prefix().contains(backend.address) && (port == 0 || port == vip.port) {
            let what = format!("{} is the VIP itself", place(backend.address, port));
            findings.take(table, "address", wrong::<()>(what, "give the address of a server"));
        }
        if !draft.own_port && vip.is_range() && service.checks_need_a_port() {
            let what = "the service has several ports, and nothing says which one to check";
            let help = "give it a port, or give check.port, or check = { type = \"none\" }";
            findings.take(table, "port", wrong::<()>(what, help));
        }
        if draft.own_port && !mode.translates() && !vip.is_range() && backend.port != vip.port {
            let what = format!(
                "port {} is only where it is checked: mode {} leaves the port of packets, {}, as it is",
                backend.port,
                mode_name(mode),
                vip.port
            );
            findings.warn(
                table,
                "port",
                &what,
                "leave it out, and give check.port if checks go elsewhere",
            );
        }
    }
}

/// A mode that keeps the client's address has none of the other family to write; a next hop is of its backend's.
fn families(backend: &Backend, mode: Mode, vip: Vip, table: &Table, findings: &mut Findings) {
    if mode == Mode::Nat && backend.address.is_ipv6() != vip.address.is_ipv6() {
        let what = format!(
            "backend {} and service {} are of different families, and mode nat keeps the client's address, which is of the service's",
            backend.address, vip.address,
        );
        let help = "give it an address of the service's family, or use mode fullnat, ipip or gue";
        findings.take(table, "address", wrong::<()>(what, help));
    }
    if let Some(NextHop::Address(router)) = backend.next_hop
        && router.is_ipv6() != backend.address.is_ipv6()
    {
        let what = format!(
            "next_hop {router} and backend {} are of different families",
            backend.address
        );
        let help = "give the router's address of the backend's family, or its MAC";
        findings.take(table, "next_hop", wrong::<()>(what, help));
    }
}

fn place(address: IpAddr, port: u16) -> String {
    if port == 0 {
        address.to_string()
    } else {
        SocketAddr::new(address, port).to_string()
    }
}

/// In `nat` the way back knows a packet by its source alone, which must therefore belong to one VIP.
fn nat_ways_back(services: &[Draft], findings: &mut Findings) {
    let mut seen: HashMap<(IpAddr, u16, Protocol), (usize, &Table)> = HashMap::new();
    for (index, service) in services.iter().enumerate() {
        let Some(vip) = service.vip.filter(|_| service.mode == Some(Mode::Nat)) else {
            continue;
        };
        for draft in &service.backends {
            let Some(backend) = &draft.backend else { continue };
            let key = (backend.address, backend.port, vip.protocol);
            let (owner, other) = *seen.entry(key).or_insert((index, &draft.table));
            if owner != index {
                let place = place(backend.address, backend.port);
                let what = format!(
                    "{place} is {} already, and in mode nat the way back could not tell them apart",
                    other.subject
                );
                findings.take(
                    &draft.table,
                    "address",
                    wrong::<()>(what, "use another port, or mode fullnat"),
                );
            }
        }
    }
}

fn capacities(services: &[Draft], node: &Node, findings: &mut Findings) {
    let limits = node.limits;
    let table = Table::new("node.limits", "");
    let backends: usize = services.iter().map(|service| service.backends.len()).sum();
    let slots: u64 = services
        .iter()
        .filter_map(|service| service.table_size)
        .map(u64::from)
        .sum();
    let all = [
        ("services", services.len() as u64, limits.services, "services", ""),
        ("backends", backends as u64, limits.backends, "backends", ""),
        (
            "slots",
            slots,
            limits.slots,
            "slots in all tables together",
            ", or a smaller table_size",
        ),
    ];
    for (key, count, limit, things, or_else) in all {
        if count > u64::from(limit) {
            let what = format!("{count} {things} are more than node.limits.{key} = {limit}");
            let help = format!("set node.limits.{key} = {count} or more{or_else}");
            findings.take(&table, key, wrong::<()>(what, help));
        }
    }
}
