//! What is known of each backend and of the network, as it was last said.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::core::image::{BackendKey, Image};
use crate::core::model::{AdminState, Backend, Check, Model};
use crate::core::observed::{CheckReport, Health, HopState, HopTarget, ResolvedHop, RouteHop};
use crate::core::pool::Observation;
use crate::core::prefix::Prefix;
use crate::core::view::{CHECK_BUCKETS, LastCheck};
use crate::edge::net::Link;
use crate::edge::probe::ProbeTarget;

/// Unix time in seconds.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Everything observed.
#[derive(Default)]
pub struct Observations {
    /// By service and backend.
    backends: HashMap<(String, String), Checked>,
    hops: HashMap<HopTarget, HopState>,
    /// The last next hop that was good: kept for old flows when none is known any more.
    good: HashMap<HopTarget, ResolvedHop>,
    pub links: Vec<Link>,
    /// The mirror of the routes to clients.
    pub routes: BTreeMap<Prefix, RouteHop>,
    /// By service, backend and code.
    pub checks: HashMap<(String, String, String), u64>,
    pub durations: HashMap<String, Histogram>,
    generation: u64,
}

/// What the checks of a backend have said.
#[derive(Clone, Debug)]
pub struct Checked {
    address: IpAddr,
    port: u16,
    check: Check,
    generation: u64,
    pub health: Health,
    /// Unix time, seconds.
    pub since: Option<u64>,
    pub last: Option<LastCheck>,
}

/// Durations of checks.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// One more than [`CHECK_BUCKETS`], for the rest.
    pub buckets: [u64; CHECK_BUCKETS.len() + 1],
    pub sum_seconds: f64,
}

/// Whose next hop a backend needs.
pub fn hop_target(backend: &Backend) -> HopTarget {
    HopTarget {
        address: backend.address,
        via: backend.next_hop,
    }
}

impl Observations {
    /// What the adopted maps tell: next hops that were good, backends that were up.
    pub fn adopt(&mut self, model: &Model, image: &Image) {
        for service in &model.services {
            let Some(placed) = image.services.get(&service.vip) else {
                continue;
            };
            let owners: HashSet<u32> = placed.owners.iter().copied().collect();
            for backend in &service.backends {
                let key = BackendKey {
                    address: backend.address,
                    port: backend.port,
                };
                let Some(there) = placed.backends.get(&key) else {
                    continue;
                };
                if let Some(hop) = there.hop(&image.sources) {
                    self.good.insert(hop_target(backend), hop);
                }
                if owners.contains(&there.id) && there.alive() && backend.state != AdminState::Maint {
                    let checked = self.checked(&service.name, backend, &service.check);
                    checked.health = Health::Up;
                }
            }
        }
    }

    /// The record of a backend, begun anew when it is checked in another way than before.
    fn checked(&mut self, service: &str, backend: &Backend, check: &Check) -> &mut Checked {
        let key = (service.to_owned(), backend.name.clone());
        let fresh = |health, generation| Checked {
            address: backend.address,
            port: backend.port,
            check: check.clone(),
            generation,
            health,
            since: None,
            last: None,
        };
        let generation = self.generation + 1;
        let checked = self.backends.entry(key).or_insert_with(|| {
            self.generation = generation;
            fresh(Health::Unknown, generation)
        });
        let same_server = (checked.address, checked.port) == (backend.address, backend.port);
        if !same_server || checked.check != *check {
            self.generation = generation;
            let health = if same_server { checked.health } else { Health::Unknown };
            *checked = Checked {
                since: checked.since.filter(|_| same_server),
                ..fresh(health, generation)
            };
        }
        checked
    }

    /// What is to be checked. Forgets backends that are gone, and the health of those in maintenance.
    pub fn probe_targets(&mut self, model: &Model) -> Vec<ProbeTarget> {
        let mut targets = Vec::new();
        let mut known = HashSet::new();
        for service in &model.services {
            for backend in &service.backends {
                known.insert((service.name.clone(), backend.name.clone()));
                let checked = self.checked(&service.name, backend, &service.check);
                if backend.state == AdminState::Maint {
                    checked.health = Health::Unknown;
                    continue;
                }
                let (generation, initial) = (checked.generation, checked.health);
                targets.push(ProbeTarget {
                    service: service.name.clone(),
                    backend: backend.name.clone(),
                    generation,
                    address: backend.address,
                    port: backend.port,
                    check: service.check.clone(),
                    initial,
                });
            }
        }
        self.backends.retain(|key, _| known.contains(key));
        self.checks
            .retain(|(service, backend, _), _| known.contains(&(service.clone(), backend.clone())));
        self.durations.retain(|service, _| model.service(service).is_some());
        targets
    }

    /// Whose next hops are wanted. Forgets the others.
    pub fn hop_targets(&mut self, model: &Model) -> HashSet<HopTarget> {
        let targets: HashSet<HopTarget> = model
            .services
            .iter()
            .flat_map(|service| &service.backends)
            .map(hop_target)
            .collect();
        self.hops.retain(|target, _| targets.contains(target));
        self.good.retain(|target, _| targets.contains(target));
        targets
    }

    /// Takes note of a check. Gives the health before, if it changed.
    pub fn on_check(&mut self, report: &CheckReport) -> Option<Health> {
        let key = (report.service.clone(), report.backend.clone());
        let checked = self
            .backends
            .get_mut(&key)
            .filter(|checked| checked.generation == report.generation)?;
        checked.last = Some(LastCheck {
            result: report.result.clone(),
            at: now(),
        });
        let code = format!("{:?}", report.result.code);
        *self
            .checks
            .entry((report.service.clone(), report.backend.clone(), code))
            .or_default() += 1;
        let seconds = report.result.duration.as_secs_f64();
        let histogram = self.durations.entry(report.service.clone()).or_default();
        let bucket = CHECK_BUCKETS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(CHECK_BUCKETS.len());
        histogram.buckets[bucket] += 1;
        histogram.sum_seconds += seconds;
        if checked.health == report.health {
            return None;
        }
        checked.since = Some(now());
        Some(std::mem::replace(&mut checked.health, report.health))
    }

    /// Whether nothing was said of this next hop yet.
    pub fn is_new(&self, target: &HopTarget) -> bool {
        !self.hops.contains_key(target)
    }

    /// Takes note of next hops.
    pub fn on_hops(&mut self, hops: HashMap<HopTarget, HopState>) {
        for (target, hop) in hops {
            if let Ok(hop) = &hop {
                self.good.insert(target, *hop);
            }
            self.hops.insert(target, hop);
        }
    }

    /// The mirror of the routes to clients, with this host's own addresses on top.
    pub fn routes_with_own_addresses(&self) -> BTreeMap<Prefix, RouteHop> {
        let mut routes = self.routes.clone();
        let own = self.links.iter().flat_map(|link| &link.addresses);
        routes.extend(own.map(|(address, _)| {
            let address = *address;
            let length = if address.is_ipv6() { 128 } else { 32 };
            (Prefix { address, length }, RouteHop::Host)
        }));
        routes
    }

    /// What the checks of a backend have said.
    pub fn of(&self, service: &str, backend: &str) -> Option<&Checked> {
        self.backends.get(&(service.to_owned(), backend.to_owned()))
    }

    /// The last good next hop of a backend.
    pub fn good_hop(&self, backend: &Backend) -> Option<ResolvedHop> {
        self.good.get(&hop_target(backend)).copied()
    }

    /// What was last said of a backend's next hop; a good one from the adopted maps where nothing was said yet.
    pub fn hop(&self, backend: &Backend) -> Option<HopState> {
        let target = hop_target(backend);
        self.hops
            .get(&target)
            .cloned()
            .or_else(|| self.good.get(&target).map(|hop| Ok(*hop)))
    }

    /// Both together, for the pool. `hop` is [`Observations::hop`] of the backend.
    pub fn observation<'a>(&self, service: &str, backend: &Backend, hop: Option<&'a HopState>) -> Observation<'a> {
        let health = self
            .of(service, &backend.name)
            .map_or(Health::Unknown, |checked| checked.health);
        Observation { health, hop }
    }
}
