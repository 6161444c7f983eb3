//! Services, backends and interfaces that come, change and go.

use super::*;

#[test]
fn a_first_document_comes_with_all_its_parts() {
    let edit = Edit::Apply {
        text: WEB.to_owned(),
        format: Format::Toml,
    };
    let (document, plan) = done(&Document::empty(), edit);
    assert_eq!(
        plan,
        [
            "+ service web 192.0.2.10:80/tcp fullnat",
            "+ backend web/web-1 10.0.1.1:80 weight 100",
            "+ backend web/web-2 10.0.1.2:80 weight 50",
            "+ service dns 192.0.2.53:53/udp fullnat",
            "+ backend dns/10.0.1.3 10.0.1.3:53 weight 100",
        ]
    );
    assert_eq!(document.changed_by, Some(anna()));
}

#[test]
fn parts_come_change_and_go() {
    let document = start();
    let (document, plan) = done(
        &document,
        service_add(json!({"name": "pg", "address": "192.0.2.9", "port": 5432})),
    );
    assert_eq!(plan, ["+ service pg 192.0.2.9:5432/tcp fullnat"]);
    let (document, plan) = done(
        &document,
        backend_add("pg", json!({"address": "10.0.1.9", "state": "drain"})),
    );
    assert_eq!(plan, ["+ backend pg/10.0.1.9 10.0.1.9:5432 weight 100 drain"]);
    let fields = json!({"mode": "nat", "table_size": 251, "check": {"interval": "5s"}});
    let (document, plan) = done(&document, service_set("192.0.2.9:5432", fields));
    assert_eq!(
        plan,
        ["~ service pg: mode fullnat -> nat, table_size 65537 -> 251, check.interval 2s -> 5s"]
    );
    let (document, plan) = done(&document, service_set("pg", json!({"check": null})));
    assert_eq!(plan, ["~ service pg: check.interval 5s -> 2s"]);
    let (document, plan) = done(
        &document,
        backend_set("pg", "10.0.1.9:5432", json!({"weight": 7, "state": null})),
    );
    assert_eq!(plan, ["~ backend pg/10.0.1.9: state drain -> ready, weight 100 -> 7"]);
    let edit = Edit::BackendRemove {
        service: "pg".to_owned(),
        backend: "10.0.1.9".to_owned(),
    };
    let (document, plan) = done(&document, edit);
    assert_eq!(plan, ["- backend pg/10.0.1.9 10.0.1.9:5432 weight 7"]);
    let (document, plan) = done(
        &document,
        Edit::ServiceRemove {
            service: "192.0.2.9:5432/tcp".to_owned(),
        },
    );
    assert_eq!(plan, ["- service pg 192.0.2.9:5432/tcp"]);
    assert_eq!(document.file, start().file);
    assert!(document.edited);
}

#[test]
fn what_is_set_again_changes_nothing() {
    let document = start();
    unchanged(&document, own_save(&document));
    unchanged(&document, backend_set("web", "web-2", json!({"weight": 50})));
    unchanged(&document, state("web", "web-1", AdminState::Ready));
    unchanged(&document, weight("web", "web-1", WeightChange::Percent(100)));
    unchanged(&document, Edit::Detach { interface: None });
    let (document, _) = done(&document, state("web", "web-1", AdminState::Drain));
    unchanged(&document, state("web", "web-1", AdminState::Drain));
    let (document, _) = done(
        &document,
        Edit::Attach {
            interface: "eth0".to_owned(),
            xdp: XdpMode::Native,
        },
    );
    unchanged(
        &document,
        Edit::Attach {
            interface: "eth0".to_owned(),
            xdp: XdpMode::Native,
        },
    );
}

#[test]
fn references_are_names_or_addresses() {
    assert_eq!(split_reference("web"), ("web", None));
    assert_eq!(split_reference("web/web-1"), ("web", Some("web-1")));
    assert_eq!(split_reference("192.0.2.10:80"), ("192.0.2.10:80", None));
    assert_eq!(split_reference("192.0.2.10:80/tcp"), ("192.0.2.10:80/tcp", None));
    assert_eq!(
        split_reference("192.0.2.10:80/udp/10.0.1.1:80"),
        ("192.0.2.10:80/udp", Some("10.0.1.1:80"))
    );
    assert_eq!(split_reference("192.0.2.10:80/web-1"), ("192.0.2.10:80", Some("web-1")));
    assert_eq!(split_reference("tcp/udp"), ("tcp", Some("udp")));
    for vip in [
        "192.0.2.0/24:80",
        "192.0.2.0/24:80/sctp",
        "192.0.2.0/24:any/any",
        "[2001:db8::]/64:80/tcp",
    ] {
        assert_eq!(split_reference(vip), (vip, None));
        assert_eq!(split_reference(&format!("{vip}/web-1")), (vip, Some("web-1")));
    }

    let twice = json!({"name": "web-udp", "address": "192.0.2.10", "port": 80, "protocol": "udp"});
    let (document, _) = done(&start(), service_add(twice));
    let (document, _) = done(
        &document,
        backend_add("web", json!({"name": "b", "address": "10.0.1.1", "port": 81})),
    );
    let (model, _) = document.resolve(&Capabilities::all()).unwrap();
    assert_eq!(find_service(&model, "192.0.2.10:80/udp").unwrap().name, "web-udp");
    let message = "service \"192.0.2.10:80\" may be any of 192.0.2.10:80/tcp, 192.0.2.10:80/udp; say which";
    assert_eq!(find_service(&model, "192.0.2.10:80").unwrap_err().to_string(), message);
    let web = find_service(&model, "web").unwrap();
    assert_eq!(find_backend(web, "10.0.1.1:81").unwrap().name, "b");
    let message = "backend \"10.0.1.1\" may be any of web-1, b; say which";
    assert_eq!(find_backend(web, "10.0.1.1").unwrap_err().to_string(), message);
}

#[test]
fn interfaces_are_attached_and_detached() {
    let attach = |interface: &str, xdp| Edit::Attach {
        interface: interface.to_owned(),
        xdp,
    };
    let (document, plan) = done(&start(), attach("eth0", XdpMode::Native));
    assert_eq!(plan, ["+ interface eth0 native"]);
    let (document, plan) = done(&document, attach("eth0", XdpMode::Generic));
    assert_eq!(plan, ["~ interface eth0: native -> generic"]);
    let (document, _) = done(&document, attach("eth1", XdpMode::Auto));
    assert_eq!(
        document.file.node.as_ref().unwrap().interfaces,
        ["eth0=generic", "eth1=auto"]
    );
    let (document, plan) = done(
        &document,
        Edit::Detach {
            interface: Some("eth0".to_owned()),
        },
    );
    assert_eq!(plan, ["- interface eth0"]);
    assert_eq!(done(&document, Edit::Detach { interface: None }).0.file, start().file);
    assert!(refused(&document, attach("eth0=generic", XdpMode::Native)).contains("--xdp"));
    assert!(refused(&document, attach("a/b", XdpMode::Native)).contains("not the name of an interface"));
}

#[test]
fn what_the_maps_are_made_with_holds_from_the_next_time() {
    let applied_to = |document: &Document| {
        let edit = Edit::Apply {
            text: format!("node.limits.flows = 1024\n{WEB}"),
            format: Format::Toml,
        };
        apply(document, &edit, &anna(), &Capabilities::all()).unwrap()
    };
    let outcome = applied_to(&start());
    assert_eq!(outcome.plan, ["~ node: limits.flows 262144 -> 1024"]);
    assert_eq!(outcome.warnings.len(), 1);
    let first = applied_to(&Document::empty());
    assert!(first.warnings.is_empty(), "{:?}", first.warnings);
}

#[test]
fn a_document_that_reads_differently_and_means_the_same_is_a_change() {
    let (_, plan) = done(&start(), service_set("web", json!({"mode": "fullnat"})));
    assert_eq!(plan, ["~ the base state is written differently and means the same"]);
}

#[test]
fn the_base_state_is_what_was_written() {
    let file = start().file;
    assert!(file.service[0].mode.is_none() && file.service[1].backend[0].name.is_none());
}
