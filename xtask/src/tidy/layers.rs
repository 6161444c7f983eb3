//! Who may depend on whom.

use super::Finding;
use super::source::Source;

/// What `core` must not reach inside its own crate.
const OUTER_LAYERS: &[&str] = &["edge", "cli", "daemon"];

/// What `core` must not name, wherever it comes from.
const SOCKETS: &[&str] = &[
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
];

/// `lb-userspace/src/core` has no I/O, no clock and no async, and knows nothing of the layers around it.
pub fn core_is_pure(source: &Source) -> Vec<Finding> {
    let core = ["lb-userspace/src/core/", "lb-userspace/src/core.rs"];
    if !core.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let paths = source.paths();
    let found = paths.iter().filter_map(|path| {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let why = impurity(&segments)?;
        let message = format!("core must not name `{}`: {why}", segments.join("::"));
        Some(Finding::new(source.path, path.line, message))
    });
    found.collect()
}

fn impurity(path: &[&str]) -> Option<&'static str> {
    let inside = |segment: &&&str| matches!(**segment, "crate" | "lb_userspace" | "super" | "self");
    let local = path.iter().take_while(inside).count();
    if local > 0 && path.get(local).is_some_and(|name| OUTER_LAYERS.contains(name)) {
        return Some("it is a layer further out");
    }
    match path {
        ["tokio", ..] => Some("core has no async"),
        ["aya", ..] => Some("core does not touch BPF"),
        ["std", "fs", ..] => Some("core does no I/O"),
        [.., "Instant" | "SystemTime", "now"] => Some("core has no clock; take the time as an argument"),
        _ if path.iter().any(|name| SOCKETS.contains(name)) => Some("core does no I/O"),
        _ => None,
    }
}

/// `lb-ebpf` never imports userspace.
pub fn bpf_knows_no_userspace(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("lb-ebpf/") {
        return Vec::new();
    }
    named(source, "lb_userspace", "lb-ebpf must not know userspace")
}

/// Only `edge::dataplane` touches BPF, and the benchmark its own programs and other balancers'; `lb-common` gives the structs in
/// maps aya's `Pod`.
pub fn aya_in_its_place(source: &Source) -> Vec<Finding> {
    let places = [
        "lb-common/",
        "lb-userspace/src/edge/dataplane/",
        "lb-userspace/src/edge/dataplane.rs",
        "tests/bench/src/bpf/",
        "tests/bench/src/packet/against/katran/",
    ];
    if places.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let message = "only edge::dataplane, the benchmark's bpf and adapters, and lb-common may name aya";
    named(source, "aya", message)
}

/// A finding for each time the code names `name`.
fn named(source: &Source, name: &str, message: &str) -> Vec<Finding> {
    let lines = source.find_tokens(&[name]).into_iter();
    lines.map(|line| Finding::new(source.path, line, message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::TextFile;

    fn findings(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> usize {
        let file = TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        rule(&Source::new(&file)).len()
    }

    #[test]
    fn core_stays_pure() {
        let path = "lb-userspace/src/core/plan.rs";
        for text in [
            "use crate::edge::dataplane::Maps;",
            "use crate::{core::model, daemon::Daemon};",
            "use super::super::cli;",
            "use std::{fs, io};",
            "use std::net::{IpAddr, TcpStream};",
            "fn f() { tokio::spawn(g()); }",
            "use std::time::Instant; fn f() { Instant::now(); }",
            "let t = std::time::SystemTime::now();",
        ] {
            assert_eq!(findings(core_is_pure, path, text), 1, "{text}");
        }
        for text in [
            "use std::net::{IpAddr, Ipv4Addr};",
            "use std::time::{Duration, Instant}; fn f(now: Instant) {}",
            "// crate::edge would be wrong\nuse crate::core::model::Model;",
            "let edge = graph.edge(); let now = clock.now();",
        ] {
            assert_eq!(findings(core_is_pure, path, text), 0, "{text}");
        }
        let elsewhere = "lb-userspace/src/edge/state.rs";
        assert_eq!(findings(core_is_pure, elsewhere, "use std::fs;"), 0);
    }

    #[test]
    fn the_programs_do_not_know_userspace() {
        let rule = bpf_knows_no_userspace;
        let text = "use lb_userspace::core::maglev;";
        assert_eq!(findings(rule, "lb-ebpf/src/select.rs", text), 1);
        assert_eq!(findings(rule, "tests/src/lib.rs", text), 0);
    }

    #[test]
    fn aya_is_named_in_its_place_only() {
        let text = "use aya::maps::Array;";
        let count = |path| findings(aya_in_its_place, path, text);
        assert_eq!(count("lb-userspace/src/edge/dataplane.rs"), 0);
        assert_eq!(count("lb-userspace/src/edge/dataplane/maps.rs"), 0);
        assert_eq!(count("lb-common/src/abi.rs"), 0);
        assert_eq!(count("lb-userspace/src/edge/api.rs"), 1);
        assert_eq!(count("lb-userspace/src/daemon.rs"), 1);
        let other = findings(aya_in_its_place, "lb-ebpf/src/parse.rs", "use aya_ebpf::bindings;");
        assert_eq!(other, 0);
    }
}
