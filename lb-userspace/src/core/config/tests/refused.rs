//! Single values that are refused, and what is said about them.

use super::*;
use crate::core::model::{CheckKind, XdpMode};

#[test]
fn what_is_not_built_yet_is_refused_with_what_there_is() {
    let rows = [
        (
            "port = 80",
            "port = 80\naffinity = \"source\"",
            "affinity \"source\" is not built yet; the one there is is \"flow\"",
        ),
        (
            "port = 80",
            "port = 80\naffinity = { source_prefix_ipv4 = 24 }",
            "affinity by source prefix is not built yet; the one there is is \"flow\"",
        ),
        (
            "port = 80",
            "port = 80\nwhen_all_down = \"sorry\"",
            "when_all_down \"sorry\" is not built yet; give drop or use-all",
        ),
    ];
    for (old, new, message) in rows {
        assert_eq!(refused(&web_with(old, new)), [format!("service web: {message}")]);
    }
    let check = |fields| web_with("port = 80", &format!("port = 80\ncheck = {{ {fields} }}"));
    assert_eq!(
        refused(&check("type = \"https\"")),
        ["service web: check: check type \"https\" is not built yet; give none, tcp or http"]
    );
    assert_eq!(
        refused(&check("via = \"datapath\"")),
        ["service web: check: via \"datapath\" is not built yet; the one there is is \"direct\""]
    );
}

#[test]
fn each_bad_value_has_its_line() {
    let rows = [
        (
            "\"10.0.1.1\"",
            "\"10.0.0.300\"",
            "address \"10.0.0.300\" is neither an IPv4 nor an IPv6 address; write it like 10.0.1.2 or 2001:db8::2",
        ),
        (
            "\"10.0.1.1\"",
            "\"10.0.1.1:80\"",
            "address \"10.0.1.1:80\" has a port in it; give address \"10.0.1.1\" and port = 80",
        ),
        (
            "\"10.0.1.1\"",
            "\"224.0.0.1\"",
            "address 224.0.0.1 is a multicast address; give the address of one host, like 10.0.1.2 or 2001:db8::2",
        ),
        (
            "\"10.0.1.1\"",
            "\"127.0.0.1\"",
            "address 127.0.0.1 is a loopback address, which never leaves its host; give the address of one host, like 10.0.1.2 or 2001:db8::2",
        ),
        (
            "\"10.0.1.1\"",
            "\"0.0.0.0\"",
            "address 0.0.0.0 is unspecified; give the address of one host, like 10.0.1.2 or 2001:db8::2",
        ),
        (
            "\"10.0.1.1\"",
            "\"::\"",
            "address :: is unspecified; give the address of one host, like 10.0.1.2 or 2001:db8::2",
        ),
        (
            "\"10.0.1.1\"",
            "\"fe80::1\"",
            "address fe80::1 is a link-local address, which says nothing without its interface; give the address of one host, like 10.0.1.2 or 2001:db8::2",
        ),
        (
            "\"10.0.1.1\"",
            "\"ff02::1\"",
            "address ff02::1 is a multicast address; give the address of one host, like 10.0.1.2 or 2001:db8::2",
        ),
        (
            "\"10.0.1.1\"",
            "\"::ffff:10.0.1.1\"",
            "address ::ffff:10.0.1.1 is an IPv4 address in IPv6 clothes, which no packet has; give the address of one host, like 10.0.1.2 or 2001:db8::2",
        ),
        (
            "\"10.0.1.1\"",
            "\"2001:db8:1::\"",
            "address 2001:db8:1:: is that of any router of its network; give the address of one host, like 10.0.1.2 or 2001:db8::2",
        ),
        (
            "\"10.0.1.1\"",
            "\"[2001:db8::1]:80\"",
            "address \"[2001:db8::1]:80\" has a port in it; give address \"2001:db8::1\" and port = 80",
        ),
        (
            "\"10.0.1.1\"",
            "\"[2001:db8::1]\"",
            "address \"[2001:db8::1]\" is in brackets, which are for an address with a port; give address \"2001:db8::1\"",
        ),
        (
            "\"10.0.1.1\"",
            "\"10.0.1.1\"\nport = 0",
            "port 0 is not a port; give 1 to 65535",
        ),
        (
            "\"10.0.1.1\"",
            "\"10.0.1.1\"\nweight = -5",
            "weight -5 is negative; give 0 to 65535 (0: no new flows)",
        ),
        (
            "\"10.0.1.1\"",
            "\"10.0.1.1\"\nweight = 70000",
            "weight 70000 is too large; give 0 to 65535 (0: no new flows)",
        ),
        (
            "\"10.0.1.1\"",
            "\"10.0.1.1\"\nstate = \"drian\"",
            "there is no state \"drian\"; did you mean \"drain\"? give ready, drain or maint",
        ),
        (
            "\"10.0.1.1\"",
            "\"10.0.1.1\"\nnext_hop = \"ff:ff:ff:ff:ff:ff\"",
            "next_hop ff:ff:ff:ff:ff:ff is not the MAC address of one host; give that of the router",
        ),
        (
            "\"10.0.1.1\"",
            "\"10.0.1.1\"\nport = \"80\"",
            "port must be a whole number, not text; write it without quotes",
        ),
    ];
    for (old, new, message) in rows {
        assert_eq!(refused(&web_with(old, new)), [format!("backend web/web-1: {message}")]);
    }
}

#[test]
fn names_are_fit_for_the_command_line() {
    for name in ["", "a/b", "a:b", "a b", "-a", "a\\n"] {
        let text = web_with("name = \"web\"", &format!("name = \"{name}\""));
        assert_eq!(refused(&text).len(), 1, "{name:?}");
    }
}

#[test]
fn a_table_has_a_prime_number_of_slots() {
    let size = |size: i64| web_with("port = 80", &format!("port = 80\ntable_size = {size}"));
    for good in [17, 251, 65_537] {
        accepted(&size(good));
    }
    assert_eq!(
        refused(&size(65_536)),
        ["service web: table_size 65536 is not a prime number; the nearest primes are 65521 and 65537"]
    );
    assert_eq!(
        refused(&size(13)),
        ["service web: table_size 13 is too small; give 17 to 8388593"]
    );
    let help = "set node.limits.slots = 8388593 or more, or a smaller table_size";
    let what = "8388593 slots in all tables together are more than node.limits.slots = 4194368";
    assert_eq!(refused(&size(8_388_593)), [format!("{what}; {help}")]);
    accepted(&format!("node.limits.slots = 8388593\n{}", size(8_388_593)));
}

#[test]
fn a_check_is_looked_at_as_a_whole() {
    let check = |fields: &str| web_with("port = 80", &format!("port = 80\ncheck = {{ {fields} }}"));
    let rows = [
        (
            "interval = \"2\"",
            "interval \"2\" is not a duration; write a number and its unit, like \"500ms\", \"2s\", \"1m30s\" or \"2h4m\"",
        ),
        ("interval = \"5ms\"", "interval \"5ms\" is too short; give 10ms to 1h"),
        (
            "interval = 2",
            "interval must be a duration in quotes, like \"2s\" or \"500ms\", not a number",
        ),
        (
            "fast_interval = \"3s\"",
            "fast_interval 3s is longer than interval 2s; give 2s at most",
        ),
        ("rise = 0", "rise 0 is too small; give 1 to 1000"),
        (
            "jitter = 1.5",
            "jitter 1.5 is not a share of the interval; give 0 to 1, like 0.2",
        ),
        (
            "type = \"http\", path = \"up\"",
            "path \"up\" is not the path of a request; begin it with '/', without spaces",
        ),
        (
            "type = \"http\", expect = { status = \"abc\" }",
            "status \"abc\" is neither a status code nor a range of them; write it like \"200-299\" or 204, within 100 to 999",
        ),
        (
            "healthy_threshold = 2",
            "unknown key \"healthy_threshold\"; did you mean \"rise\"?",
        ),
    ];
    for (fields, message) in rows {
        let [error] = &refused(&check(fields))[..] else {
            panic!("{fields}")
        };
        assert!(error.ends_with(message), "{error}");
    }
    assert_eq!(
        warnings(&check("timeout = \"3s\"")),
        ["service web: check: timeout 3s is longer than interval 2s, so checks come late; give 2s at most"]
    );
    assert_eq!(
        warnings(&check("path = \"/up\"")),
        ["service web: check: path means nothing to a check of type \"tcp\"; set type = \"http\", or remove it"]
    );
    let status = check("type = \"http\", expect = { status = [204, \"300-399\"] }");
    let CheckKind::Http { status, .. } = &accepted(&status).model.services[0].check.kind else {
        panic!()
    };
    assert_eq!(status, &[(204, 204), (300, 399)]);
    assert_eq!(
        accepted(&check("type = \"none\"")).model.services[0].check.kind,
        CheckKind::None
    );
}

#[test]
fn a_mistake_in_the_defaults_is_told_once() {
    let text = format!(
        "[defaults]\ncheck = {{ rise = 0 }}\n{WEB}{}",
        WEB.replace("web", "shop").replace(".10", ".11")
    );
    assert_eq!(refused(&text), ["defaults.check: rise 0 is too small; give 1 to 1000"]);
}

#[test]
fn the_node_is_checked() {
    let rows = [
        (
            "interfaces = [\"eth0\", \"eth0=generic\"]",
            "node: interface eth0 is given twice; remove one of the two",
        ),
        (
            "interfaces = [\"eth0=offload\"]",
            "node: XDP mode \"offload\" is not built yet; give native, generic or auto",
        ),
        (
            "interfaces = [\"a-name-that-is-too-long\"]",
            "node: \"a-name-that-is-too-long\" is not the name of an interface; give a name of 1 to 15 characters, like \"eth0\"; lb interfaces lists them",
        ),
        (
            "hash_key = \"abc\"",
            "node: hash_key is not a key; give 32 hexadecimal digits, the same on every balancer of a cluster",
        ),
        (
            "flow_timeouts = { udp = \"13h\" }",
            "node.flow_timeouts: udp \"13h\" is too long; give 1s to 12h",
        ),
        (
            "source = { ipv4 = [\"10.0.0.1\", \"10.0.0.1\"] }",
            "node.source: address 10.0.0.1 is given twice; remove one of the two",
        ),
        (
            "source = { ipv6 = \"10.0.0.1\" }",
            "node.source: address 10.0.0.1 is not ipv6; give it as ipv4",
        ),
        (
            "source = { ipv4 = \"2001:db8::1\" }",
            "node.source: address 2001:db8::1 is not ipv4; give it as ipv6",
        ),
        (
            "limits = { sources = 0 }",
            "node.limits: sources 0 is too small; give 1 to 63",
        ),
        (
            "limits = { sources = 64 }",
            "node.limits: sources 64 is too large; give 1 to 63",
        ),
    ];
    for (line, message) in rows {
        assert_eq!(refused(&format!("[node]\n{line}\n")), [message]);
    }
    let node = "[node]\ninterfaces = [\"eth0\", \"eth1=auto\"]\nhash_key = \"000102030405060708090a0b0c0d0e0f\"\n";
    let node = accepted(node).model.node;
    assert_eq!(
        node.interfaces.iter().map(|i| i.xdp).collect::<Vec<_>>(),
        [XdpMode::Native, XdpMode::Auto]
    );
    assert_eq!(node.hash_key, [0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f]);
    assert_eq!(
        refused("version = 2"),
        ["version 2 is not known; this lb reads version 1"]
    );
    assert_eq!(refused("metrics.listen = \"9747\"").len(), 1);
    assert_eq!(refused("api.socket = \"lb.sock\"").len(), 1);
}
