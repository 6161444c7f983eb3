//! The program with its maps, filled by the daemon's own plan. Nothing is attached, nothing is pinned.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::abi::Counters;
use lb_common::reason::Reason;
use lb_userspace::core::image::{BackendKey, Image, Placed};
use lb_userspace::core::model::{Limits, Mode, Vip};
use lb_userspace::core::observed::RouteHop;
use lb_userspace::core::plan::{self, Op, Wanted, WantedBackend};
use lb_userspace::core::prefix::Prefix;
use lb_userspace::edge::dataplane::Traffic;
use lb_userspace::edge::dataplane::run::{Outcome, Runner, Verdict};

use super::loaded::Loaded;
use super::objects::has_flow_table;
use super::places::{BACKEND_HOP, CLIENT_HOP, SOURCES, TUNNEL_PORT};

/// What a world is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub limits: Limits,
    /// Ports of each source, in the order in which flows get them.
    pub ports: Vec<u16>,
    /// Whether each packet's way is traced.
    pub trace: bool,
    /// Through the object that has a flow table, or the one that has none.
    pub flow_table: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let limits = Limits {
            services: 64,
            backends: 256,
            slots: 16 * 1021,
            flows: 4096,
            sources: 2,
        };
        Self {
            limits,
            ports: (20000..30000).collect(),
            trace: true,
            flow_table: has_flow_table(),
        }
    }
}

/// A data plane that runs packets one at a time.
pub struct World {
    pub dataplane: Loaded,
    /// The account of its maps.
    pub image: Image,
    pub runner: Runner,
    /// Number of the janitor's last sweep, where there is a janitor.
    pub sweep: u64,
}

impl Default for World {
    fn default() -> Self {
        Self::new(&Setup::default())
    }
}

/// A service of this mode at `vip`, its table small.
pub fn service(vip: Vip, mode: Mode, backends: Vec<WantedBackend>) -> Wanted {
    let sources = match mode {
        Mode::Fullnat | Mode::Ipip | Mode::Gue => vec![SOURCES[0].into()],
        Mode::Nat | Mode::L2 => Vec::new(),
    };
    Wanted {
        vip,
        mode,
        table_size: 1021,
        tunnel_port: TUNNEL_PORT,
        spread: Vec::new(),
        mss_clamp: None,
        sources,
        backends,
    }
}

/// Backends that are alive and take new flows alike.
pub fn pool(backends: impl IntoIterator<Item = impl Into<SocketAddr>>) -> Vec<WantedBackend> {
    let alive = |backend: SocketAddr| WantedBackend {
        key: key(backend),
        weight: 100,
        alive: true,
        hop: Some(BACKEND_HOP),
    };
    backends.into_iter().map(|backend| alive(backend.into())).collect()
}

/// How the plan names a backend.
pub fn key(backend: impl Into<SocketAddr>) -> BackendKey {
    let backend = backend.into();
    BackendKey {
        address: backend.ip(),
        port: backend.port(),
    }
}

impl World {
    /// Takes a program that nothing has happened to; every client is behind one gateway.
    ///
    /// # Panics
    ///
    /// If the kernel refuses; as do all others, when the data plane does.
    pub fn new(setup: &Setup) -> Self {
        let (mut dataplane, image) = Loaded::new(setup);
        let runner = Runner::new(&mut dataplane).expect("the trace is mapped");
        let mut world = Self {
            dataplane,
            image,
            runner,
            sweep: 0,
        };
        world.route_clients(Some(RouteHop::Via(CLIENT_HOP)));
        world
    }

    /// Brings a service into the maps, or up to date.
    pub fn serve(&mut self, wanted: &Wanted) {
        let ops = plan::service(&mut self.image, wanted, self.sweep).expect("there is room");
        self.apply(&ops);
    }

    /// Takes a service out.
    pub fn remove(&mut self, vip: Vip) {
        let ops = plan::service_gone(&mut self.image, vip, self.sweep);
        self.apply(&ops);
    }

    /// What the mirror of the routes says of every client; `None`: nothing.
    pub fn route_clients(&mut self, hop: Option<RouteHop>) {
        let everywhere = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let prefix = |address| Prefix { address, length: 0 };
        let wanted: BTreeMap<_, _> = match hop {
            Some(hop) => everywhere.map(|address| (prefix(address), hop)).into(),
            None => BTreeMap::new(),
        };
        let ops = plan::routes(&mut self.image, &wanted);
        self.apply(&ops);
    }

    pub fn apply(&mut self, ops: &[Op]) {
        self.dataplane.apply(ops).expect("the maps take it");
    }

    /// A service in the maps.
    pub fn placed(&self, vip: Vip) -> &Placed {
        &self.image.services[&vip]
    }

    /// Identifier of a backend.
    pub fn id(&self, vip: Vip, backend: impl Into<SocketAddr>) -> u32 {
        self.placed(vip).backends[&key(backend)].id
    }

    /// What was sent for a service.
    pub fn counted(&self, vip: Vip) -> Counters {
        self.traffic().of_service(self.placed(vip).id)
    }

    /// What was sent.
    pub fn traffic(&self) -> Traffic {
        self.dataplane.traffic(&self.image).expect("the counters are read")
    }

    pub fn run(&mut self, packet: &[u8]) -> Outcome {
        self.runner.run(&self.dataplane, packet).expect("the kernel runs it")
    }

    /// Runs a packet that is to be sent where it came from, and gives it as it was sent.
    #[track_caller]
    pub fn sent(&mut self, what: &str, packet: &[u8]) -> Vec<u8> {
        let outcome = self.run(packet);
        assert_eq!((outcome.verdict, outcome.reason), (Verdict::Tx, None), "{what}");
        outcome.packet
    }

    /// Runs a packet whose sender is to get an answer, and gives that.
    #[track_caller]
    pub fn answered(&mut self, what: &str, packet: &[u8], reason: Reason) -> Vec<u8> {
        let outcome = self.run(packet);
        assert_eq!((outcome.verdict, outcome.reason), (Verdict::Tx, Some(reason)), "{what}");
        outcome.packet
    }

    /// Runs a packet that is not to be sent.
    #[track_caller]
    pub fn not_sent(&mut self, what: &str, packet: &[u8], reason: Reason) -> Outcome {
        let outcome = self.run(packet);
        assert_eq!(outcome.reason, Some(reason), "{what}: {:?}", outcome.verdict);
        outcome
    }

    /// Packets by reason, in the order of [`Reason::ALL`].
    pub fn reasons(&self) -> Vec<u64> {
        self.dataplane.reasons().expect("the counters are read")
    }
}
