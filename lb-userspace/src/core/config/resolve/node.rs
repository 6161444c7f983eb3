//! `[node]`

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use lb_common::abi::MAX_SOURCES;
use lb_common::flow::DEFAULT_HASH_KEY;
use lb_common::maps::default_limits;

use super::{Findings, Table};
use crate::core::config::file::{self, DurationText};
use crate::core::config::words::{self, wrong};
use crate::core::model::{FlowTimeouts, Interface, Limits, Node};
use crate::core::prefix::Prefix;

/// Bounds of the flow timeouts.
const FLOW_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(12 * 3600);

pub fn resolve(node: Option<&file::Node>, findings: &mut Findings) -> Node {
    let absent = file::Node::default();
    let node = node.unwrap_or(&absent);
    let table = Table::new("node", "node");
    let limits = limits(node.limits.as_ref(), findings);
    let key = node
        .hash_key
        .as_deref()
        .and_then(|key| findings.take(&table, "hash_key", words::hash_key(key)));
    if node.name.as_deref() == Some("") {
        findings.take(
            &table,
            "name",
            wrong::<()>("the name is empty", "give one, or leave it out"),
        );
    }
    Node {
        name: node.name.clone(),
        interfaces: interfaces(&node.interfaces, &table, findings),
        source: node
            .source
            .as_ref()
            .map(|source| sources(source, limits, findings))
            .unwrap_or_default(),
        ipip_source: node
            .ipip_source
            .as_ref()
            .map(|source| ipip_source(source, findings))
            .unwrap_or_default(),
        hash_key: key.unwrap_or(DEFAULT_HASH_KEY),
        limits,
        flow_timeouts: flow_timeouts(node.flow_timeouts.as_ref(), findings),
    }
}

fn interfaces(texts: &[String], table: &Table, findings: &mut Findings) -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let key = format!("interfaces[{index}]");
        let Some(interface) = findings.take(table, &key, words::interface(text)) else {
            continue;
        };
        if interfaces.iter().any(|other| other.name == interface.name) {
            let what = format!("interface {} is given twice", interface.name);
            findings.take(table, &key, wrong::<()>(what, "remove one of the two"));
        } else {
            interfaces.push(interface);
        }
    }
    interfaces
}

fn sources(source: &file::Source, limits: Limits, findings: &mut Findings) -> Vec<IpAddr> {
    let table = Table::new("node.source", "node.source");
    let mut addresses = Vec::new();
    for (family, given) in [("ipv4", &source.ipv4), ("ipv6", &source.ipv6)] {
        for text in given.iter().flat_map(file::OneOrMany::as_slice) {
            let Some(address) = findings.take(&table, family, words::address_of(family, text)) else {
                continue;
            };
            if addresses.contains(&address) {
                let what = format!("address {address} is given twice");
                findings.take(&table, family, wrong::<()>(what, "remove one of the two"));
            }
            addresses.push(address);
        }
    }
    if addresses.len() > limits.sources as usize {
        let what = format!(
            "{} source addresses are more than node.limits.sources = {}",
            addresses.len(),
            limits.sources
        );
        let help = format!("set node.limits.sources = {}", addresses.len());
        findings.take(&table, "ipv4", wrong::<()>(what, help));
    }
    addresses
}

fn ipip_source(source: &file::IpipSource, findings: &mut Findings) -> Vec<Prefix> {
    let table = Table::new("node.ipip_source", "node.ipip_source");
    let families = [("ipv4", &source.ipv4), ("ipv6", &source.ipv6)].into_iter();
    let given = families.filter_map(|(family, text)| Some((family, text.as_deref()?)));
    given
        .filter_map(|(family, text)| findings.take(&table, family, words::spread(family, text)))
        .collect()
}

fn limits(limits: Option<&file::Limits>, findings: &mut Findings) -> Limits {
    let absent = file::Limits::default();
    let limits = limits.unwrap_or(&absent);
    let table = Table::new("node.limits", "node.limits");
    let mut limit = |key: &str, value: Option<i64>, bounds: RangeInclusive<u32>, default: u32| {
        let given = value.and_then(|value| findings.take(&table, key, words::integer(key, value, bounds)));
        given.unwrap_or(default)
    };
    Limits {
        services: limit("services", limits.services, 1..=65_535, default_limits::SERVICES),
        backends: limit(
            "backends",
            limits.backends,
            1..=(1 << lb_common::abi::BACKEND_BITS) - 1,
            default_limits::BACKENDS,
        ),
        slots: limit("slots", limits.slots, 17..=1 << 28, default_limits::SLOTS),
        flows: limit("flows", limits.flows, 8..=1 << 26, default_limits::FLOWS),
        sources: limit("sources", limits.sources, 1..=MAX_SOURCES, default_limits::SOURCES),
    }
}

/// Established TCP: 2 h 4 min at least (RFC 5382, REQ-5); UDP: 2 min at least (RFC 4787, REQ-5).
fn flow_timeouts(timeouts: Option<&file::FlowTimeouts>, findings: &mut Findings) -> FlowTimeouts {
    let absent = file::FlowTimeouts::default();
    let timeouts = timeouts.unwrap_or(&absent);
    let table = Table::new("node.flow_timeouts", "node.flow_timeouts");
    let mut timeout = |key: &str, text: &Option<DurationText>, default: u64| {
        let given = text
            .as_ref()
            .and_then(|DurationText(text)| findings.take(&table, key, words::duration(key, text, FLOW_TIMEOUT)));
        given.unwrap_or(Duration::from_secs(default))
    };
    FlowTimeouts {
        tcp_embryonic: timeout("tcp_embryonic", &timeouts.tcp_embryonic, 60),
        tcp_established: timeout("tcp_established", &timeouts.tcp_established, 2 * 3600 + 4 * 60),
        tcp_closed: timeout("tcp_closed", &timeouts.tcp_closed, 10),
        udp: timeout("udp", &timeouts.udp, 120),
    }
}
