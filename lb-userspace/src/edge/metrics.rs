//! The state as Prometheus reads it: text format 0.0.4.
//!
//! The format is written here and not by the crate `prometheus-client`: that one keeps registries of long-lived metrics,
//! while every scrape here is a fresh reading of the maps, with services that come and go and a histogram that is already
//! counted. Through its collector each scrape would copy the reading, register and encode it; the format itself is a dozen
//! rules, which the tests check line by line.

use std::fmt::{Display, Write};

use crate::core::model::AdminState;
use crate::core::observed::Health;
use crate::core::view::{Backend, CHECK_BUCKETS, Service, Snapshot};

/// Content type of [`render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is known, a line a sample.
pub fn render(snapshot: &Snapshot) -> String {
    let mut page = Page::default();
    daemon(&mut page, snapshot);
    services(&mut page, &snapshot.services);
    backends(&mut page, &snapshot.services);
    checks(&mut page, snapshot);
    reasons(&mut page, snapshot);
    page.text
}

fn daemon(page: &mut Page, snapshot: &Snapshot) {
    let status = &snapshot.status;
    page.family(
        "lb_build_info",
        "gauge",
        "Version of the daemon and of the maps' layout; always 1.",
    );
    let abi = status.abi_version.to_string();
    page.sample("", &[("version", &status.version), ("abi_version", &abi)], 1);
    let mut single = |name, help, value: f64| {
        page.family(name, "gauge", help);
        page.sample("", &[], value);
    };
    single("lb_revision", "Revision of the desired state.", status.revision as f64);
    single(
        "lb_start_time_seconds",
        "When the daemon started, Unix time.",
        status.started_at as f64,
    );
    single(
        "lb_apply_duration_seconds",
        "How long the last change took to reach the maps.",
        snapshot.last_apply_seconds,
    );
    single(
        "lb_config_last_reload_successful",
        "Whether the configuration file was read without an error when it was last read.",
        f64::from(u8::from(status.config_last_load_successful)),
    );
    single(
        "lb_next_hop_unresolved",
        "Backends whose next hop is not known.",
        status.next_hops_unresolved as f64,
    );
    single(
        "lb_flow_table_entries",
        "Flows in the flow table.",
        status.flow_table_entries as f64,
    );
    single(
        "lb_flow_table_capacity",
        "Flows that the flow table can hold.",
        status.flow_table_capacity as f64,
    );
    single(
        "lb_slots_used",
        "Slots that the tables of all services take.",
        status.slots_used as f64,
    );
    single(
        "lb_slots_capacity",
        "Slots that there is room for.",
        status.slots_capacity as f64,
    );
}

fn services(page: &mut Page, services: &[Service]) {
    let mut family = |name, help, value: fn(&Service) -> u64| {
        page.family(name, "counter", help);
        for service in services {
            page.sample("", &[("service", &service.name)], value(service));
        }
    };
    family("lb_service_packets_total", "Packets from clients.", |service| {
        service.counters.packets
    });
    family("lb_service_bytes_total", "Bytes of packets from clients.", |service| {
        service.counters.bytes
    });
    family("lb_service_new_flows_total", "Flows that began.", |service| {
        service.counters.new_flows
    });
    family("lb_service_back_packets_total", "Packets to clients.", |service| {
        service.counters.back_packets
    });
    family(
        "lb_service_back_bytes_total",
        "Bytes of packets to clients.",
        |service| service.counters.back_bytes,
    );
    page.family(
        "lb_table_slots",
        "gauge",
        "Slots of the service's table by their state.",
    );
    for service in services {
        page.sample(
            "",
            &[("service", &service.name), ("state", "stable")],
            service.table_size,
        );
    }
}

fn backends(page: &mut Page, services: &[Service]) {
    let all = || {
        services
            .iter()
            .flat_map(|service| service.backends.iter().map(move |backend| (service, backend)))
    };
    let mut family = |name, kind, help, value: fn(&Service, &Backend) -> u64| {
        page.family(name, kind, help);
        for (service, backend) in all() {
            page.sample(
                "",
                &[("service", &service.name), ("backend", &backend.name)],
                value(service, backend),
            );
        }
    };
    family(
        "lb_backend_packets_total",
        "counter",
        "Packets sent to it.",
        |_, backend| backend.counters.packets,
    );
    family(
        "lb_backend_bytes_total",
        "counter",
        "Bytes of packets sent to it.",
        |_, backend| backend.counters.bytes,
    );
    family(
        "lb_backend_new_flows_total",
        "counter",
        "Flows that it got.",
        |_, backend| backend.counters.new_flows,
    );
    family(
        "lb_backend_up",
        "gauge",
        "Whether it is healthy; without a check it counts as healthy.",
        |service, backend| u64::from(counts_as_up(service, backend)),
    );
    family("lb_backend_weight", "gauge", "Weight that holds now.", |_, backend| {
        backend.weight.into()
    });
    family(
        "lb_backend_slots",
        "gauge",
        "Slots of the service's table that are its.",
        |_, backend| backend.slots.into(),
    );
    page.family(
        "lb_backend_state",
        "gauge",
        "1 for the state that the operator wants, 0 for the others.",
    );
    for (service, backend) in all() {
        for (state, name) in [
            (AdminState::Ready, "ready"),
            (AdminState::Drain, "drain"),
            (AdminState::Maint, "maint"),
        ] {
            let labels = [
                ("service", service.name.as_str()),
                ("backend", &backend.name),
                ("state", name),
            ];
            page.sample("", &labels, u8::from(backend.state == state));
        }
    }
}

fn counts_as_up(service: &Service, backend: &Backend) -> bool {
    match backend.health {
        Health::Up => true,
        Health::Down => false,
        Health::Unknown => service.check == "none",
    }
}

fn checks(page: &mut Page, snapshot: &Snapshot) {
    page.family("lb_health_checks_total", "counter", "Checks by their result.");
    for (service, backend, result, count) in &snapshot.checks {
        page.sample(
            "",
            &[("service", service), ("backend", backend), ("result", result)],
            count,
        );
    }
    page.family("lb_health_check_duration_seconds", "histogram", "How long checks took.");
    for (service, counts, sum) in &snapshot.check_durations {
        let mut total = 0;
        for (index, count) in counts.iter().enumerate() {
            total += count;
            let bound = CHECK_BUCKETS
                .get(index)
                .map_or_else(|| "+Inf".to_owned(), f64::to_string);
            page.sample("_bucket", &[("service", service), ("le", &bound)], total);
        }
        page.sample("_sum", &[("service", service)], sum);
        page.sample("_count", &[("service", service)], total);
    }
}

fn reasons(page: &mut Page, snapshot: &Snapshot) {
    let mut family = |name, verdict, help| {
        page.family(name, "counter", help);
        for reason in snapshot.reasons.iter().filter(|reason| reason.verdict == verdict) {
            page.sample("", &[("reason", &reason.reason)], reason.packets);
        }
    };
    family("lb_dropped_packets_total", "drop", "Packets dropped, by reason.");
    family(
        "lb_passed_packets_total",
        "pass",
        "Packets left to the kernel, by reason.",
    );
    family(
        "lb_answered_packets_total",
        "answer",
        "Packets whose sender got an answer, by reason.",
    );
}

/// The text as it grows: families, each with its samples.
#[derive(Default)]
struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    /// Begins a family. `help` is a sentence without a backslash or a line break.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }
    /// Adds a sample to the family; `suffix` is that of a histogram's parts.
    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let name = self.family;
        self.line(format_args!("{name}{suffix}{labels} {value}"));
    }
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("writing to a String cannot fail");
    }
}

/// The value of a label: backslash, quote and line break are escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}
