//! The metrics' text, against the rules of the format.

use std::collections::BTreeMap;

use lb_userspace::edge::metrics::render;

use crate::sample;

/// Name, labels as they are written, value; what a line that is no comment must have.
fn sample_of(line: &str) -> Option<(&str, &str, f64)> {
    let (name_and_labels, value) = line.rsplit_once(' ')?;
    let (name, labels) = match name_and_labels.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}')?),
        None => (name_and_labels, ""),
    };
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(legal) {
        return None;
    }
    let mut rest = labels;
    while !rest.is_empty() {
        let (key, value) = rest.split_once("=\"")?;
        let end = (0..value.len()).find(|at| {
            let slashes = value[..*at].bytes().rev().take_while(|byte| *byte == b'\\').count();
            value.as_bytes()[*at] == b'"' && slashes % 2 == 0
        })?;
        if key.is_empty() || !key.chars().all(legal) {
            return None;
        }
        let after = &value[end + 1..];
        rest = if after.is_empty() { "" } else { after.strip_prefix(',')? };
    }
    Some((name, labels, value.parse().ok()?))
}

#[test]
fn every_line_is_a_sample_of_the_family_above_it() {
    let mut snapshot = sample::snapshot();
    snapshot.services[0].name = "a\"quoted\\name\nwith a line break".to_owned();
    let text = render(&snapshot);
    let mut family = ("", "");
    let mut seen = BTreeMap::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = (help.split_once(' ').unwrap().0, "");
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family.0, "the help comes first");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family.1 = kind;
            continue;
        }
        let (name, labels, _) = sample_of(line).unwrap_or_else(|| panic!("cannot be read: {line}"));
        let suffix = name
            .strip_prefix(family.0)
            .unwrap_or_else(|| panic!("not of {}: {line}", family.0));
        let suffixes: &[&str] = if family.1 == "histogram" {
            &["_bucket", "_sum", "_count"]
        } else {
            &[""]
        };
        assert!(suffixes.contains(&suffix), "{line}");
        assert!(seen.insert((name, labels), ()).is_none(), "twice: {line}");
    }
}

#[test]
fn the_contract_is_met() {
    let text = render(&sample::snapshot());
    for line in [
        r#"lb_build_info{version="0.1.0",abi_version="1"} 1"#,
        r#"lb_service_packets_total{service="web"} 1234567"#,
        r#"lb_service_bytes_total{service="web"} 310400000"#,
        r#"lb_service_new_flows_total{service="web"} 4096"#,
        r#"lb_backend_packets_total{service="web",backend="web-1"} 1234567"#,
        r#"lb_backend_bytes_total{service="web",backend="web-1"} 310400000"#,
        r#"lb_backend_new_flows_total{service="web",backend="web-1"} 4096"#,
        r#"lb_backend_up{service="web",backend="web-1"} 1"#,
        r#"lb_backend_up{service="web",backend="web-2"} 0"#,
        r#"lb_backend_state{service="web",backend="web-2",state="maint"} 1"#,
        r#"lb_backend_state{service="web",backend="web-2",state="ready"} 0"#,
        r#"lb_backend_weight{service="web",backend="web-2"} 50"#,
        r#"lb_backend_slots{service="web",backend="web-1"} 65537"#,
        r#"lb_health_checks_total{service="web",backend="web-1",result="L7OK"} 17"#,
        r#"lb_health_check_duration_seconds_bucket{service="web",le="0.001"} 3"#,
        r#"lb_health_check_duration_seconds_bucket{service="web",le="5"} 17"#,
        r#"lb_health_check_duration_seconds_bucket{service="web",le="+Inf"} 18"#,
        r#"lb_health_check_duration_seconds_sum{service="web"} 7.0315"#,
        r#"lb_health_check_duration_seconds_count{service="web"} 18"#,
        r#"lb_dropped_packets_total{reason="no_backend"} 12"#,
        r#"lb_passed_packets_total{reason="no_service"} 99000"#,
        "lb_flow_table_entries 214",
        "lb_flow_table_capacity 1000000",
        r#"lb_table_slots{service="web",state="stable"} 65537"#,
        "lb_revision 41",
        "lb_apply_duration_seconds 0.0021",
        "lb_config_last_reload_successful 1",
        "lb_next_hop_unresolved 1",
    ] {
        assert!(text.lines().any(|found| found == line), "missing: {line}\n{text}");
    }
}
