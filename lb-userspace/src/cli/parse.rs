//! Arguments from text. An error is the whole sentence that is shown: what was given, what is wrong with it, what to give.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::usage::BadValue;
use crate::core::duration;
use crate::core::edit::split_reference;
use crate::core::model::XdpMode;
use crate::core::prefix::Prefix;

pub(super) type Parsed<T> = Result<T, BadValue>;

/// `SERVICE` or `SERVICE/BACKEND`, where `SERVICE` is a name or `VIP:PORT[/PROTOCOL]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub service: String,
    pub backend: Option<String>,
}

/// `SERVICE/BACKEND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTarget {
    pub service: String,
    pub backend: String,
}

/// `ADDR[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendAddress {
    pub address: IpAddr,
    pub port: Option<u16>,
}

/// `IFACE[=native|generic|auto]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachArgument {
    pub interface: String,
    pub xdp: XdpMode,
}

pub fn target(text: &str) -> Parsed<Target> {
    let (service, backend) = split_reference(text);
    if service.is_empty() || backend.is_some_and(str::is_empty) {
        return Err(BadValue(format!(
            "{text:?} names nothing; give SERVICE or SERVICE/BACKEND"
        )));
    }
    Ok(Target {
        service: service.to_owned(),
        backend: backend.map(str::to_owned),
    })
}

pub fn backend_target(text: &str) -> Parsed<BackendTarget> {
    let Target { service, backend } = target(text)?;
    let backend = backend.ok_or_else(|| BadValue(format!("{text:?} names a service; give SERVICE/BACKEND")))?;
    Ok(BackendTarget { service, backend })
}

pub fn service(text: &str) -> Parsed<String> {
    match target(text)? {
        Target { service, backend: None } => Ok(service),
        _ => Err(BadValue(format!(
            "{text:?} names a backend; give a service: its name, or VIP:PORT[/tcp|udp|sctp|any]"
        ))),
    }
}

pub fn backend_address(text: &str) -> Parsed<BackendAddress> {
    let (address, port) =
        host_and_port(text).map_err(|why| BadValue(format!("backend address {text:?}: {why}; give ADDR[:PORT]")))?;
    Ok(BackendAddress { address, port })
}

pub(super) fn host_and_port(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest
            .split_once(']')
            .ok_or_else(|| format!("{text} has no closing bracket"))?;
        let host: Ipv6Addr = host.parse().map_err(|_| format!("{host} is not an IPv6 address"))?;
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port_number(port)?),
            None if port.is_empty() => None,
            None => return Err(format!("{port:?} follows the bracket where :PORT should")),
        };
        return Ok((host.into(), port));
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok((address.into(), None));
    }
    match text.split_once(':') {
        Some((host, port)) => Ok((ipv4(host)?.into(), Some(port_number(port)?))),
        None => Ok((ipv4(text)?.into(), None)),
    }
}

fn port_number(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("port {text} is not one from 1 to 65535")),
        Ok(port) => Ok(port),
    }
}

fn ipv4(text: &str) -> Result<Ipv4Addr, String> {
    text.parse()
        .map_err(|_| format!("{text} is not an IPv4 address ({})", why_not_ipv4(text)))
}

fn why_not_ipv4(text: &str) -> String {
    let parts: Vec<&str> = text.split('.').collect();
    for part in &parts {
        match part.parse::<u64>() {
            Err(_) => return format!("{part:?} is not a number"),
            Ok(number) if number > 255 => return format!("{number} is over 255"),
            Ok(_) if part.len() > 1 && part.starts_with('0') => return format!("{part} begins with a zero"),
            Ok(_) => {}
        }
    }
    format!("it has {} numbers, not 4", parts.len())
}

/// `ADDR/LENGTH`, or an address alone.
pub fn prefix(text: &str) -> Parsed<Prefix> {
    let wrong = |why: String| BadValue(format!("prefix {text:?}: {why}; give ADDR[/LENGTH]"));
    let (host, length) = match text.split_once('/') {
        Some((host, length)) => (host, Some(length)),
        None => (text, None),
    };
    let address = any(host).map_err(wrong)?;
    let (bits, most) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let length = match length {
        None => most,
        Some(length) => match length.parse::<u8>() {
            Ok(number) if number <= most => number,
            _ => return Err(wrong(format!("{length} is no length from 0 to {most}"))),
        },
    };
    let network = bits & !u128::MAX.checked_shr(length.into()).unwrap_or(0);
    if bits != network {
        let network: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::from_bits((network >> 96) as u32).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(network).into(),
        };
        return Err(wrong(format!(
            "{address} has bits beyond the length, did you mean {network}/{length}"
        )));
    }
    Ok(Prefix { address, length })
}

/// An address of either family.
pub fn address(text: &str) -> Parsed<IpAddr> {
    any(text).map_err(BadValue)
}

fn any(text: &str) -> Result<IpAddr, String> {
    match text.parse::<Ipv6Addr>() {
        Ok(address) => Ok(address.into()),
        Err(_) if text.contains(':') => Err(format!("{text} is not an IPv6 address")),
        Err(_) => Ok(ipv4(text)?.into()),
    }
}

/// Six bytes in hexadecimal.
pub fn mac(text: &str) -> Parsed<[u8; 6]> {
    mac_address(text).ok_or_else(|| BadValue(format!("{text:?} is not a MAC address; give it as 02:00:00:00:00:01")))
}

fn mac_address(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|part| {
            u8::from_str_radix(part, 16)
                .ok()
                .filter(|_| part.len() == 2 && !part.starts_with('+'))
        })
        .collect();
    bytes?.try_into().ok()
}

/// An address, a MAC address, or `route` for the way that the routes say; as the configuration has it.
pub fn next_hop(text: &str) -> Parsed<Value> {
    if text == "route" {
        return Ok(Value::Null);
    }
    if mac_address(text).is_some() {
        return Ok(text.into());
    }
    let wrong = |why| {
        BadValue(format!(
            "next hop {text:?}: {why}; give an address, a MAC address, or route"
        ))
    };
    ipv4(text).map(|address| address.to_string().into()).map_err(wrong)
}

/// A weight for the configuration.
pub fn weight(text: &str) -> Parsed<u32> {
    text.parse().map_err(|_| {
        let why = if text.starts_with('-') {
            "is negative"
        } else {
            "is not a whole number"
        };
        BadValue(format!(
            "weight {text:?} {why}; give 0 (no new flows) or more, 100 is usual"
        ))
    })
}

/// A weight by hand: `N` or `N%`; as the API has it.
pub fn weight_change(text: &str) -> Parsed<Value> {
    let Some(percent) = text.strip_suffix('%') else {
        return weight(text).map(Value::from);
    };
    let percent: u32 = percent.parse().map_err(|_| {
        BadValue(format!(
            "weight {text:?} is not a percentage; give N or N%, as 50% (of the configured weight)"
        ))
    })?;
    Ok(format!("{percent}%").into())
}

/// An interface, and how to attach to it.
pub fn attach(text: &str) -> Parsed<AttachArgument> {
    let (interface, xdp) = text.split_once('=').unwrap_or((text, "native"));
    let xdp = match xdp {
        "native" => XdpMode::Native,
        "generic" => XdpMode::Generic,
        "auto" => XdpMode::Auto,
        _ => {
            let why = format!("{xdp:?} is not a way to attach");
            return Err(BadValue(format!(
                "attach {text:?}: {why}; give IFACE or IFACE=native|generic|auto"
            )));
        }
    };
    Ok(AttachArgument {
        interface: self::interface(interface)?,
        xdp,
    })
}

/// Name of an interface, as the kernel limits it.
pub fn interface(text: &str) -> Parsed<String> {
    let good = !text.is_empty() && text.len() < 16 && !text.contains(['/', ' ', ':']) && text != "." && text != "..";
    if good {
        return Ok(text.to_owned());
    }
    Err(BadValue(format!(
        "{text:?} cannot be the name of an interface; see: lb interfaces"
    )))
}

/// A duration; `0s` is one.
pub fn period(text: &str) -> Parsed<Duration> {
    duration::parse(text).map_err(BadValue)
}

/// The time between two looks; without any, there would be nothing but looking.
pub fn pause(text: &str) -> Parsed<Duration> {
    let pause = period(text)?;
    if pause.is_zero() {
        return Err(BadValue(format!(
            "{text:?} is no time between two looks; give 1s or the like"
        )));
    }
    Ok(pause)
}

/// A number from 0.
pub fn priority(text: &str) -> Parsed<u32> {
    text.parse()
        .map_err(|_| BadValue(format!("priority {text:?} is not a whole number from 0")))
}

/// Slots of a table; whether they are a prime is for the daemon to say.
pub fn table_size(text: &str) -> Parsed<u32> {
    positive(text).map_err(|why| BadValue(format!("table size {why}")))
}

/// A number from 1.
fn positive(text: &str) -> Parsed<u32> {
    match text.parse() {
        Ok(0) | Err(_) => Err(BadValue(format!("{text:?} is not a whole number from 1"))),
        Ok(number) => Ok(number),
    }
}

/// `TYPE[,KEY=VALUE…]`; as `[service.check]` in the configuration.
pub fn check(text: &str) -> Parsed<Value> {
    let mut parts = text.split(',');
    let kind = parts.next().unwrap_or_default();
    if !["none", "tcp", "http"].contains(&kind) {
        return Err(BadValue(format!(
            "check {text:?}: {kind:?} is no type of check; give none, tcp or http"
        )));
    }
    let mut fields = Map::from_iter([("type".to_owned(), kind.into())]);
    for part in parts {
        let wrong = |why: String| BadValue(format!("check {text:?}: {why}"));
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| wrong(format!("{part:?} is not KEY=VALUE, as interval=2s")))?;
        check_field(&mut fields, key, value).map_err(wrong)?;
    }
    Ok(fields.into())
}

fn check_field(fields: &mut Map<String, Value>, key: &str, value: &str) -> Result<(), String> {
    const KEYS: &str = "interval, fast_interval, timeout, rise, fall, jitter, port, path, host, status or body";
    let parsed: Value = match key {
        "interval" | "fast_interval" | "timeout" => {
            duration::parse(value).map_err(|why| format!("{key}: {why}"))?;
            value.into()
        }
        "rise" | "fall" => positive(value).map_err(|why| format!("{key}: {why}"))?.into(),
        "port" => port_number(value)?.into(),
        "jitter" => {
            let share: f64 = value
                .parse()
                .map_err(|_| format!("jitter: {value:?} is not a share, as 0.2"))?;
            share.into()
        }
        "path" | "host" => value.into(),
        "status" | "body" => {
            let expect = fields.entry("expect").or_insert_with(|| json!({}));
            if key == "body" {
                expect["body"] = value.into();
            } else if let Some(codes) = expect["status"].as_array_mut() {
                codes.push(value.into());
            } else {
                expect["status"] = json!([value]);
            }
            return Ok(());
        }
        _ => return Err(format!("{key:?} is no key of a check; give {KEYS}")),
    };
    fields.insert(key.to_owned(), parsed);
    Ok(())
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
