//! Changes that the kernel cannot follow.

use super::*;

fn old() -> Capabilities {
    Capabilities {
        kernel: "5.10.0-46-amd64".into(),
        flow_table: false,
    }
}

const BY_NAME: &str = "mode fullnat is not available: kernel 5.10.0-46-amd64 has no atomic compare-exchange in BPF (needs 5.12); \
                       use mode gue, ipip, l2 or nat, or a kernel from 5.12 on";
const BY_DEFAULT: &str = "mode fullnat, the default, is not available: kernel 5.10.0-46-amd64 has no atomic compare-exchange in \
                          BPF (needs 5.12); use mode gue, ipip, l2 or nat, or a kernel from 5.12 on";

fn text(text: String) -> Edit {
    let format = Format::Toml;
    Edit::Apply { text, format }
}

/// All services in a mode that needs no flow table.
fn in_l2() -> String {
    format!("[defaults]\nmode = \"l2\"\n{}", WEB.replace("version = 1\n", ""))
}

#[test]
fn without_a_flow_table_no_change_brings_fullnat() {
    let applied = apply(&Document::empty(), &text(in_l2()), &anna(), &old()).unwrap();
    let document = applied.document;
    let add = |mode: Value| service_add(json!({"name": "shop", "address": "192.0.2.9", "port": 1, "mode": mode}));
    let refused = [
        (
            text(WEB.to_owned()),
            format!("service web: {BY_DEFAULT} (and one more error)"),
        ),
        (add("fullnat".into()), format!("service shop: {BY_NAME}")),
        (
            service_set("web", json!({"mode": "fullnat"})),
            format!("service web: {BY_NAME}"),
        ),
    ];
    for (edit, why) in refused {
        let refusal = apply(&document, &edit, &anna(), &old()).expect_err("accepted");
        assert!(matches!(refusal, Refusal::Invalid(_)));
        assert_eq!(refusal.to_string(), why);
        assert!(!refusal.findings().is_empty());
    }
    for edit in [
        add(Value::Null),
        add("nat".into()),
        service_set("web", json!({"mode": "ipip"})),
        service_set("web", json!({"when_all_down": "use-all"})),
        backend_set("web", "web-1", json!({"weight": 3})),
        weight("web", "web-1", WeightChange::Percent(50)),
    ] {
        assert!(apply(&document, &edit, &anna(), &old()).unwrap().changed, "{edit:?}");
    }
}

#[test]
fn the_built_in_default_is_named() {
    let edit = service_add(json!({"name": "shop", "address": "192.0.2.9", "port": 1}));
    let refusal = apply(&Document::empty(), &edit, &anna(), &old()).expect_err("accepted");
    assert_eq!(refusal.to_string(), format!("service shop: {BY_DEFAULT}"));
}

/// A state from a newer kernel: it is not right here, and a file that is right replaces it.
#[test]
fn a_state_with_fullnat_is_refused_until_a_file_replaces_it() {
    let document = start();
    let findings = document.resolve(&old()).expect_err("right");
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["web", "dns"].map(|name| format!("service {name}: {BY_DEFAULT}")));
    let read = |text: &str| {
        let origin = Origin::new("lb.toml", text);
        reload(&document, text, Format::Toml, origin, true, &anna(), &old())
    };
    let refusal = read(WEB).expect_err("accepted");
    let lines: Vec<_> = refusal
        .findings()
        .iter()
        .filter_map(|finding| finding.place.map(|place| place.line))
        .collect();
    assert_eq!(lines, [3, 14]);
    let outcome = read(&in_l2()).unwrap();
    assert_eq!(outcome.document.revision, document.revision + 1);
    assert_eq!(outcome.model.services.len(), 2);
}
