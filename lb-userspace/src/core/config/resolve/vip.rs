//! What clients of a service connect to: address, ports, protocol.

use super::{Findings, Table};
use crate::core::config::file::{self, Word};
use crate::core::config::words::{self, Wrong, wrong};
use crate::core::model::{Protocol, Vip};
use crate::core::prefix::Prefix;

pub fn resolve(service: &file::Service, table: &Table, findings: &mut Findings) -> Option<Vip> {
    let address = match service.address.as_deref() {
        Some(text) => words::address_or_prefix(text),
        None => wrong(
            "there is no address",
            "give the one that clients connect to: address = \"192.0.2.10\"",
        ),
    };
    let port = match &service.port {
        Some(Word::Number(port)) => words::port(*port).map(|port| (port, port)),
        Some(Word::Text(text)) => port_text(text),
        None => Ok((0, u16::MAX)),
    };
    let protocols = [
        ("tcp", Protocol::Tcp),
        ("udp", Protocol::Udp),
        ("sctp", Protocol::Sctp),
        ("any", Protocol::Any),
    ];
    let protocol = service.protocol.as_deref();
    let protocol = protocol.map_or(Ok(Protocol::Tcp), |word| {
        words::one_of("protocol", word, &protocols, &[])
    });
    // All three are looked at before any is missed.
    let address = findings.take(table, "address", address);
    let port = findings.take(table, "port", port);
    let protocol = findings.take(table, "protocol", protocol);
    let (Prefix { address, length }, (port, last_port)) = address.zip(port)?;
    let vip = Vip {
        address,
        length,
        port,
        last_port,
        protocol: protocol?,
    };
    if vip.protocol == Protocol::Any && !vip.is_any() {
        let help = "leave the port out, or make a service each for tcp, udp and sctp";
        let none = wrong(
            "a service for any protocol has no port, as most protocols have none",
            help,
        );
        return findings.take(table, "port", none);
    }
    Some(vip)
}

/// The first and the last port.
fn port_text(text: &str) -> Result<(u16, u16), Wrong> {
    if text == "any" {
        return Ok((0, u16::MAX));
    }
    let range = text
        .split_once('-')
        .and_then(|(from, to)| Some((from.trim().parse::<u16>().ok()?, to.trim().parse::<u16>().ok()?)));
    match range {
        Some((from, to)) if from > 0 && from < to => return Ok((from, to)),
        Some(_) => {
            return wrong(
                format!("port {text:?} is no range"),
                "give the first and the last port, like \"8000-8099\"",
            );
        }
        None => {}
    }
    match text.parse::<i64>() {
        Ok(_) => wrong(format!("port {text:?} is text"), "write it without quotes"),
        Err(_) => wrong(format!("port {text:?} is not a port"), "give 1 to 65535"),
    }
}
