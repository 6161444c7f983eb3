//! What people are shown.

use std::net::IpAddr;

use lb_common::abi::{ABI_VERSION, Counters};
use lb_common::reason::{Reason, Verdict};

use crate::core::config;
use crate::core::edit;
use crate::core::image::BackendKey;
use crate::core::model::{self, CheckKind, Mode, WhenAllDown, mode_name};
use crate::core::observed::{Health, HopState};
use crate::core::pool::Standing;
use crate::core::view::{self, Problem};
use crate::edge::api::Request;
use crate::edge::dataplane::Traffic;

use super::owner::Owner;

/// What the maps say of a backend.
#[derive(Default)]
struct InMaps {
    /// 0, which is no backend's: it is not in them.
    id: u32,
    slots: u32,
    counters: Counters,
}

impl Owner {
    pub fn on_request(&mut self, request: Request) {
        let revision = self.revision();
        match request {
            Request::Status(reply) => reply.send(revision, self.status()),
            Request::Services(reply) => reply.send(revision, self.services()),
            Request::Service { name, reply } => reply.send(revision, self.service_named(&name)),
            Request::Interfaces(reply) => reply.send(revision, self.interfaces()),
            Request::Reasons(reply) => reply.send(revision, self.reasons()),
            Request::Config(reply) => reply.send(revision, config::to_toml(&self.parts.document.file)),
            Request::Snapshot(reply) => reply.send(revision, self.snapshot()),
            Request::Edit {
                edit,
                who,
                dry_run,
                if_revision,
                reply,
            } => {
                let result = self.edit(&edit, who, dry_run, if_revision);
                reply.send(self.revision(), result);
            }
        }
    }

    fn status(&self) -> view::Status {
        let services = self.services();
        let backends = || services.iter().flat_map(|service| &service.backends);
        let with = |health: Health| backends().filter(|backend| backend.health == health).count();
        let dropped = self
            .reasons()
            .iter()
            .filter(|reason| reason.verdict == "drop")
            .map(|reason| reason.packets)
            .sum();
        let limits = self.parts.image.limits;
        view::Status {
            version: env!("CARGO_PKG_VERSION").into(),
            abi_version: ABI_VERSION,
            name: self.parts.model.node.name.clone(),
            revision: self.revision(),
            started_at: self.started,
            data_plane_since: self.parts.dataplane.meta().created,
            data_plane: if self.parts.dataplane.adopted() {
                "adopted"
            } else {
                "created"
            }
            .into(),
            interfaces: self
                .interfaces()
                .into_iter()
                .filter(|interface| interface.attached.is_some())
                .collect(),
            services: services.len(),
            backends: backends().count(),
            backends_up: with(Health::Up),
            backends_down: with(Health::Down),
            next_hops_unresolved: backends().filter(|backend| !backend.next_hop_resolved).count(),
            slots_used: self.parts.image.slots_used(),
            slots_capacity: limits.slots as u64,
            flow_table_entries: self.sweep.flows,
            flow_table_capacity: limits.flows as u64,
            dropped_packets: dropped,
            config_last_load_successful: self.parts.config_ok,
            warnings: self.warnings(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.parts.warnings.clone();
        warnings.extend(self.failures.values().cloned());
        warnings.extend(self.unattached.values().map(ToString::to_string));
        if self.parts.dataplane.attached().is_empty() {
            warnings.push("attached to no interface: no packet is balanced; see lb attach".into());
        }
        warnings.extend(self.forwarding_warning());
        warnings
    }

    /// The way back of the NAT modes leaves a packet to the kernel while the client's neighbour is not known.
    fn forwarding_warning(&self) -> Option<String> {
        let services = self.parts.model.services.iter();
        let mut back = services.filter(|service| service.mode.translates());
        back.find_map(|service| {
            let key = match service.vip.address {
                IpAddr::V4(_) => "net.ipv4.ip_forward",
                IpAddr::V6(_) => "net.ipv6.conf.all.forwarding",
            };
            let path = format!("/proc/sys/{}", key.replace('.', "/"));
            let forwards = std::fs::read_to_string(path).map_or(true, |text| text.trim() != "0");
            (!forwards).then(|| {
                format!(
                    "service {}: mode {} with {key} = 0: an answer to a client whose neighbour is not known yet is lost (counted \
                     as kernel_routes); sysctl -w {key}=1",
                    service.name,
                    mode_name(service.mode)
                )
            })
        })
    }

    fn services(&self) -> Vec<view::Service> {
        let traffic = self.traffic();
        let services = self.parts.model.services.iter();
        services.map(|service| self.service(service, &traffic)).collect()
    }

    /// What was counted; nothing where the kernel does not say.
    fn traffic(&self) -> Traffic {
        self.parts.dataplane.traffic(&self.parts.image).unwrap_or_default()
    }

    fn service_named(&self, name: &str) -> Result<view::Service, Problem> {
        edit::find_service(&self.parts.model, name)
            .map(|service| self.service(service, &self.traffic()))
            .map_err(|refusal| Problem::not_found(refusal.to_string()))
    }

    fn service(&self, service: &model::Service, traffic: &Traffic) -> view::Service {
        let (hops, standings) = self.standings(service);
        let placed = self.parts.image.services.get(&service.vip);
        let mut slots = std::collections::HashMap::new();
        for owner in placed.iter().flat_map(|placed| &placed.owners) {
            *slots.entry(*owner).or_insert(0u32) += 1;
        }
        let placed_as = |backend: &model::Backend| {
            let (address, port) = (backend.address, backend.port);
            let there = placed.and_then(|placed| placed.backends.get(&BackendKey { address, port }));
            there.map(|there| InMaps {
                id: there.id,
                slots: slots.get(&there.id).copied().unwrap_or(0),
                counters: traffic.of_backend(there.id),
            })
        };
        let rows = service.backends.iter().zip(hops.iter().zip(&standings));
        let backends: Vec<view::Backend> = rows
            .map(|(backend, (hop, standing))| self.backend(service, backend, placed_as(backend), hop, standing))
            .collect();
        let takes = backends.iter().filter(|backend| backend.out_because.is_none()).count();
        // A backend that waits for its first check is not in yet either.
        let is_checked = service.check.kind != CheckKind::None;
        let is_out = |backend: &&view::Backend| match backend.health {
            Health::Up => false,
            Health::Down => true,
            Health::Unknown => is_checked && backend.state != model::AdminState::Maint,
        };
        let down = backends.iter().filter(is_out).count();
        let state = match (takes, down) {
            (0, _) => "down",
            (_, 0) => "ok",
            _ => "degraded",
        };
        let counters = placed.map(|placed| traffic.of_service(placed.id)).unwrap_or_default();
        view::Service {
            name: service.name.clone(),
            vip: service.vip.to_string(),
            mode: mode_name(service.mode).into(),
            table_size: service.table_size,
            when_all_down: when_all_down_name(service.when_all_down).into(),
            check: check_text(&service.check),
            state: state.into(),
            counters: view::ServiceCounters {
                packets: counters.packets,
                bytes: counters.bytes,
                new_flows: counters.new_flows,
                back_packets: counters.back_packets,
                back_bytes: counters.back_bytes,
            },
            backends,
        }
    }

    fn backend(
        &self,
        service: &model::Service,
        backend: &model::Backend,
        placed: Option<InMaps>,
        hop: &Option<HopState>,
        standing: &Standing,
    ) -> view::Backend {
        let InMaps { id, slots, counters } = placed.unwrap_or_default();
        let checked = self.observed.of(&service.name, &backend.name);
        let flows = self.sweep.by_backend.get(&id).copied().unwrap_or(0);
        view::Backend {
            name: backend.name.clone(),
            address: view::backend_address(backend.address, backend.port),
            weight: backend.weight,
            configured_weight: backend.configured_weight,
            priority: backend.priority,
            state: backend.state,
            set_by: backend.set_by.clone(),
            health: checked.map_or(Health::Unknown, |checked| checked.health),
            health_since: checked.and_then(|checked| checked.since),
            last_check: checked.and_then(|checked| checked.last.clone()),
            slots,
            out_because: standing.out_because.clone(),
            next_hop: self.hop_text(hop),
            next_hop_resolved: matches!(hop, Some(Ok(_))),
            counters: view::BackendCounters {
                packets: counters.packets,
                bytes: counters.bytes,
                new_flows: counters.new_flows,
            },
            flows: (service.mode == Mode::Fullnat).then_some(flows),
        }
    }

    fn hop_text(&self, hop: &Option<HopState>) -> String {
        match hop {
            None => "not looked up yet".into(),
            Some(Err(why)) => why.clone(),
            Some(Ok(hop)) => {
                let link = self.observed.links.iter().find(|link| link.index == hop.egress);
                let name = link.map_or_else(|| format!("interface {}", hop.egress), |link| link.name.clone());
                let vlans = hop.tags.ids().into_iter().filter(|id| *id != 0);
                let vlans: String = vlans.map(|id| format!(" VLAN {id}")).collect();
                format!("{} via {name}{vlans}", view::mac_text(hop.destination_mac))
            }
        }
    }

    fn interfaces(&self) -> Vec<view::Interface> {
        let attached = self.parts.dataplane.attached();
        let of = |index: u32| {
            attached
                .iter()
                .find(|attached| attached.index == index)
                .map(|attached| attached.xdp)
        };
        let own = self.parts.dataplane.program_id();
        self.observed
            .links
            .iter()
            .map(|link| view::Interface {
                name: link.name.clone(),
                index: link.index,
                mac: view::mac_text(link.mac),
                mtu_bytes: link.mtu,
                kind: link.kind.clone(),
                up: link.up,
                addresses: link
                    .addresses
                    .iter()
                    .map(|(address, length)| format!("{address}/{length}"))
                    .collect(),
                attached: of(link.index),
                other_program: link
                    .xdp_program
                    .filter(|program| of(link.index).is_none() && Some(*program) != own),
            })
            .collect()
    }

    fn reasons(&self) -> Vec<view::ReasonCount> {
        let counts = self.parts.dataplane.reasons().unwrap_or_default();
        Reason::ALL
            .iter()
            .map(|reason| view::ReasonCount {
                reason: reason.name().into(),
                verdict: match reason.verdict() {
                    Verdict::Pass => "pass",
                    Verdict::Drop => "drop",
                    Verdict::Answer => "answer",
                }
                .into(),
                meaning: reason.meaning().trim().into(),
                packets: counts.get(*reason as usize).copied().unwrap_or(0),
            })
            .collect()
    }

    fn snapshot(&self) -> view::Snapshot {
        let mut checks: Vec<(String, String, String, u64)> = self
            .observed
            .checks
            .iter()
            .map(|((service, backend, code), count)| (service.clone(), backend.clone(), code.clone(), *count))
            .collect();
        checks.sort();
        let mut durations: Vec<(String, Vec<u64>, f64)> = self
            .observed
            .durations
            .iter()
            .map(|(service, histogram)| (service.clone(), histogram.buckets.to_vec(), histogram.sum_seconds))
            .collect();
        durations.sort_by(|a, b| a.0.cmp(&b.0));
        view::Snapshot {
            status: self.status(),
            services: self.services(),
            reasons: self.reasons(),
            checks,
            check_durations: durations,
            last_apply_seconds: self.last_apply.as_secs_f64(),
        }
    }
}

fn when_all_down_name(when: WhenAllDown) -> &'static str {
    match when {
        WhenAllDown::Drop => "drop",
        WhenAllDown::UseAll => "use-all",
    }
}

fn check_text(check: &model::Check) -> String {
    let kind = match &check.kind {
        CheckKind::None => return "none".into(),
        CheckKind::Tcp => "tcp".into(),
        CheckKind::Http { path, .. } => format!("http {path}"),
    };
    format!(
        "{kind} every {}, rise {}, fall {}",
        config::show_duration(check.interval),
        check.rise,
        check.fall
    )
}
