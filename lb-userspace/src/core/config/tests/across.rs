//! Parts of a document that do not fit together.

use super::*;

#[test]
fn parts_of_a_document_do_not_contradict_each_other() {
    let backend = |fields: &str| format!("{WEB}[[service.backend]]\n{fields}\n");
    let service = |fields: &str| format!("{WEB}[[service]]\n{fields}\n");
    let rows = [
        (
            backend("name = \"web-1\"\naddress = \"10.0.1.2\""),
            "backend web/web-1: the service has a backend of this name already; give each backend a name of its own",
        ),
        (
            backend("name = \"b\"\naddress = \"10.0.1.1\""),
            "backend web/b: 10.0.1.1:80 is backend web-1 already; remove one of them, and give the other more weight",
        ),
        (
            backend("address = \"192.0.2.10\""),
            "backend web/192.0.2.10: 192.0.2.10:80 is the VIP itself; give the address of a server",
        ),
        (
            backend("name = \"10.0.1.9\"\naddress = \"10.0.1.2\""),
            "backend web/10.0.1.9: its name is an address, but not its own; give it another name, or none",
        ),
        (
            service("name = \"web\"\naddress = \"192.0.2.11\"\nport = 80"),
            "service web: another service has this name already; rename one of them",
        ),
        (
            service("name = \"shop\"\naddress = \"192.0.2.10\"\nport = 80"),
            "service shop: 192.0.2.10:80/tcp is taken by service web; use another port, or add the backends there",
        ),
        (
            format!(
                "node.limits.services = 1\n{}",
                service("name = \"shop\"\naddress = \"192.0.2.11\"\nport = 80")
            ),
            "2 services are more than node.limits.services = 1; set node.limits.services = 2 or more",
        ),
        (
            format!("node.limits.backends = 1\n{}", backend("address = \"10.0.1.2\"")),
            "2 backends are more than node.limits.backends = 1; set node.limits.backends = 2 or more",
        ),
    ];
    for (text, message) in rows {
        assert_eq!(refused(&text), [message]);
    }
    accepted(&backend("name = \"b\"\naddress = \"10.0.1.1\"\nport = 81"));
    accepted(&service(
        "name = \"shop\"\naddress = \"192.0.2.10\"\nport = 80\nprotocol = \"udp\"",
    ));
}

#[test]
fn a_nat_backend_belongs_to_one_vip() {
    let nat = WEB.replace("port = 80", "port = 80\nmode = \"nat\"");
    let two = format!(
        "{nat}{}",
        nat.replace("web", "shop").replace("192.0.2.10", "192.0.2.11")
    );
    assert_eq!(
        refused(&two),
        [
            "backend shop/shop-1: 10.0.1.1:80 is backend web/web-1 already, and in mode nat the way back could not tell them \
         apart; use another port, or mode fullnat"
        ]
    );
    accepted(&two.replacen("mode = \"nat\"", "mode = \"fullnat\"", 1));
}

#[test]
fn a_port_for_tunnels_is_of_mode_gue() {
    let with = |mode: &str| {
        let fields = format!("port = 80\nmode = \"{mode}\"\ntunnel_port = 5555");
        web_with("port = 80", &fields)
    };
    assert_eq!(accepted(&with("gue")).model.services[0].tunnel_port, 5555);
    assert!(warnings(&with("gue")).is_empty());
    assert_eq!(
        warnings(&with("ipip")),
        ["service web: only mode gue has a port that tunnels go to; leave it out, or use mode gue"]
    );
    assert_eq!(
        refused(&with("gue").replacen("5555", "0", 1)),
        ["service web: tunnel_port 0 is too small; give 1 to 65535"]
    );
}

#[test]
fn outer_headers_come_from_a_prefix_of_each_family() {
    let with = |source: &str| format!("version = 1\n[node]\nipip_source = {{ {source} }}\n");
    let both = accepted(&with("ipv4 = \"10.255.0.0/20\", ipv6 = \"2001:db8:7::/64\"")).model;
    let found: Vec<_> = both
        .node
        .ipip_source
        .iter()
        .map(|spread| (spread.length, spread.mask()))
        .collect();
    assert_eq!(found, [(20, 0x0fff), (64, 0xffff)]);
    for (source, says) in [
        (
            "ipv4 = \"10.255.0.0\"",
            "node.ipip_source: \"10.255.0.0\" is no prefix; give one like 10.255.0.0/16",
        ),
        (
            "ipv4 = \"10.255.0.1/20\"",
            "node.ipip_source: prefix 10.255.0.1/20 has bits beyond its length; write 10.255.0.0/20",
        ),
        (
            "ipv4 = \"10.255.0.0/33\"",
            "node.ipip_source: prefix 10.255.0.0/33 is longer than an address; give one like 10.255.0.0/16",
        ),
        (
            "ipv4 = \"10.255.0.1/32\"",
            "node.ipip_source: prefix 10.255.0.1/32 is one address, over which nothing can be spread; \
             set node.source to it, or give a shorter prefix",
        ),
        (
            "ipv6 = \"10.255.0.0/20\"",
            "node.ipip_source: prefix 10.255.0.0/20 is not ipv6; give one like 2001:db8:0:7::/64",
        ),
        (
            "ipv4 = \"0.0.0.0/4\"",
            "node.ipip_source: prefix 0.0.0.0/4 is not one network's; give one like 10.255.0.0/16",
        ),
    ] {
        assert_eq!(refused(&with(source)), [says]);
    }
}

#[test]
fn prefixes_and_other_protocols_are_for_modes_that_leave_packets_alone() {
    let with = |fields: &str| web_with("address = \"192.0.2.10\"\nport = 80", fields);
    let checked = "mode = \"l2\"\ncheck = { type = \"tcp\", port = 80 }";
    for (fields, shown) in [
        ("address = \"192.0.2.0/24\"\nport = 80", "192.0.2.0/24:80/tcp"),
        ("address = \"192.0.2.0/24\"", "192.0.2.0/24:any/tcp"),
        ("address = \"2001:db8::/64\"\nport = 80", "[2001:db8::]/64:80/tcp"),
        ("address = \"192.0.2.10/32\"\nport = 80", "192.0.2.10:80/tcp"),
        (
            "address = \"192.0.2.10\"\nport = 80\nprotocol = \"sctp\"",
            "192.0.2.10:80/sctp",
        ),
        ("address = \"192.0.2.10\"\nprotocol = \"any\"", "192.0.2.10:any/any"),
        (
            "address = \"10.64.0.0/10\"\nport = \"any\"\nprotocol = \"any\"",
            "10.64.0.0/10:any/any",
        ),
    ] {
        let model = accepted(&with(&format!("{fields}\n{checked}"))).model;
        assert_eq!(model.services[0].vip.to_string(), shown);
    }
    for (fields, says) in [
        (
            "address = \"192.0.2.0/24\"\nport = 80\nmode = \"nat\"",
            "192.0.2.0/24:80/tcp has several addresses, and mode nat sends answers from one; \
             give one address, or use mode l2, ipip or gue",
        ),
        (
            "address = \"192.0.2.10\"\nport = 80\nprotocol = \"sctp\"\nmode = \"fullnat\"",
            "192.0.2.10:80/sctp has a checksum over the whole packet and addresses in chunks, which mode fullnat cannot translate; \
             use mode l2, ipip or gue",
        ),
        (
            "address = \"192.0.2.10\"\nprotocol = \"any\"\nmode = \"nat\"\ncheck.port = 80",
            "192.0.2.10:any/any takes every protocol, and mode nat translates tcp and udp alone; \
             give one of those, or use mode l2, ipip or gue",
        ),
        (
            "address = \"192.0.2.10\"\nport = 80\nprotocol = \"any\"",
            "a service for any protocol has no port, as most protocols have none; \
             leave the port out, or make a service each for tcp, udp and sctp",
        ),
        (
            "address = \"192.0.2.10/24\"\nport = 80",
            "prefix 192.0.2.10/24 has bits beyond its length; write 192.0.2.0/24",
        ),
        (
            "address = \"10.0.0.0/7\"\nport = 80",
            "prefix 10.0.0.0/7 has no length from 8 to 32; give one like 192.0.2.0/24 or 2001:db8:0:7::/64",
        ),
        (
            "address = \"fe80::/64\"\nport = 80",
            "address fe80:: is a link-local address, which says nothing without its interface; give a prefix of addresses of hosts",
        ),
    ] {
        assert_eq!(refused(&with(fields)), [format!("service web: {says}")]);
    }
    let within = with("address = \"10.0.1.0/24\"\nport = 80\nmode = \"l2\"");
    assert_eq!(
        refused(&within),
        ["backend web/web-1: 10.0.1.1 is the VIP itself; give the address of a server"]
    );
}

#[test]
fn several_ports_are_for_modes_that_leave_them() {
    let with = |fields: &str| web_with("port = 80", fields);
    let none = "check.type = \"none\"\nmode = \"l2\"";
    for (port, shown) in [
        ("port = \"8000-8099\"", "192.0.2.10:8000-8099/tcp"),
        ("port = \"any\"", "192.0.2.10:any/tcp"),
        ("", "192.0.2.10:any/tcp"),
        ("port = 80", "192.0.2.10:80/tcp"),
    ] {
        let model = accepted(&with(&format!("{port}\n{none}"))).model;
        assert_eq!(model.services[0].vip.to_string(), shown);
    }
    assert_eq!(
        refused(&with("port = \"8000-8099\"\nmode = \"nat\"\ncheck.port = 80")),
        [
            "service web: 192.0.2.10:8000-8099/tcp has several ports, and mode nat sends answers from one; \
          give one port, or use mode l2, ipip or gue"
        ]
    );
    assert_eq!(
        refused(&with("port = \"8000-8099\"\nmode = \"gue\"")),
        [
            "backend web/web-1: the service has several ports, and nothing says which one to check; \
          give it a port, or give check.port, or check = { type = \"none\" }"
        ]
    );
    for wrong in ["9-8", "0-5", "7-7"] {
        assert_eq!(
            refused(&with(&format!("port = \"{wrong}\"\n{none}"))),
            [format!(
                "service web: port {wrong:?} is no range; give the first and the last port, like \"8000-8099\""
            )]
        );
    }
    let two = |port: &str| {
        let first = with(&format!("port = \"8000-8099\"\n{none}"));
        let second = format!("[[service]]\nname = \"other\"\naddress = \"192.0.2.10\"\nport = {port}\n{none}");
        format!("{first}\n{second}\n")
    };
    for beside in ["8050", "\"any\"", "\"8100-8200\""] {
        accepted(&two(beside));
    }
    assert_eq!(
        refused(&two("\"8099-8200\"")),
        [
            "service other: 192.0.2.10:8099-8200/tcp has ports of 192.0.2.10:8000-8099/tcp, which is service web; \
          give ranges that have no port in common; one port alone may lie in a range"
        ]
    );
}

#[test]
fn segments_are_of_tcp_and_not_tiny() {
    let with = |fields: &str| web_with("port = 80", &format!("port = 80\n{fields}"));
    assert_eq!(
        accepted(&with("mss_clamp = 1360")).model.services[0].mss_clamp,
        Some(1360)
    );
    assert_eq!(accepted(&with("")).model.services[0].mss_clamp, None);
    assert_eq!(
        refused(&with("mss_clamp = 100")),
        ["service web: mss_clamp 100 is too small; give 536 to 65475"]
    );
    let udp = with("protocol = \"udp\"\nmss_clamp = 1360\ncheck.type = \"none\"");
    assert_eq!(warnings(&udp), ["service web: only TCP has segments; leave it out"]);
}

#[test]
fn a_udp_service_is_not_checked_by_tcp_in_silence() {
    let udp = web_with("port = 80", "port = 53\nprotocol = \"udp\"");
    assert_eq!(warnings(&udp).len(), 1);
    assert_eq!(
        warnings(&udp.replacen("port = 53", "port = 53\ncheck.type = \"tcp\"", 1)).len(),
        0
    );
}
