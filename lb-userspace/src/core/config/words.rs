//! The single values of a document: what they mean, and what to say when they mean nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::core::model::{Interface, NextHop, XdpMode};
use crate::core::prefix::Prefix;

/// What is wrong with a value, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub what: String,
    pub help: String,
}

pub fn wrong<T>(what: impl Into<String>, help: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong {
        what: what.into(),
        help: help.into(),
    })
}

/// The candidate that was probably meant.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A number within bounds.
pub fn integer(what: &str, value: i64, bounds: RangeInclusive<u32>) -> Result<u32, Wrong> {
    let (low, high) = (*bounds.start(), *bounds.end());
    match u32::try_from(value) {
        Ok(value) if bounds.contains(&value) => Ok(value),
        _ if value < 0 => wrong(format!("{what} {value} is negative"), format!("give {low} to {high}")),
        _ if value < i64::from(low) => wrong(format!("{what} {value} is too small"), format!("give {low} to {high}")),
        _ => wrong(
            format!("{what} {} is too large", number(value)),
            format!("give {low} to {high}"),
        ),
    }
}

/// A number too large to be told apart is not spelled out.
fn number(value: i64) -> String {
    if value == i64::MAX {
        "beyond 64 bits".to_owned()
    } else {
        value.to_string()
    }
}

/// A port.
pub fn port(value: i64) -> Result<u16, Wrong> {
    match u16::try_from(value) {
        Ok(port) if port > 0 => Ok(port),
        _ => wrong(format!("port {} is not a port", number(value)), "give 1 to 65535"),
    }
}

/// An address that packets can be sent to.
pub fn address(text: &str) -> Result<IpAddr, Wrong> {
    let Ok(address) = text.parse::<IpAddr>() else {
        return not_an_address(text);
    };
    let of_router = matches!(address, IpAddr::V6(a) if a.to_bits() as u64 == 0);
    let fault = fault(address).or(of_router.then_some("is that of any router of its network"));
    match fault {
        None => Ok(address),
        Some(fault) => wrong(
            format!("address {address} {fault}"),
            "give the address of one host, like 10.0.1.2 or 2001:db8::2",
        ),
    }
}

/// What clients connect to: such an address, or a prefix of them.
pub fn address_or_prefix(text: &str) -> Result<Prefix, Wrong> {
    let halves = text.split_once('/');
    let Some((address, length)) = halves.and_then(|(address, length)| Some((address.parse().ok()?, length))) else {
        return address(text).map(Prefix::host);
    };
    let shortest = match address {
        IpAddr::V4(_) => SHORTEST_PREFIX,
        IpAddr::V6(_) => SHORTEST_PREFIX_V6,
    };
    let longest = Prefix::host(address).length;
    let Some(length) = length
        .parse()
        .ok()
        .filter(|length| (shortest..=longest).contains(length))
    else {
        return wrong(
            format!("prefix {text} has no length from {shortest} to {longest}"),
            "give one like 192.0.2.0/24 or 2001:db8:0:7::/64",
        );
    };
    let prefix = Prefix { address, length };
    match fault(address) {
        _ if length == longest => self::address(&address.to_string()).map(Prefix::host),
        Some(fault) => wrong(
            format!("address {address} {fault}"),
            "give a prefix of addresses of hosts",
        ),
        None if prefix.network() != address => wrong(
            format!("prefix {text} has bits beyond its length"),
            format!("write {}/{length}", prefix.network()),
        ),
        None => Ok(prefix),
    }
}

/// A service of shorter ones would take what is this host's own.
const SHORTEST_PREFIX: u8 = 8;
const SHORTEST_PREFIX_V6: u8 = 16;

fn fault(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => fault_v4(address),
        IpAddr::V6(address) => fault_v6(address),
    }
}

fn fault_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address {
        a if a.octets()[0] == 0 => Some("is unspecified"),
        a if a.is_loopback() => Some("is a loopback address, which never leaves its host"),
        a if a.is_multicast() => Some("is a multicast address"),
        a if a.is_broadcast() => Some("is the broadcast address"),
        _ => None,
    }
}

fn fault_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address {
        a if a.is_unspecified() => Some("is unspecified"),
        a if a.is_loopback() => Some("is a loopback address, which never leaves its host"),
        a if a.is_multicast() => Some("is a multicast address"),
        a if a.is_unicast_link_local() => Some("is a link-local address, which says nothing without its interface"),
        a if a.to_ipv4_mapped().is_some() => Some("is an IPv4 address in IPv6 clothes, which no packet has"),
        _ => None,
    }
}

fn not_an_address(text: &str) -> Result<IpAddr, Wrong> {
    let prefix = text
        .split_once('/')
        .is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok());
    if prefix {
        return wrong(
            format!("address {text:?} is a prefix"),
            "give the address of one host, without the length",
        );
    }
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return wrong(
            format!("address {text:?} has a port in it"),
            format!(
                "give address {:?} and port = {}",
                socket.ip().to_string(),
                socket.port()
            ),
        );
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Some(bare) = bare.filter(|bare| bare.parse::<Ipv6Addr>().is_ok()) {
        return wrong(
            format!("address {text:?} is in brackets, which are for an address with a port"),
            format!("give address {bare:?}"),
        );
    }
    wrong(
        format!("address {text:?} is neither an IPv4 nor an IPv6 address"),
        "write it like 10.0.1.2 or 2001:db8::2",
    )
}

/// An address of one family: `ipv4` or `ipv6`, as its key in a document says.
pub fn address_of(family: &str, text: &str) -> Result<IpAddr, Wrong> {
    let address = address(text)?;
    if address.is_ipv6() == (family == "ipv6") {
        return Ok(address);
    }
    let other = if family == "ipv6" { "ipv4" } else { "ipv6" };
    wrong(
        format!("address {address} is not {family}"),
        format!("give it as {other}"),
    )
}

/// A prefix whose addresses flows are spread over.
pub fn spread(family: &str, text: &str) -> Result<Prefix, Wrong> {
    let help = match family {
        "ipv6" => "give one like 2001:db8:0:7::/64",
        _ => "give one like 10.255.0.0/16",
    };
    let parsed = text.split_once('/');
    let parsed = parsed.and_then(|(address, length)| Some((address.parse().ok()?, length.parse::<u8>().ok()?)));
    let Some((address, length)) = parsed else {
        return wrong(format!("{text:?} is no prefix"), help);
    };
    let address: IpAddr = address;
    if address.is_ipv6() != (family == "ipv6") {
        return wrong(format!("prefix {text} is not {family}"), help);
    }
    let spread = Prefix { address, length };
    match spread.host_bits() {
        None => wrong(format!("prefix {text} is longer than an address"), help),
        Some(0) => wrong(
            format!("prefix {text} is one address, over which nothing can be spread"),
            "set node.source to it, or give a shorter prefix",
        ),
        Some(bits) if bits > spread.address_bits() - 8 => wrong(format!("prefix {text} is not one network's"), help),
        Some(_) if spread.network() != address => wrong(
            format!("prefix {text} has bits beyond its length"),
            format!("write {}/{length}", spread.network()),
        ),
        Some(_) => Ok(spread),
    }
}

/// A duration within bounds.
pub fn duration(what: &str, text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let Ok(duration) = humantime::parse_duration(text) else {
        return wrong(
            format!("{what} {text:?} is not a duration"),
            "write a number and its unit, like \"500ms\", \"2s\", \"1m30s\" or \"2h4m\"",
        );
    };
    if bounds.contains(&duration) {
        return Ok(duration);
    }
    let size = if duration < *bounds.start() { "short" } else { "long" };
    let (low, high) = (show_duration(*bounds.start()), show_duration(*bounds.end()));
    wrong(
        format!("{what} {text:?} is too {size}"),
        format!("give {low} to {high}"),
    )
}

/// A duration as it is written in a document: `1m30s`.
pub fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// One of some words. Those that are understood but not built yet are told from those that mean nothing.
pub fn one_of<T: Copy>(what: &str, word: &str, known: &[(&str, T)], later: &[&str]) -> Result<T, Wrong> {
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == word) {
        return Ok(*value);
    }
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    let choice = match names.as_slice() {
        [only] => format!("the one there is is {only:?}"),
        [head @ .., last] => format!("give {} or {last}", head.join(", ")),
        [] => String::new(),
    };
    if later.contains(&word) {
        return wrong(format!("{what} {word:?} is not built yet"), choice);
    }
    let choice = match closest(word, names) {
        Some(meant) => format!("did you mean {meant:?}? {choice}"),
        None => choice,
    };
    wrong(format!("there is no {what} {word:?}"), choice)
}

/// A name of a service or a backend.
pub fn name(text: &str) -> Result<String, Wrong> {
    let unfit = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
    let what = match text {
        "" => "the name is empty".to_owned(),
        _ if text.chars().count() > 64 => "the name is longer than 64 characters".to_owned(),
        _ if text.starts_with('-') => format!("name {text:?} begins with a hyphen"),
        // What a backend without a name is called.
        _ if text.parse::<Ipv6Addr>().is_ok() => return Ok(text.to_owned()),
        _ => match text.chars().find(|c| unfit(*c)) {
            Some(c) => format!("name {text:?} has {c:?} in it"),
            None => return Ok(text.to_owned()),
        },
    };
    wrong(what, "use letters, digits, '-', '_' and '.'")
}

/// An interface, as `eth0` or `eth0=generic`.
pub fn interface(text: &str) -> Result<Interface, Wrong> {
    let (name, mode) = text.split_once('=').unwrap_or((text, "native"));
    let fits = (1..=15).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':'));
    if !fits {
        return wrong(
            format!("{name:?} is not the name of an interface"),
            "give a name of 1 to 15 characters, like \"eth0\"; lb interfaces lists them",
        );
    }
    let modes = [
        ("native", XdpMode::Native),
        ("generic", XdpMode::Generic),
        ("auto", XdpMode::Auto),
    ];
    Ok(Interface {
        name: name.to_owned(),
        xdp: one_of("XDP mode", mode, &modes, &["offload"])?,
    })
}

/// A key of the flow hash.
pub fn hash_key(text: &str) -> Result<[u64; 2], Wrong> {
    let fits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match fits.then(|| u128::from_str_radix(text, 16)) {
        Some(Ok(key)) => Ok([(key >> 64) as u64, key as u64]),
        _ => wrong(
            "hash_key is not a key",
            "give 32 hexadecimal digits, the same on every balancer of a cluster",
        ),
    }
}

/// A next hop: an address or a MAC address.
pub fn next_hop(text: &str) -> Result<NextHop, Wrong> {
    if let Some(mac) = mac(text) {
        if mac[0] & 1 == 1 || mac == [0; 6] {
            return wrong(
                format!("next_hop {text} is not the MAC address of one host"),
                "give that of the router",
            );
        }
        return Ok(NextHop::Mac(mac));
    }
    address(text).map(NextHop::Address).map_err(|Wrong { what, .. }| Wrong {
        what: format!("next_hop: {what}"),
        help: "give the router's address, like 10.0.0.1, or its MAC, like 02:00:00:00:00:01".to_owned(),
    })
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part = parts
            .next()
            .filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// A status code, or a range of them.
pub fn status(text: &str) -> Result<(u16, u16), Wrong> {
    let code = |t: &str| t.trim().parse::<u16>().ok().filter(|code| (100..=999).contains(code));
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (code(low), code(high)) {
        (Some(low), Some(high)) if low <= high => Ok((low, high)),
        _ => wrong(
            format!("status {text:?} is neither a status code nor a range of them"),
            "write it like \"200-299\" or 204, within 100 to 999",
        ),
    }
}

/// Size of a service's table.
pub fn table_size(value: i64) -> Result<u32, Wrong> {
    let size = integer("table_size", value, MIN_TABLE..=MAX_TABLE)?;
    if is_prime(size) {
        return Ok(size);
    }
    let below = (MIN_TABLE..size).rev().find(|n| is_prime(*n));
    let above = (size..=MAX_TABLE).find(|n| is_prime(*n));
    let help = match (below, above) {
        (Some(below), Some(above)) => format!("the nearest primes are {below} and {above}"),
        (one, other) => format!("the nearest prime is {}", one.or(other).unwrap_or(MIN_TABLE)),
    };
    wrong(format!("table_size {size} is not a prime number"), help)
}

/// Smallest table.
const MIN_TABLE: u32 = 17;
/// Largest table: the largest prime below 2^23.
const MAX_TABLE: u32 = 8_388_593;

fn is_prime(n: u32) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}
