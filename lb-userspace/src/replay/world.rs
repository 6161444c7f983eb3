//! The configuration, in the maps: what the daemon would have written in a network where everything is known.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, bail};
use lb_common::abi::Tags;

use crate::cli::replay::ReplayArgs;
use crate::core::capabilities::Capabilities;
use crate::core::config::{self, Format};
use crate::core::edit::{self, Document, Edit};
use crate::core::image::{BackendKey, Image};
use crate::core::model::{Mode, Model, SetBy, Vip, mode_name};
use crate::core::observed::{Health, HopState, ResolvedHop, RouteHop, unspecified};
use crate::core::plan::{self, Wanted, WantedBackend};
use crate::core::pool::{self, Observation};
use crate::core::prefix::Prefix;
use crate::edge::dataplane::run::{INGRESS, Outcome, Runner};
use crate::edge::dataplane::{self, Dataplane, free_ports};
use crate::fate::Fate;

/// MTU of the interface that is said to be there, in bytes.
const MTU: u16 = 1500;
/// Ports that a host of Linux's defaults gives to its own connections.
const HOST_PORTS: (u16, u16) = (32768, 60999);

/// The loaded program and what it was told.
pub struct World {
    down: Vec<(String, String)>,
    source_mac: [u8; 6],
    destination_mac: [u8; 6],
    /// From the command line.
    sources: Vec<IpAddr>,
    document: Document,
    capabilities: Capabilities,
    loaded: Option<Loaded>,
}

struct Loaded {
    dataplane: Dataplane,
    runner: Runner,
    image: Image,
    model: Model,
    /// Names by identifier.
    backends: HashMap<u32, String>,
    services: HashMap<u32, (String, Mode)>,
}

impl World {
    /// An empty world, in which nothing is loaded yet.
    ///
    /// # Errors
    ///
    /// A configuration that is not right, a backend that is said to be down and is in none of them.
    pub fn new(args: &ReplayArgs) -> anyhow::Result<Self> {
        let down: Vec<(String, String)> = args
            .down
            .iter()
            .map(|target| (target.service.clone(), target.backend.clone()))
            .collect();
        let capabilities = dataplane::capabilities();
        check_known(&down, args, &capabilities)?;
        Ok(Self {
            down,
            source_mac: args.mac,
            destination_mac: args.next_hop,
            sources: args.source.clone(),
            document: Document::empty(),
            capabilities,
            loaded: None,
        })
    }

    /// A configuration becomes the desired state, and goes into the maps.
    pub fn apply(&mut self, file: &Path) -> anyhow::Result<()> {
        let outcome = read(&self.document, file, &self.capabilities)?;
        self.document = outcome.document;
        self.fill(outcome.model)
    }

    fn fill(&mut self, model: Model) -> anyhow::Result<()> {
        let down = self.down(&model);
        let mut loaded = match self.loaded.take() {
            Some(loaded) => loaded,
            None => Loaded::new(&model, &self.capabilities)?,
        };
        let sources = self.sources(&model)?;
        let hop = |address: IpAddr| self.hop(&sources, address.is_ipv6());
        let vips: HashSet<Vip> = model.services.iter().map(|service| service.vip).collect();
        let gone: Vec<Vip> = loaded
            .image
            .services
            .keys()
            .filter(|vip| !vips.contains(vip))
            .copied()
            .collect();
        for vip in gone {
            let ops = plan::service_gone(&mut loaded.image, vip, 0);
            loaded.dataplane.apply(&ops)?;
        }
        let everywhere = |address: IpAddr| (Prefix { address, length: 0 }, RouteHop::Via(hop(address)));
        let routes = [false, true].map(|is_ipv6| everywhere(unspecified(is_ipv6)));
        let ops = plan::routes(&mut loaded.image, &BTreeMap::from(routes));
        loaded.dataplane.apply(&ops)?;
        // Whose next hop it is does not matter to who takes packets.
        let hop_state: HopState = Ok(hop(unspecified(false)));
        for service in &model.services {
            let seen: Vec<Observation> = service
                .backends
                .iter()
                .map(|backend| {
                    let is_down = down.contains(&(service.name.clone(), backend.name.clone()));
                    let health = if is_down { Health::Down } else { Health::Up };
                    Observation {
                        health,
                        hop: Some(&hop_state),
                    }
                })
                .collect();
            let backends = service
                .backends
                .iter()
                .zip(pool::standings(service, &seen))
                .map(|(backend, standing)| WantedBackend {
                    key: BackendKey {
                        address: backend.address,
                        port: backend.port,
                    },
                    weight: standing.weight,
                    alive: standing.alive,
                    hop: Some(hop(backend.address)),
                })
                .collect();
            let wanted = Wanted {
                vip: service.vip,
                mode: service.mode,
                table_size: service.table_size,
                tunnel_port: service.tunnel_port,
                mss_clamp: service.mss_clamp,
                sources: sources.clone(),
                spread: model.node.ipip_source.clone(),
                backends,
            };
            let ops = plan::service(&mut loaded.image, &wanted, 0)?;
            loaded.dataplane.apply(&ops)?;
        }
        loaded.remember(model);
        self.loaded = Some(loaded);
        Ok(())
    }

    /// The balancer's own addresses: one at least of each family that a backend needs it of.
    fn sources(&self, model: &Model) -> anyhow::Result<Vec<IpAddr>> {
        let sources = if self.sources.is_empty() {
            &model.node.source
        } else {
            &self.sources
        };
        for service in model.services.iter().filter(|service| service.mode.needs_source()) {
            let lacks = |family: bool| !sources.iter().any(|source| source.is_ipv6() == family);
            let without = service.backends.iter().find(|backend| lacks(backend.address.is_ipv6()));
            if let Some(backend) = without {
                bail!(
                    "service {}: mode {} needs a source address of the family of {}; give --source ADDR, or set node.source",
                    service.name,
                    mode_name(service.mode),
                    backend.address
                );
            }
        }
        Ok(sources.clone())
    }

    /// The one next hop of this world, for packets of this family.
    fn hop(&self, sources: &[IpAddr], is_ipv6: bool) -> ResolvedHop {
        let own = sources.iter().copied().find(|source| source.is_ipv6() == is_ipv6);
        ResolvedHop {
            egress: INGRESS,
            source_mac: self.source_mac,
            destination_mac: self.destination_mac,
            source: own.unwrap_or(unspecified(is_ipv6)),
            mtu: MTU,
            // On the VLAN that the packet came from.
            tags: Tags::KEPT,
        }
    }

    /// Names of the backends that are said to be down; only those that this configuration has.
    fn down(&self, model: &Model) -> HashSet<(String, String)> {
        let found = self
            .down
            .iter()
            .filter_map(|(service, backend)| named(model, service, backend).ok());
        found.collect()
    }

    /// Runs one packet.
    pub fn run(&mut self, packet: &[u8]) -> anyhow::Result<Outcome> {
        if self.loaded.is_none() {
            // A capture before any configuration: nothing is balanced yet.
            self.fill(
                self.document
                    .resolve(&self.capabilities)
                    .map_err(|_| anyhow::anyhow!("no configuration"))?
                    .0,
            )?;
        }
        let Some(loaded) = &mut self.loaded else {
            bail!("the program is not loaded")
        };
        Ok(loaded.runner.run(&loaded.dataplane, packet)?)
    }

    /// What is said of a packet.
    pub fn fate(&self, length_in: usize, outcome: &Outcome) -> Fate {
        let loaded = self.loaded.as_ref();
        let service = loaded.and_then(|loaded| loaded.services.get(&outcome.trace.service));
        let backend = loaded.and_then(|loaded| loaded.backends.get(&outcome.trace.backend));
        Fate::new(outcome, length_in, service.cloned(), backend.cloned())
    }
}

impl Loaded {
    fn new(model: &Model, capabilities: &Capabilities) -> anyhow::Result<Self> {
        let (mut dataplane, image) = Dataplane::open(&dataplane::Options {
            pin_dir: None,
            limits: model.node.limits,
            hash_key: model.node.hash_key,
            traced: true,
            flow_table: capabilities.flow_table,
            ports: Some(free_ports(HOST_PORTS.0, HOST_PORTS.1)),
        })?;
        let runner = Runner::new(&mut dataplane)?;
        let model = Model {
            services: Vec::new(),
            ..model.clone()
        };
        Ok(Self {
            dataplane,
            runner,
            image,
            model,
            backends: HashMap::new(),
            services: HashMap::new(),
        })
    }

    /// Names for the numbers in the maps. Those of earlier configurations stay: flows may still name them.
    fn remember(&mut self, model: Model) {
        for service in &model.services {
            let Some(placed) = self.image.services.get(&service.vip) else {
                continue;
            };
            self.services
                .insert(placed.id as u32, (service.name.clone(), service.mode));
            for backend in &service.backends {
                let key = BackendKey {
                    address: backend.address,
                    port: backend.port,
                };
                if let Some(there) = placed.backends.get(&key) {
                    self.backends.insert(there.id, backend.name.clone());
                }
            }
        }
        self.model = model;
    }
}

/// What a configuration file makes of the desired state.
fn read(document: &Document, file: &Path, capabilities: &Capabilities) -> anyhow::Result<edit::Outcome> {
    let name = file.to_string_lossy().into_owned();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let edit = Edit::Apply {
        text: text.clone(),
        format: Format::of_name(&name),
    };
    let who = SetBy {
        who: "replay".into(),
        at: 0,
    };
    edit::apply(document, &edit, &who, capabilities)
        .map_err(|refusal| anyhow::anyhow!("{}", said(&refusal, &name, &text)))
}

/// The full names of a service and a backend.
fn named(model: &Model, service: &str, backend: &str) -> Result<(String, String), edit::Refusal> {
    let service = edit::find_service(model, service)?;
    let backend = edit::find_backend(service, backend)?;
    Ok((service.name.clone(), backend.name.clone()))
}

/// Each of these backends is in one of the configurations at least: else it is misspelt.
fn check_known(down: &[(String, String)], args: &ReplayArgs, capabilities: &Capabilities) -> anyhow::Result<()> {
    if down.is_empty() {
        return Ok(());
    }
    let configurations = args.items.iter().filter(|item| super::is_configuration(item));
    let models = configurations.map(|file| Ok(read(&Document::empty(), file, capabilities)?.model));
    let models: Vec<Model> = models.collect::<anyhow::Result<_>>()?;
    let Some(last) = models.last() else {
        bail!("--down: there is no configuration among the items");
    };
    for (service, backend) in down {
        let is_known = models.iter().any(|model| named(model, service, backend).is_ok());
        if !is_known {
            named(last, service, backend)?;
        }
    }
    Ok(())
}

fn said(refusal: &edit::Refusal, name: &str, text: &str) -> String {
    match refusal.findings() {
        [] => refusal.to_string(),
        findings => config::render(findings, name, text, false).trim_end().into(),
    }
}
