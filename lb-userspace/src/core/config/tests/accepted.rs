//! What is accepted, and what it comes to.

use std::time::Duration;

use super::*;
use crate::core::model::{AdminState, CheckKind, Mode, NextHop, Protocol, SetBy, WhenAllDown};

#[test]
fn the_contracts_example_is_accepted_as_it_stands() {
    let Checked { model, warnings, .. } = accepted(CONTRACT);
    let web = &model.services[0];
    assert_eq!(web.vip.to_string(), "192.0.2.10:443/tcp");
    assert_eq!((web.mode, web.table_size), (Mode::Ipip, 65_537));
    assert_eq!(web.check.port, Some(8443));
    assert_eq!(web.check.interval, Duration::from_secs(2));
    let status = vec![(200, 299)];
    let http = CheckKind::Http {
        path: "/healthz".to_owned(),
        host: None,
        status,
        body: Some("ok".to_owned()),
    };
    assert_eq!(web.check.kind, http);
    let backend = &web.backends[0];
    assert_eq!(backend.next_hop, Some(NextHop::Address([10, 0, 0, 1].into())));
    assert_eq!(
        (backend.port, backend.weight, backend.state),
        (8443, 100, AdminState::Ready)
    );
    let warnings: Vec<_> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(warnings, ["service[0].backend[0].port"]);
}

#[test]
fn the_printed_example_passes_its_own_check() {
    assert_eq!(accepted(example()).warnings, []);
}

/// What the example calls defaults are the defaults.
#[test]
fn the_printed_example_tells_the_defaults() {
    let with = accepted(example());
    let mut file = with.file.clone();
    let node = file.node.as_mut().unwrap();
    (node.limits, node.flow_timeouts, file.defaults) = (None, None, None);
    let (without, _) = resolve(&file, &Overrides::new(), 0, &Capabilities::all()).unwrap();
    assert_eq!(with.model, without);
}

#[test]
fn what_is_left_out_is_filled_in() {
    let model = accepted(WEB).model;
    let web = &model.services[0];
    assert_eq!(
        (web.mode, web.table_size, web.when_all_down),
        (Mode::Fullnat, 65_537, WhenAllDown::Drop)
    );
    assert_eq!((web.vip.protocol, web.tunnel_port), (Protocol::Tcp, 6080));
    assert_eq!(web.check.kind, CheckKind::Tcp);
    assert_eq!((web.check.rise, web.check.fall, web.check.jitter), (2, 3, 0.2));
    assert_eq!(web.check.fast_interval, Duration::from_millis(500));
    assert_eq!((web.backends[0].port, web.backends[0].weight), (80, 100));
    assert_eq!(model.node.flow_timeouts.tcp_established, Duration::from_secs(7440));
    assert_eq!(model.node.hash_key, lb_common::flow::DEFAULT_HASH_KEY);
}

#[test]
fn an_empty_document_is_a_balancer_with_nothing_to_do() {
    assert_eq!(accepted("").model.services, []);
    assert_eq!(
        check("{}", Format::Json, &Capabilities::all()).unwrap().model.services,
        []
    );
}

#[test]
fn defaults_go_before_what_is_built_in_and_services_before_defaults() {
    let defaults = "[defaults]\nmode = \"nat\"\ncheck = { type = \"http\", path = \"/up\", interval = \"5s\" }\n";
    let text = format!(
        "{defaults}{}",
        web_with("port = 80", "port = 80\ncheck = { interval = \"200ms\" }")
    );
    let web = accepted(&text).model.services.remove(0);
    assert_eq!(web.mode, Mode::Nat);
    assert!(matches!(web.check.kind, CheckKind::Http { path, .. } if path == "/up"));
    let interval = Duration::from_millis(200);
    assert_eq!(
        (web.check.interval, web.check.fast_interval, web.check.timeout),
        (interval, interval, interval)
    );
}

#[test]
fn what_was_set_by_hand_goes_before_the_document() {
    let file = parse(WEB, Format::Toml).unwrap();
    let set_by = SetBy {
        who: "anna".to_owned(),
        at: 7,
    };
    let set = Override {
        state: Some(AdminState::Drain),
        weight: Some(5),
        set_by: set_by.clone(),
    };
    let overrides = Overrides::from([(override_key("web", "web-1"), set)]);
    let (model, _) = resolve(&file, &overrides, 41, &Capabilities::all()).unwrap();
    let backend = &model.services[0].backends[0];
    assert_eq!(
        (backend.state, backend.weight, backend.configured_weight),
        (AdminState::Drain, 5, 100)
    );
    assert_eq!((&backend.set_by, model.revision), (&Some(set_by), 41));
}

#[test]
fn json_says_the_same_as_toml() {
    let toml = parse(CONTRACT, Format::Toml).unwrap();
    let json = serde_json::to_string(&toml).unwrap();
    assert_eq!(parse(&json, Format::Json).unwrap(), toml);
    assert_eq!(
        parse(r#"{"node": null, "service": []}"#, Format::Json).unwrap(),
        File::default()
    );
}

#[test]
fn a_digest_is_fnv_1a() {
    // Published test vectors of the hash's authors.
    assert_eq!(digest(""), "cbf29ce484222325");
    assert_eq!(digest("foobar"), "85944171f73967e8");
}
