//! A state to look at.

use std::time::Duration;

use lb_userspace::core::model::{AdminState, SetBy, XdpMode};
use lb_userspace::core::observed::{CheckCode, CheckResult, Health};
use lb_userspace::core::view::*;

/// The time at which the tests look, Unix time in seconds.
pub const NOW: u64 = 1_800_000_000;
pub const REVISION: u64 = 41;

pub fn interface() -> Interface {
    Interface {
        name: "eth0".to_owned(),
        index: 2,
        mac: "02:00:00:00:00:02".to_owned(),
        mtu_bytes: 1500,
        kind: "veth".to_owned(),
        up: true,
        addresses: vec!["10.0.0.11/24".to_owned()],
        attached: Some(XdpMode::Native),
        other_program: None,
    }
}

pub fn interfaces() -> Vec<Interface> {
    let other = Interface {
        name: "eth1".to_owned(),
        index: 3,
        attached: None,
        other_program: Some(7),
        ..interface()
    };
    let loopback = Interface {
        name: "lo".to_owned(),
        index: 1,
        mac: "00:00:00:00:00:00".to_owned(),
        mtu_bytes: 65536,
        kind: String::new(),
        up: false,
        addresses: Vec::new(),
        attached: None,
        other_program: None,
    };
    vec![interface(), other, loopback]
}

pub fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        abi_version: 1,
        name: Some("lb1".to_owned()),
        revision: REVISION,
        started_at: NOW - 3700,
        data_plane_since: NOW - 90_061,
        data_plane: "adopted".to_owned(),
        interfaces: vec![interface()],
        services: 1,
        backends: 2,
        backends_up: 1,
        backends_down: 0,
        next_hops_unresolved: 1,
        slots_used: 65_537,
        slots_capacity: 1_048_576,
        flow_table_entries: 214,
        flow_table_capacity: 1_000_000,
        dropped_packets: 12,
        config_last_load_successful: true,
        warnings: vec!["eth0 is a veth: its peer needs an XDP program".to_owned()],
    }
}

fn backend(name: &str, address: &str) -> Backend {
    Backend {
        name: name.to_owned(),
        address: address.to_owned(),
        weight: 100,
        configured_weight: 100,
        priority: 0,
        state: AdminState::Ready,
        set_by: None,
        health: Health::Up,
        health_since: Some(NOW - 178),
        last_check: Some(LastCheck {
            result: CheckResult {
                code: CheckCode::L7OK,
                detail: "status 200".to_owned(),
                duration: Duration::from_micros(1800),
            },
            at: NOW - 1,
        }),
        slots: 65_537,
        out_because: None,
        next_hop: "02:00:00:00:00:01 via eth0".to_owned(),
        next_hop_resolved: true,
        counters: BackendCounters {
            packets: 1_234_567,
            bytes: 310_400_000,
            new_flows: 4096,
        },
        flows: Some(214),
    }
}

pub fn service() -> Service {
    let out = Backend {
        weight: 50,
        priority: 1,
        state: AdminState::Maint,
        set_by: Some(SetBy {
            who: "anna".to_owned(),
            at: NOW - 120,
        }),
        health: Health::Unknown,
        health_since: None,
        last_check: None,
        slots: 0,
        out_because: Some("in maintenance".to_owned()),
        next_hop: "no route to 10.0.1.2".to_owned(),
        next_hop_resolved: false,
        counters: BackendCounters::default(),
        flows: None,
        ..backend("web-2", "10.0.1.2:80")
    };
    Service {
        name: "web".to_owned(),
        vip: "192.0.2.10:80/tcp".to_owned(),
        mode: "fullnat".to_owned(),
        table_size: 65_537,
        when_all_down: "drop".to_owned(),
        check: "http every 2s".to_owned(),
        state: "ok".to_owned(),
        counters: ServiceCounters {
            packets: 1_234_567,
            bytes: 310_400_000,
            new_flows: 4096,
            back_packets: 999_960,
            back_bytes: 512,
        },
        backends: vec![backend("web-1", "10.0.1.1:80"), out],
    }
}

pub fn reasons() -> Vec<ReasonCount> {
    let reason = |reason: &str, verdict: &str, packets| ReasonCount {
        reason: reason.to_owned(),
        verdict: verdict.to_owned(),
        meaning: format!("The meaning of {reason}."),
        packets,
    };
    vec![
        reason("no_service", "pass", 99_000),
        reason("bad_length", "drop", 0),
        reason("no_backend", "drop", 12),
    ]
}

pub const CONFIG: &str = "version = 1\n\n[[service]]\nname = \"web\"\naddress = \"192.0.2.10\"\nport = 80\n";

pub fn snapshot() -> Snapshot {
    Snapshot {
        status: status(),
        services: vec![service()],
        reasons: reasons(),
        checks: vec![
            ("web".to_owned(), "web-1".to_owned(), "L7OK".to_owned(), 17),
            ("web".to_owned(), "web-1".to_owned(), "L4TOUT".to_owned(), 1),
        ],
        check_durations: vec![("web".to_owned(), vec![0, 3, 14, 0, 0, 0, 0, 0, 0, 0, 1], 7.0315)],
        last_apply_seconds: 0.0021,
    }
}
