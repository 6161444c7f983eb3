use super::super::vip::vip;
use super::*;

fn said<T: std::fmt::Debug>(parsed: Parsed<T>) -> String {
    parsed.unwrap_err().to_string()
}

#[test]
fn targets_by_name_and_by_vip() {
    let parts = |text| target(text).map(|target| (target.service, target.backend)).unwrap();
    let both = |service: &str, backend: &str| (service.to_owned(), Some(backend.to_owned()));
    let alone = |service: &str| (service.to_owned(), None);
    assert_eq!(parts("web"), alone("web"));
    assert_eq!(parts("web/web-2"), both("web", "web-2"));
    assert_eq!(parts("web/10.0.1.2:80"), both("web", "10.0.1.2:80"));
    assert_eq!(parts("web/tcp"), both("web", "tcp"));
    assert_eq!(parts("192.0.2.10:443"), alone("192.0.2.10:443"));
    assert_eq!(parts("192.0.2.10:443/tcp"), alone("192.0.2.10:443/tcp"));
    assert_eq!(parts("192.0.2.10:443/tcp/web-1"), both("192.0.2.10:443/tcp", "web-1"));
    assert_eq!(
        said(target("web/")),
        r#""web/" names nothing; give SERVICE or SERVICE/BACKEND"#
    );
    assert_eq!(
        said(backend_target("web")),
        r#""web" names a service; give SERVICE/BACKEND"#
    );
}

#[test]
fn addresses_of_both_families() {
    let parts = |text| {
        let there = backend_address(text).unwrap();
        (there.address.to_string(), there.port)
    };
    assert_eq!(parts("10.0.1.1"), ("10.0.1.1".into(), None));
    assert_eq!(parts("10.0.1.1:80"), ("10.0.1.1".into(), Some(80)));
    assert_eq!(parts("2001:db8::1"), ("2001:db8::1".into(), None));
    assert_eq!(parts("[2001:db8::1]"), ("2001:db8::1".into(), None));
    assert_eq!(parts("[2001:db8::1]:80"), ("2001:db8::1".into(), Some(80)));
    let six = vip("[2001:db8::1]:443/udp").unwrap();
    assert_eq!(
        (six.address.to_string(), six.port),
        ("2001:db8::1".into(), Some(443.into()))
    );
    assert_eq!(six.protocol.as_deref(), Some("udp"));
    let targets = target("[2001:db8::1]:443/tcp/2001:db8::2").unwrap();
    assert_eq!(targets.service, "[2001:db8::1]:443/tcp");
    assert_eq!(targets.backend.as_deref(), Some("2001:db8::2"));
}

#[test]
fn wrong_addresses_say_why() {
    for (text, why) in [
        ("10.0.0.300:80", "10.0.0.300 is not an IPv4 address (300 is over 255)"),
        ("10.0.0:80", "10.0.0 is not an IPv4 address (it has 3 numbers, not 4)"),
        ("web1:80", r#"web1 is not an IPv4 address ("web1" is not a number)"#),
        (
            "10.0.0.010",
            "10.0.0.010 is not an IPv4 address (010 begins with a zero)",
        ),
        ("10.0.0.1:0", "port 0 is not one from 1 to 65535"),
        ("10.0.0.1:-1", "port -1 is not one from 1 to 65535"),
        ("10.0.0.1:70000", "port 70000 is not one from 1 to 65535"),
        ("[2001:db8::g]:80", "2001:db8::g is not an IPv6 address"),
        ("[10.0.0.1]:80", "10.0.0.1 is not an IPv6 address"),
        ("[2001:db8::1:80", "[2001:db8::1:80 has no closing bracket"),
        ("[2001:db8::1]80", r#""80" follows the bracket where :PORT should"#),
        ("[2001:db8::1]:0", "port 0 is not one from 1 to 65535"),
    ] {
        assert_eq!(
            said(backend_address(text)),
            format!("backend address {text:?}: {why}; give ADDR[:PORT]")
        );
    }
    for text in ["10.0.0.1:8000-8099", "[2001:db8::1]:8000-8099/tcp"] {
        assert_eq!(vip(text).unwrap().port, Some("8000-8099".into()), "{text}");
    }
    for text in ["10.0.0.1", "2001:db8::1", "[2001:db8::1]/udp"] {
        assert_eq!(vip(text).unwrap().port, None, "{text}");
    }
    for (text, length, port, protocol) in [
        ("192.0.2.0/24", Some(24), None, None),
        ("192.0.2.0/24/any", Some(24), None, Some("any")),
        ("192.0.2.0/24:80/sctp", Some(24), Some(80), Some("sctp")),
        ("2001:db8::/64", Some(64), None, None),
        ("[2001:db8::]/64:80", Some(64), Some(80), None),
    ] {
        let parsed = vip(text).unwrap();
        assert_eq!(parsed.length, length, "{text}");
        assert_eq!(parsed.port, port.map(Value::from), "{text}");
        assert_eq!(parsed.protocol.as_deref(), protocol, "{text}");
    }
    assert_eq!(vip("10.0.0.1:any/tcp").unwrap().port, Some("any".into()));
    assert_eq!(
        said(vip("10.0.0.1:8000-")),
        r#"VIP "10.0.0.1:8000-": port 8000- is not one from 1 to 65535; give ADDR[/LEN][:PORT|:FROM-TO][/tcp|udp|sctp|any]"#
    );
    assert_eq!(
        said(vip("10.0.0.1:1/x")),
        r#"VIP "10.0.0.1:1/x": x is not tcp, udp, sctp or any; give ADDR[/LEN][:PORT|:FROM-TO][/tcp|udp|sctp|any]"#
    );
}

#[test]
fn what_is_quoted_does_not_end_the_line() {
    assert_eq!(
        said(address("10.0.0.1\n\u{1b}[2J")),
        r#"10.0.0.1\n\u{1b}[2J is not an IPv4 address ("1\n\u{1b}[2J" is not a number)"#
    );
}

#[test]
fn weights() {
    assert_eq!(weight("0").unwrap(), 0);
    assert_eq!(
        said(weight("-5")),
        r#"weight "-5" is negative; give 0 (no new flows) or more, 100 is usual"#
    );
    assert_eq!(
        said(weight("x")),
        r#"weight "x" is not a whole number; give 0 (no new flows) or more, 100 is usual"#
    );
    assert_eq!(weight_change("50%").unwrap(), json!("50%"));
    assert_eq!(weight_change("50").unwrap(), json!(50));
    assert!(said(weight_change("-5%")).contains("is not a percentage"));
}

#[test]
fn checks_become_configuration() {
    let text = "http,interval=2s,rise=2,path=/healthz,status=200-299,status=301,body=ok,port=8080,jitter=0.1";
    let expected = json!({
        "type": "http", "interval": "2s", "rise": 2, "path": "/healthz", "port": 8080, "jitter": 0.1,
        "expect": { "status": ["200-299", "301"], "body": "ok" },
    });
    assert_eq!(check(text).unwrap(), expected);
    assert_eq!(
        said(check("ftp")),
        r#"check "ftp": "ftp" is no type of check; give none, tcp or http"#
    );
    assert!(
        said(check("tcp,intervall=2s")).starts_with(r#"check "tcp,intervall=2s": "intervall" is no key of a check"#)
    );
    assert!(said(check("tcp,interval=2")).contains(r#"interval: "2" is not a duration"#));
}

#[test]
fn prefixes_have_no_host_bits() {
    assert_eq!(
        prefix("10.0.0.0/24").unwrap(),
        Prefix {
            address: [10, 0, 0, 0].into(),
            length: 24
        }
    );
    assert_eq!(
        prefix("10.0.0.1").unwrap(),
        Prefix {
            address: [10, 0, 0, 1].into(),
            length: 32
        }
    );
    assert_eq!(
        prefix("0.0.0.0/0").unwrap(),
        Prefix {
            address: [0, 0, 0, 0].into(),
            length: 0
        }
    );
    assert!(said(prefix("10.0.0.1/24")).contains("did you mean 10.0.0.0/24"));
    assert!(said(prefix("10.0.0.0/33")).contains("33 is no length"));
}

#[test]
fn interfaces_and_next_hops() {
    assert_eq!(
        attach("eth0").unwrap(),
        AttachArgument {
            interface: "eth0".to_owned(),
            xdp: XdpMode::Native
        }
    );
    assert_eq!(attach("eth0=generic").unwrap().xdp, XdpMode::Generic);
    assert!(said(attach("eth0=fast")).contains("give IFACE or IFACE=native|generic|auto"));
    assert!(interface("a-name-that-is-far-too-long").is_err());
    assert_eq!(next_hop("10.0.0.1").unwrap(), json!("10.0.0.1"));
    assert_eq!(next_hop("02:00:00:00:00:01").unwrap(), json!("02:00:00:00:00:01"));
    assert_eq!(next_hop("route").unwrap(), Value::Null);
    assert_eq!(mac("02:00:00:00:00:0a").unwrap(), [2, 0, 0, 0, 0, 10]);
    assert!(mac("02:00:00:00:00").is_err());
}
