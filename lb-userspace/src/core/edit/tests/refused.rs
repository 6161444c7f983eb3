//! Refusals.

use super::*;

#[test]
fn refusals_are_one_line_with_a_remedy() {
    let backend = |address: &str| json!({"address": address});
    let remove = |service: &str, backend: &str| Edit::BackendRemove {
        service: service.into(),
        backend: backend.into(),
    };
    let rows = [
        (
            backend_add("web", backend("10.0.0.300")),
            "backend web/10.0.0.300: address \"10.0.0.300\" is neither an IPv4 nor an IPv6 address; write it like 10.0.1.2 or 2001:db8::2",
        ),
        (
            backend_add("web2", backend("10.0.1.4")),
            "no service \"web2\"; did you mean \"web\"? there are web, dns",
        ),
        (
            backend_add("web", json!({"name": "web-1", "address": "10.0.1.4"})),
            "backend web/web-1 is there already, at 10.0.1.1:80; change it with lb backend set web/web-1",
        ),
        (
            backend_add("web", backend("10.0.1.1")),
            "backend web/10.0.1.1: 10.0.1.1:80 is backend web-1 already; remove one of them, and give the other more weight",
        ),
        (
            backend_add("web", json!({"address": "10.0.1.4", "weight": -1})),
            "backend web/10.0.1.4: weight -1 is negative; give 0 to 65535 (0: no new flows)",
        ),
        (
            backend_add("web", json!({"address": "10.0.1.4", "port": 0})),
            "backend web/10.0.1.4: port 0 is not a port; give 1 to 65535",
        ),
        (
            backend_add("web", json!({"address": "10.0.1.4", "wieght": 3})),
            "backend web/10.0.1.4: unknown key \"wieght\"; did you mean \"weight\"?",
        ),
        (
            service_add(json!({"name": "web", "address": "192.0.2.9", "port": 1})),
            "service web is there already, at 192.0.2.10:80/tcp; change it with lb service set web",
        ),
        (
            service_add(json!({"name": "shop", "address": "192.0.2.10", "port": 80})),
            "service shop: 192.0.2.10:80/tcp is taken by service web; use another port, or add the backends there",
        ),
        (
            service_set("dns", json!({"name": "web"})),
            "service web: another service has this name already; rename one of them",
        ),
        (
            remove("web", "web-9"),
            "no backend \"web-9\" in service web; did you mean \"web-1\"? there are web-1, web-2",
        ),
        (remove("dns", "x"), "no backend \"x\" in service dns; there is 10.0.1.3"),
        (
            weight("web", "web-1", WeightChange::Absolute(65_536)),
            "backend web/web-1: weight 65536 is too large; give 0 to 65535 (0: no new flows)",
        ),
        (
            Edit::Detach {
                interface: Some("eth9".into()),
            },
            "lb is not attached to \"eth9\"; it is to none",
        ),
        (
            Edit::Apply {
                text: "version = 1\nx = 1\ny = 2".into(),
                format: Format::Toml,
            },
            "unknown key \"x\"; the keys here are version, node, api, metrics, defaults, service (and one more error)",
        ),
    ];
    let document = start();
    for (edit, message) in rows {
        assert_eq!(refused(&document, edit), message);
    }
    assert_eq!(
        refused(&Document::empty(), Edit::ServiceRemove { service: "web".into() }),
        "no service \"web\"; there are none yet, add one with lb service add"
    );
}

#[test]
fn kinds_of_refusals_are_told_apart() {
    let document = start();
    let kind = |edit| apply(&document, &edit, &anna(), &Capabilities::all()).unwrap_err();
    assert!(matches!(
        kind(Edit::ServiceRemove { service: "x".into() }),
        Refusal::NotFound(_)
    ));
    assert!(matches!(
        kind(service_add(json!({"name": "web"}))),
        Refusal::Conflict(_)
    ));
    let invalid = kind(service_add(json!({"name": "x", "port": 0})));
    assert_eq!(invalid.findings().len(), 2);
}
