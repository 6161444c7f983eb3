//! The task that follows the kernel.
//!
//! Links, addresses, routes and rules are read anew whenever one of them changed, rather than kept up to date by the news:
//! the kernel does not announce every route that it drops with a link. A change of neighbours is taken from the news.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::neighbour::NeighbourMessage;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::kernel::{Kernel, Sockets};
use super::links::{Link, Links};
use super::mirror::{self, MainTable};
use super::neighbours::{Effect, NeighbourKey, Neighbours, sighting};
use super::resolve::{self, Answer};
use super::{NetError, NetEvent};
use crate::core::observed::{HopState, HopTarget, RouteHop};
use crate::core::prefix::Prefix;

/// A neighbour that is not known is asked for this often, and a socket that was lost is opened anew.
const RETRY: Duration = Duration::from_secs(1);

/// A neighbour in use is asked for this often: the kernel does not see the packets, and would forget it.
const REFRESH: Duration = Duration::from_secs(30);

/// After reading everything, that is not done again for this many times as long as it took.
const REST: u32 = 4;

/// …but after this at the latest.
const REST_MAX: Duration = Duration::from_secs(1);

/// Why the task stops, or a socket is given up.
enum Stop {
    /// The owner is gone.
    NobodyListens,
    Lost(NetError),
}

impl From<NetError> for Stop {
    fn from(error: NetError) -> Self {
        Self::Lost(error)
    }
}

/// Follows the kernel until the owner is gone, opening the sockets anew when they fail.
pub async fn run(
    sockets: Sockets,
    mut targets: mpsc::UnboundedReceiver<HashSet<HopTarget>>,
    events: mpsc::Sender<NetEvent>,
) {
    let mut watch = Watch::new(events);
    let mut sockets = Ok(sockets);
    loop {
        let stop = match sockets {
            Ok(sockets) => watch.follow(sockets, &mut targets).await,
            Err(error) => Stop::Lost(error),
        };
        let Stop::Lost(error) = stop else { return };
        if watch.events.send(NetEvent::Trouble(error.to_string())).await.is_err() {
            return;
        }
        sleep(RETRY).await;
        sockets = Sockets::open();
    }
}

/// What is no longer as it was read.
#[derive(Clone, Copy, Debug, Default)]
struct Stale {
    /// Links, addresses, routes, rules, and what follows from them.
    topology: bool,
    /// The table of neighbours as a whole.
    neighbours: bool,
    /// Targets that the kernel was not asked about yet.
    targets: bool,
    /// What the owner was told.
    told: bool,
}

impl Stale {
    const ALL: Self = Self {
        topology: true,
        neighbours: true,
        targets: true,
        told: true,
    };
}

/// What was read, and what was told.
struct Watch {
    events: mpsc::Sender<NetEvent>,
    stale: Stale,
    targets: HashSet<HopTarget>,
    links: Links,
    tables: Vec<MainTable>,
    answers: HashMap<IpAddr, Answer>,
    neighbours: Neighbours,
    /// Neighbours in use, and when each was last asked for.
    in_use: HashMap<NeighbourKey, Option<Instant>>,
    told_links: Option<Vec<Link>>,
    told_routes: Option<BTreeMap<Prefix, RouteHop>>,
    told_hops: HashMap<HopTarget, HopState>,
}

impl Watch {
    fn new(events: mpsc::Sender<NetEvent>) -> Self {
        Self {
            events,
            stale: Stale::ALL,
            targets: HashSet::new(),
            links: Links::new(),
            tables: Vec::new(),
            answers: HashMap::new(),
            neighbours: Neighbours::default(),
            in_use: HashMap::new(),
            told_links: None,
            told_routes: None,
            told_hops: HashMap::new(),
        }
    }

    /// Follows the kernel as long as the sockets last.
    async fn follow(
        &mut self,
        mut sockets: Sockets,
        targets: &mut mpsc::UnboundedReceiver<HashSet<HopTarget>>,
    ) -> Stop {
        self.stale = Stale::ALL;
        let mut rested = Instant::now();
        let mut tick = interval(RETRY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(stop) = self.catch_up(&sockets.kernel, &mut rested).await {
                return stop;
            }
            tokio::select! {
                news = sockets.news.next() => {
                    let Some(news) = news else { return Stop::Lost(NetError::Closed) };
                    self.take(news);
                    while let Some(Some(news)) = sockets.news.next().now_or_never() {
                        self.take(news);
                    }
                }
                new = targets.recv() => {
                    let Some(new) = new else { return Stop::NobodyListens };
                    self.retarget(new);
                    while let Ok(new) = targets.try_recv() {
                        self.retarget(new);
                    }
                }
                _ = tick.tick() => {
                    if let Err(error) = self.ask_neighbours(&sockets.kernel).await {
                        return error.into();
                    }
                }
                () = sleep_until(rested), if self.stale.topology => {}
                () = self.events.closed() => return Stop::NobodyListens,
            }
        }
    }

    /// Reads what is stale, and tells what follows from it.
    async fn catch_up(&mut self, kernel: &Kernel, rested: &mut Instant) -> Result<(), Stop> {
        if self.stale.neighbours {
            let table = kernel.neighbours().await?;
            self.neighbours.replace(table, |key| self.in_use.contains_key(&key));
            self.stale.neighbours = false;
            self.stale.told = true;
        }
        if self.stale.topology && Instant::now() >= *rested {
            let started = Instant::now();
            self.stale.topology = false;
            self.links = kernel.links().await?;
            self.tables = kernel.main_tables().await?;
            self.answers.clear();
            self.stale.targets = true;
            self.ask_ways(kernel).await?;
            *rested = Instant::now() + (started.elapsed() * REST).min(REST_MAX);
        }
        if self.stale.targets {
            self.ask_ways(kernel).await?;
        }
        if self.stale.told {
            self.tell(kernel).await?;
        }
        Ok(())
    }

    /// Asks the kernel about each target that it was not asked about yet.
    async fn ask_ways(&mut self, kernel: &Kernel) -> Result<(), NetError> {
        let asked: HashSet<IpAddr> = self.targets.iter().map(resolve::asked).collect();
        self.answers.retain(|address, _| asked.contains(address));
        let new: Vec<IpAddr> = asked
            .into_iter()
            .filter(|address| !self.answers.contains_key(address))
            .collect();
        let answers = kernel.ways(&new).await?;
        self.answers.extend(new.into_iter().zip(answers));
        self.stale.targets = false;
        self.stale.told = true;
        Ok(())
    }

    /// Computes what the owner sees, and tells what changed.
    async fn tell(&mut self, kernel: &Kernel) -> Result<(), Stop> {
        let mirror = mirror::mirror(&self.tables, &self.links, &self.neighbours);
        let mut in_use = mirror.neighbours;
        let mut changed = HashMap::new();
        for target in &self.targets {
            let Some(answer) = self.answers.get(&resolve::asked(target)) else {
                continue;
            };
            let hop = resolve::hop(target, answer, &self.links, &self.neighbours);
            in_use.extend(hop.neighbour);
            if self.told_hops.get(target) != Some(&hop.state) {
                changed.insert(*target, hop.state);
            }
        }
        self.stale.told = false;
        self.use_neighbours(&in_use);
        self.ask_neighbours(kernel).await?;

        let links: Vec<Link> = self.links.values().cloned().collect();
        if self.told_links.as_ref() != Some(&links) {
            self.told_links = Some(links.clone());
            self.send(NetEvent::Links(links)).await?;
        }
        if self.told_routes.as_ref() != Some(&mirror.entries) {
            self.told_routes = Some(mirror.entries.clone());
            self.send(NetEvent::Routes(mirror.entries)).await?;
        }
        if !changed.is_empty() {
            self.told_hops
                .extend(changed.iter().map(|(target, state)| (*target, state.clone())));
            self.send(NetEvent::Hops(changed)).await?;
        }
        Ok(())
    }

    async fn send(&self, event: NetEvent) -> Result<(), Stop> {
        self.events.send(event).await.map_err(|_| Stop::NobodyListens)
    }

    /// Says which neighbours are in use from now on.
    fn use_neighbours(&mut self, in_use: &HashSet<NeighbourKey>) {
        self.in_use.retain(|key, _| in_use.contains(key));
        for key in in_use {
            self.in_use.entry(*key).or_insert(None);
        }
        self.neighbours.prune(in_use);
    }

    /// Asks for the neighbours in use that it is time to ask for.
    async fn ask_neighbours(&mut self, kernel: &Kernel) -> Result<(), NetError> {
        for (key, asked) in &mut self.in_use {
            // A tick that comes a little early must not wait for the next one.
            let pause = if self.neighbours.is_fresh(*key) {
                REFRESH
            } else {
                RETRY / 2
            };
            if !self.neighbours.is_fixed(*key) && asked.is_none_or(|at| at.elapsed() >= pause) {
                *asked = Some(Instant::now());
                kernel.ask(*key).await?;
            }
        }
        Ok(())
    }

    /// Takes a set of targets. Sets are taken one by one, so that a target that goes and comes back is told again.
    fn retarget(&mut self, targets: HashSet<HopTarget>) {
        self.told_hops.retain(|target, _| targets.contains(target));
        self.targets = targets;
        self.stale.targets = true;
    }

    /// Takes a piece of news.
    fn take(&mut self, news: NetlinkMessage<RouteNetlinkMessage>) {
        use RouteNetlinkMessage as Message;
        match news.payload {
            NetlinkPayload::InnerMessage(Message::NewNeighbour(message)) => self.take_neighbour(&message, false),
            NetlinkPayload::InnerMessage(Message::DelNeighbour(message)) => self.take_neighbour(&message, true),
            NetlinkPayload::InnerMessage(
                Message::NewLink(_)
                | Message::DelLink(_)
                | Message::NewAddress(_)
                | Message::DelAddress(_)
                | Message::NewRoute(_)
                | Message::DelRoute(_)
                | Message::NewRule(_)
                | Message::DelRule(_),
            ) => self.stale.topology = true,
            // Some news did not fit into the socket's buffer, and nobody knows which.
            NetlinkPayload::Overrun(_) => {
                self.stale = Stale {
                    targets: self.stale.targets,
                    ..Stale::ALL
                }
            }
            _ => {}
        }
    }

    fn take_neighbour(&mut self, message: &NeighbourMessage, deleted: bool) {
        let Some((key, sighting)) = sighting(message, deleted) else {
            return;
        };
        match self.neighbours.apply(key, sighting, self.in_use.contains_key(&key)) {
            Effect::Nothing => {}
            Effect::Changed => self.stale.told = true,
            Effect::Ask => {
                self.in_use.insert(key, None);
                self.stale.told = true;
            }
        }
    }
}
