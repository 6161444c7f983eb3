//! The owner of the model: brings the maps in step with it.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::observations::{Observations, now};
use crate::cli::parse::AttachArgument;
use crate::core::capabilities::Capabilities;
use crate::core::edit::Document;
use crate::core::image::{BackendKey, Image};
use crate::core::model::{Backend, FlowTimeouts, Interface, Mode, Model, Service, Vip, XdpMode};
use crate::core::observed::HopState;
use crate::core::plan::{self, Op, Wanted, WantedBackend};
use crate::core::pool::{self, Observation, Standing};
use crate::edge::dataplane::janitor::{self, Order};
use crate::edge::dataplane::{Dataplane, DataplaneError};
use crate::edge::net::{Link, NetWatcher};
use crate::edge::probe::Prober;
use crate::edge::state::StateDir;

/// Kinds of links without `ndo_xdp_xmit` in Linux: what a program in a driver sends there is lost, and nobody counts it.
const WITHOUT_XDP_TRANSMIT: [&str; 16] = [
    "bridge",
    "dummy",
    "vlan",
    "macvlan",
    "ipvlan",
    "vxlan",
    "geneve",
    "gre",
    "gretap",
    "ipip",
    "sit",
    "wireguard",
    "ifb",
    "team",
    "vti",
    "vrf",
];

/// What an owner is made of.
pub struct Parts {
    pub document: Document,
    pub model: Model,
    pub capabilities: Capabilities,
    pub state: StateDir,
    pub dataplane: Dataplane,
    pub image: Image,
    pub config: Option<PathBuf>,
    pub config_ok: bool,
    pub warnings: Vec<String>,
    pub prober: Prober,
    pub net: NetWatcher,
    pub orders: Sender<Order>,
}

/// Owns the desired state, what is observed, and the maps.
pub struct Owner {
    pub(super) parts: Parts,
    pub(super) observed: Observations,
    /// What the janitor last found.
    pub(super) sweep: janitor::Report,
    /// Unix time, seconds.
    pub(super) started: u64,
    /// How long the last change took to reach the maps.
    pub(super) last_apply: Duration,
    /// What keeps a service from being in the maps as it should, by VIP.
    pub(super) failures: BTreeMap<Vip, String>,
    /// Why an interface is not attached to, by name.
    pub(super) unattached: BTreeMap<String, DataplaneError>,
}

/// What a step wrote.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    pub slots: usize,
    pub took: Duration,
}

impl Owner {
    pub fn new(parts: Parts) -> Self {
        let mut observed = Observations::default();
        if parts.dataplane.adopted() {
            observed.adopt(&parts.model, &parts.image);
        }
        Self {
            parts,
            observed,
            sweep: janitor::Report::default(),
            started: now(),
            last_apply: Duration::ZERO,
            failures: Default::default(),
            unattached: Default::default(),
        }
    }

    /// Revision of the desired state.
    pub fn revision(&self) -> u64 {
        self.parts.document.revision
    }

    pub fn flow_timeouts(&self) -> FlowTimeouts {
        self.parts.model.node.flow_timeouts
    }

    pub fn janitor_view(&mut self) -> Result<janitor::View, DataplaneError> {
        self.parts.dataplane.janitor_view()
    }

    /// The first reconciliation, and the interfaces: those of the command line are attached to or nothing starts; those of the
    /// configuration that are not there yet are waited for.
    pub fn begin(&mut self, attach: &[AttachArgument]) -> anyhow::Result<()> {
        let place = if self.parts.dataplane.adopted() {
            "adopted"
        } else {
            "created"
        };
        tracing::info!("data plane {place}, {} services", self.parts.model.services.len());
        self.reconcile();
        for argument in attach {
            self.attach_durably(argument, &format!("lb daemon --attach {}", argument.interface))?;
        }
        self.attach_wanted();
        let refused = self
            .unattached
            .values()
            .find(|why| !matches!(why, DataplaneError::NoInterface { .. }));
        if let Some(why) = refused
            && self.parts.dataplane.attached().is_empty()
        {
            anyhow::bail!("{why}");
        }
        Ok(())
    }

    /// After a start that failed: a data plane that was there before goes on, one that was made for it is removed.
    pub fn undo(&mut self) {
        if !self.parts.dataplane.adopted()
            && let Err(error) = self.parts.dataplane.remove()
        {
            tracing::warn!("{error}");
        }
    }

    /// Brings everything in step: services, checks, next hops.
    pub(super) fn reconcile(&mut self) -> Written {
        let begun = Instant::now();
        let mut written = Written::default();
        let wanted: HashSet<Vip> = self.parts.model.services.iter().map(|service| service.vip).collect();
        let gone: Vec<Vip> = self
            .parts
            .image
            .services
            .keys()
            .filter(|vip| !wanted.contains(vip))
            .copied()
            .collect();
        for vip in &gone {
            let ops = plan::service_gone(&mut self.parts.image, *vip, self.sweep.sweep);
            self.write(*vip, &ops, &mut written);
        }
        self.failures.retain(|vip, _| wanted.contains(vip));
        for index in 0..self.parts.model.services.len() {
            self.reconcile_service(index, &mut written);
        }
        let targets = self.observed.hop_targets(&self.parts.model);
        self.parts.net.set_targets(targets);
        let targets = self.observed.probe_targets(&self.parts.model);
        self.parts.prober.set(targets);
        if !gone.is_empty() {
            let _ = self.parts.orders.send(Order::Sweep);
        }
        written.took = begun.elapsed();
        self.last_apply = written.took;
        written
    }

    /// Brings the service with this name in step.
    pub(super) fn reconcile_named(&mut self, name: &str) -> Written {
        let begun = Instant::now();
        let mut written = Written::default();
        if let Some(index) = self
            .parts
            .model
            .services
            .iter()
            .position(|service| service.name == name)
        {
            self.reconcile_service(index, &mut written);
        }
        written.took = begun.elapsed();
        self.last_apply = written.took;
        written
    }

    fn reconcile_service(&mut self, index: usize, written: &mut Written) {
        let service = &self.parts.model.services[index];
        let vip = service.vip;
        let wanted = self.wanted(service);
        match plan::service(&mut self.parts.image, &wanted, self.sweep.sweep) {
            Ok(ops) => {
                if self.failures.remove(&vip).is_some() {
                    tracing::info!("service {vip}: in the maps as it should be");
                }
                self.write(vip, &ops, written);
            }
            Err(error) => self.failed(vip, error.to_string()),
        }
    }

    fn write(&mut self, vip: Vip, ops: &[Op], written: &mut Written) {
        written.slots += slots(ops);
        if let Err(error) = self.parts.dataplane.apply(ops) {
            self.failed(vip, error.to_string());
        }
    }

    /// Says once what keeps a service from being as it should.
    fn failed(&mut self, vip: Vip, why: String) {
        if self.failures.get(&vip) != Some(&why) {
            tracing::error!("{why}");
            self.failures.insert(vip, why);
        }
    }

    /// Next hops as last said, and the standing of each backend, in the order of the service's backends.
    pub(super) fn standings(&self, service: &Service) -> (Vec<Option<HopState>>, Vec<Standing>) {
        let hops: Vec<Option<HopState>> = service
            .backends
            .iter()
            .map(|backend| self.usable_hop(service, backend))
            .collect();
        let seen: Vec<Observation> = service
            .backends
            .iter()
            .zip(&hops)
            .map(|(backend, hop)| self.observed.observation(&service.name, backend, hop.as_ref()))
            .collect();
        let standings = pool::standings(service, &seen);
        (hops, standings)
    }

    fn wanted(&self, service: &Service) -> Wanted {
        let (_, standings) = self.standings(service);
        let backends = service
            .backends
            .iter()
            .zip(standings)
            .map(|(backend, standing)| WantedBackend {
                key: BackendKey {
                    address: backend.address,
                    port: backend.port,
                },
                weight: standing.weight,
                alive: standing.alive,
                // A next hop that was good is better for old flows than none.
                hop: self.observed.good_hop(backend),
            })
            .collect();
        Wanted {
            vip: service.vip,
            mode: service.mode,
            table_size: service.table_size,
            tunnel_port: service.tunnel_port,
            mss_clamp: service.mss_clamp,
            sources: self.sources(service.mode),
            spread: self.parts.model.node.ipip_source.clone(),
            backends,
        }
    }

    fn sources(&self, mode: Mode) -> Vec<IpAddr> {
        if mode.needs_source() {
            self.parts.model.node.source.clone()
        } else {
            Vec::new()
        }
    }

    /// Lets packets be sent through every interface that can take them.
    pub(super) fn open_interfaces(&mut self) {
        let open = self
            .observed
            .links
            .iter()
            .filter(|link| link.up && self.takes_packets(link));
        let open = open.map(|link| link.index).collect();
        let ops = plan::interfaces(&mut self.parts.image, &open);
        if let Err(error) = self.parts.dataplane.apply(&ops) {
            tracing::error!("the interfaces to send from: {error}");
        }
    }

    /// Whether an interface takes packets from our program. From one that runs in a driver, some kinds do not.
    fn takes_packets(&self, link: &Link) -> bool {
        let native = self
            .parts
            .dataplane
            .attached()
            .iter()
            .any(|attached| attached.xdp == XdpMode::Native);
        link.name != "lo" && !(native && WITHOUT_XDP_TRANSMIT.contains(&link.kind.as_str()))
    }

    /// What is known of a backend's next hop; a hop through an interface that takes no packets, or without an address to send
    /// from where the mode needs one, is none.
    fn usable_hop(&self, service: &Service, backend: &Backend) -> Option<HopState> {
        let hop = match self.observed.hop(backend)? {
            Ok(hop) => hop,
            missing => return Some(missing),
        };
        let Some(link) = self.observed.links.iter().find(|link| link.index == hop.egress) else {
            return Some(Ok(hop));
        };
        if !self.takes_packets(link) {
            return Some(Err(format!(
                "{} is reached through {}, a {}, which takes no packets from native XDP; put its address on a port of \
                 hardware or a veth, or attach with --xdp generic",
                backend.address, link.name, link.kind
            )));
        }
        let is_ipv6 = backend.address.is_ipv6();
        let of_node = self.sources(service.mode);
        let spread = &self.parts.model.node.ipip_source;
        let is_spread = service.mode == Mode::Ipip && spread.iter().any(|spread| spread.address.is_ipv6() == is_ipv6);
        let of_node = of_node.iter().any(|source| source.is_ipv6() == is_ipv6);
        let has_source = !hop.source.is_unspecified() || of_node || is_spread;
        if service.mode.needs_source() && !has_source {
            let family = if is_ipv6 { 6 } else { 4 };
            return Some(Err(format!(
                "{} has no IPv{family} address to send to {} from; give it one, or set node.source.ipv{family}",
                link.name, backend.address
            )));
        }
        Some(Ok(hop))
    }

    /// Attaches to every interface of the desired state that is there, and says once why not.
    pub(super) fn attach_wanted(&mut self) {
        let wanted: Vec<Interface> = self.parts.model.node.interfaces.clone();
        self.unattached
            .retain(|name, _| wanted.iter().any(|interface| interface.name == *name));
        for interface in wanted {
            match self.parts.dataplane.attach(&interface.name, interface.xdp) {
                Ok(_) => {
                    if self.unattached.remove(&interface.name).is_some() {
                        tracing::info!("{}: attached", interface.name);
                    }
                }
                Err(error) => {
                    let said = self.unattached.get(&interface.name).map(ToString::to_string);
                    if said != Some(error.to_string()) {
                        tracing::warn!("{error}");
                    }
                    self.unattached.insert(interface.name, error);
                }
            }
        }
    }
}

fn slots(ops: &[Op]) -> usize {
    let changes = |op: &Op| match op {
        Op::Slots { changes } => changes.len(),
        _ => 0,
    };
    ops.iter().map(changes).sum()
}
