//! What clients connect to, from text.

use std::net::IpAddr;

use serde_json::Value;

use super::parse::{Parsed, host_and_port};
use super::usage::BadValue;

/// `ADDR[/LEN][:PORT|:FROM-TO][/PROTOCOL]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipArgument {
    pub address: IpAddr,
    /// Of a prefix; whether it is one is left to the configuration to look at.
    pub length: Option<u8>,
    /// A number, or the text of a range; `None`: any.
    pub port: Option<Value>,
    pub protocol: Option<String>,
}

pub fn vip(text: &str) -> Parsed<VipArgument> {
    let wrong = |why: String| BadValue(format!("VIP {text:?}: {why}; give {VIP}"));
    let (host, protocol) = match text.rsplit_once('/') {
        Some((host, protocol @ ("tcp" | "udp" | "sctp" | "any"))) => (host, Some(protocol.to_owned())),
        Some((_, word)) if !word.starts_with(|c: char| c.is_ascii_digit()) => {
            return Err(wrong(format!("{word} is not tcp, udp, sctp or any")));
        }
        _ => (text, None),
    };
    let (host, length) = without_length(host).map_err(wrong)?;
    let host = host.as_str();
    // A range is left to the configuration to look at.
    let range = host.rsplit_once(':').filter(|(_, port)| {
        let (from, to) = port.split_once('-').unwrap_or(("", ""));
        *port == "any" || from.parse::<u16>().is_ok() && to.parse::<u16>().is_ok()
    });
    let (address, port) = match range {
        Some((host, port)) => (host_and_port(host).map_err(wrong)?.0, Some(Value::from(port))),
        None => {
            let (address, port) = host_and_port(host).map_err(wrong)?;
            (address, port.map(Value::from))
        }
    };
    Ok(VipArgument {
        address,
        length,
        port,
        protocol,
    })
}

/// How a VIP is given.
const VIP: &str = "ADDR[/LEN][:PORT|:FROM-TO][/tcp|udp|sctp|any]";

/// Takes the length of a prefix out of the middle.
fn without_length(text: &str) -> Result<(String, Option<u8>), String> {
    let Some((host, rest)) = text.split_once('/') else {
        return Ok((text.to_owned(), None));
    };
    let (length, port) = rest
        .split_once(':')
        .map_or((rest, None), |(length, port)| (length, Some(port)));
    let number = length
        .parse()
        .map_err(|_| format!("{length:?} is no length of a prefix"))?;
    let port = port.map_or(String::new(), |port| format!(":{port}"));
    Ok((format!("{host}{port}"), Some(number)))
}
