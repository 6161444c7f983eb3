//! What is measured of another balancer.

use std::net::SocketAddrV4;
use std::path::Path;

use anyhow::{Context as _, Result};
use lb_userspace::core::model::Mode;

use super::rival::{Rival, Way};
use super::tunnelled::Tunnel;
use super::{Job, Opponent};
use crate::bpf::feed::Timed;
use crate::packet::scenario;
use crate::packet::world::{self, Kind};

/// Packets, and the way that they take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// `katran/established`, to be followed by the number of flows.
    pub name: String,
    pub flows: u32,
    way: Way,
    kind: Kind,
}

/// Room in the connection tables.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Connections that a table has room for.
    pub connections: u32,
    /// Connections that are open in the table of established ones.
    pub open: u32,
}

/// Another balancer, loaded twice: new flows push the established ones out of a table.
pub struct Rivals {
    name: &'static str,
    /// Its connection table holds the established flows.
    settled: Rival,
    /// Its connection table is full.
    full: Rival,
    /// How packets leave, once that is known.
    tunnel: Option<Tunnel>,
}

impl Rivals {
    /// Loads the object at `path` and fills the connection tables; packets come to `cpu`, on which this thread is.
    ///
    /// # Errors
    ///
    /// No adapter knows the object, the kernel refuses it, there is no room, or a connection was not stored.
    pub fn load(path: &Path, cpu: usize, room: Room) -> Result<Self> {
        let opponent = Opponent::recognise(path)?;
        let service = scenario::floor_vip();
        let job = Job {
            service,
            stateless: SocketAddrV4::new(*service.ip(), service.port() + 1),
            backends: world::addresses(Mode::Ipip),
            gateway: world::BACKEND_MAC,
            source: world::TUNNEL_SOURCE,
            cpu: cpu as u32,
            connections: room.connections,
        };
        let mut settled = opponent.load(&job)?;
        settled.open(room.open)?;
        settled.check_known(0, room.open, true)?;
        let mut full = opponent.load(&job)?;
        // More than it has room for, so that the first are out again.
        let opened = room.connections + room.connections / 4;
        full.open(opened)?;
        full.check_known(opened - 1, 1, true)?;
        full.check_known(0, 1, false)?;
        Ok(Self {
            name: opponent.name(),
            settled,
            full,
            tunnel: None,
        })
    }

    /// What figures call it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What was loaded, how it was set up, and what its own counters have shown of what was measured; a paragraph.
    pub fn setup(&self) -> String {
        let tunnel = self.tunnel.map_or("another way", Tunnel::name);
        format!(
            "`{}` is {} Its packets leave as {tunnel}. By its own counters every packet took the way that its figure is named for: \
             `established` was found in the connection table, `stateless` bypassed that, `new-flow` was stored in a full one (none met \
             the limit of new flows a second).",
            self.name,
            self.settled.setup()
        )
    }

    /// All that is measured, with these numbers of flows.
    pub fn cases(&self, flows: &[u32]) -> Vec<Case> {
        let case = |what: &str, flows, way, kind| Case {
            name: format!("{}/{what}", self.name),
            flows,
            way,
            kind,
        };
        let many = flows.iter().flat_map(|flows| {
            [
                case("established", *flows, Way::Known(*flows), Kind::Established),
                case("stateless", *flows, Way::Stateless(*flows), Kind::Established),
            ]
        });
        let one = [
            case("udp", 1, Way::Known(1), Kind::Udp),
            case("new-flow", 1, Way::New, Kind::Syn),
            case("not-ours", 1, Way::NotOurs, Kind::Established),
        ];
        many.chain(one).collect()
    }

    /// Shows that packets take the way that the case is about.
    ///
    /// # Errors
    ///
    /// They take another, or are sent damaged.
    pub fn prove(&mut self, case: &Case) -> Result<()> {
        let tunnel = self.of(case).prove(case.way, case.kind);
        let tunnel = tunnel.with_context(|| case.named())?;
        self.tunnel = self.tunnel.or(tunnel);
        Ok(())
    }

    /// Runs that many packets, and takes the time.
    ///
    /// # Errors
    ///
    /// One of them took another way.
    pub fn time(&mut self, case: &Case, packets: u32) -> Result<Timed> {
        self.of(case)
            .time(case.way, case.kind, packets)
            .with_context(|| case.named())
    }

    fn of(&mut self, case: &Case) -> &mut Rival {
        match case.way {
            Way::New => &mut self.full,
            Way::Known(_) | Way::Stateless(_) | Way::NotOurs => &mut self.settled,
        }
    }
}

impl Case {
    fn named(&self) -> String {
        format!("{}/{}", self.name, self.flows)
    }
}

#[cfg(test)]
mod tests {
    use lb_lab::needs;

    use super::super::OBJECT_VARIABLE;
    use super::*;
    use crate::measure::{last_cpu, pin};

    #[test]
    fn every_case_of_a_real_object_takes_its_way() -> Result<()> {
        let object = std::env::var_os(OBJECT_VARIABLE);
        needs!(
            object.is_some(),
            "needs the object of another balancer, named by LB_BENCH_AGAINST"
        );
        lb_tests::needs_bpf!();
        let cpu = last_cpu();
        pin(cpu)?;
        let room = Room {
            connections: 1 << 14,
            open: 1 << 12,
        };
        let mut rivals = Rivals::load(Path::new(&object.unwrap_or_default()), cpu, room)?;
        let cases = rivals.cases(&[1, room.open]);
        for case in &cases {
            rivals.prove(case)?;
            assert!(rivals.time(case, 1000)?.runs == 1000, "{}", case.named());
        }
        let names: Vec<String> = cases.iter().map(Case::named).collect();
        assert!(
            names.iter().any(|name| name.ends_with("/established/4096")),
            "{names:?}"
        );
        Ok(())
    }
}
