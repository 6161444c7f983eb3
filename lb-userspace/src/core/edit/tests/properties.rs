//! What holds after any edits.

use proptest::prelude::*;

use super::*;

fn names() -> impl Strategy<Value = String> {
    prop_oneof![Just("web"), Just("dns"), Just("pg"), Just("192.0.2.10:80")].prop_map(str::to_owned)
}

fn backends() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("web-1"),
        Just("web-2"),
        Just("10.0.1.3"),
        Just("10.0.1.4"),
        Just("x")
    ]
    .prop_map(str::to_owned)
}

/// Fields of a backend, good ones mostly.
fn backend_fields() -> impl Strategy<Value = Value> {
    let field = prop_oneof![
        backends().prop_map(|name| json!({"name": name})),
        (1..6u8).prop_map(|host| json!({"address": format!("10.0.1.{host}")})),
        (-1..100i64).prop_map(|weight| json!({"weight": weight})),
        (0..90u16).prop_map(|port| json!({"port": port})),
        prop_oneof![Just("ready"), Just("drain"), Just("gone")].prop_map(|state| json!({"state": state})),
        Just(json!({"name": null})),
    ];
    proptest::collection::vec(field, 1..4).prop_map(merge)
}

fn service_fields() -> impl Strategy<Value = Value> {
    let field = prop_oneof![
        names().prop_map(|name| json!({"name": name})),
        (9..12u8).prop_map(|host| json!({"address": format!("192.0.2.{host}")})),
        (79..82u16).prop_map(|port| json!({"port": port})),
        prop_oneof![Just("nat"), Just("gue"), Just("gre")].prop_map(|mode| json!({"mode": mode})),
        Just(json!({"backend": [{"address": "10.0.1.4"}]})),
        Just(json!({"table_size": 251})),
    ];
    proptest::collection::vec(field, 1..5).prop_map(merge)
}

fn merge(fields: Vec<Value>) -> Value {
    fields
        .into_iter()
        .filter_map(|field| field.as_object().cloned())
        .flatten()
        .collect()
}

fn edits() -> impl Strategy<Value = Edit> {
    let states = prop_oneof![
        Just(AdminState::Ready),
        Just(AdminState::Drain),
        Just(AdminState::Maint)
    ];
    let weights = prop_oneof![
        (0..300u32).prop_map(WeightChange::Percent),
        (0..300u32).prop_map(WeightChange::Absolute)
    ];
    prop_oneof![
        service_fields().prop_map(service_add),
        (names(), service_fields()).prop_map(|(service, fields)| Edit::ServiceSet { service, fields }),
        names().prop_map(|service| Edit::ServiceRemove { service }),
        (names(), backend_fields()).prop_map(|(service, backend)| Edit::BackendAdd { service, backend }),
        (names(), backends(), backend_fields()).prop_map(|(service, backend, fields)| Edit::BackendSet {
            service,
            backend,
            fields
        }),
        (names(), backends()).prop_map(|(service, backend)| Edit::BackendRemove { service, backend }),
        (names(), backends(), states).prop_map(|(service, backend, state)| Edit::State {
            service,
            backend,
            state
        }),
        (names(), backends(), weights).prop_map(|(service, backend, weight)| Edit::Weight {
            service,
            backend,
            weight
        }),
        Just(Edit::Apply {
            text: WEB.to_owned(),
            format: Format::Toml
        }),
        Just(Edit::Apply {
            text: format!("{WEB}x = 1"),
            format: Format::Toml
        }),
        Just(Edit::Attach {
            interface: "eth0".to_owned(),
            xdp: XdpMode::Auto
        }),
        Just(Edit::Detach { interface: None }),
    ]
}

/// What was set by hand at backends that are still there, by an edit that is not about that.
fn overrides_survive(edit: &Edit, before: &Document, after: &Outcome) -> bool {
    if matches!(
        edit,
        Edit::State { .. } | Edit::Weight { .. } | Edit::BackendSet { .. } | Edit::ServiceSet { .. }
    ) {
        return true;
    }
    before.overrides.iter().all(|(key, set)| {
        let (service, backend) = key.split_once('/').unwrap();
        let there = after
            .model
            .service(service)
            .and_then(|service| service.backend(backend))
            .is_some();
        !there || after.document.overrides.get(key) == Some(set)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// After any edits the document is right as a whole, its revision tells whether it changed, and what was set by hand
    /// stands; applying its own save changes nothing.
    #[test]
    fn edits_leave_a_document_right_or_alone(edits in proptest::collection::vec(edits(), 1..25)) {
        let mut document = start();
        for edit in edits {
            let Ok(outcome) = apply(&document, &edit, &anna(), &Capabilities::all()) else { continue };
            let (model, _) = outcome.document.resolve(&Capabilities::all()).expect("right as a whole");
            prop_assert_eq!(&model, &outcome.model);
            prop_assert_eq!(outcome.changed, outcome.document.revision == document.revision + 1);
            prop_assert_eq!(outcome.changed, !outcome.plan.is_empty());
            prop_assert!(outcome.changed || outcome.document == document);
            prop_assert!(overrides_survive(&edit, &document, &outcome), "{:?}", edit);
            let keys = model.services.iter().flat_map(|s| s.backends.iter().map(|b| format!("{}/{}", s.name, b.name)));
            let keys: std::collections::HashSet<_> = keys.collect();
            prop_assert!(outcome.document.overrides.keys().all(|key| keys.contains(key)));
            document = outcome.document;
            let again = apply(&document, &own_save(&document), &anna(), &Capabilities::all()).expect("its own save");
            prop_assert!(!again.changed);
            prop_assert_eq!(&again.document.overrides, &document.overrides);
            let json = serde_json::to_string(&document).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Document>(&json).unwrap(), &document);
        }
    }
}
