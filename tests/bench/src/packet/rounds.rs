//! Everything loaded, proved, and measured in turn.

use anyhow::{Result, bail, ensure};
use lb_common::abi::protocol;
use lb_tests::packet::bad_checksum;
use lb_userspace::core::model::Mode;

use super::Extents;
use super::scenario::{self, Scenario, Subject, Way};
use super::world::{self, Balancer};
use crate::bpf::feed::Fed;
use crate::bpf::floors::{Floors, Job};
use crate::measure::Samples;

/// Packets by which a way is proved.
pub const PROOF: u32 = 1000;

/// Everything that is loaded.
pub struct Bench {
    balancer: Balancer,
    traced: Balancer,
    filling: Balancer,
    floors: Floors,
    fed: Vec<(Subject, Fed)>,
}

/// A scenario at a number of flows, and its samples: nanoseconds per packet, the feeder's share included.
pub struct Measured<'a> {
    pub scenario: &'a Scenario,
    pub flows: u32,
    pub gross: Samples,
}

impl Bench {
    pub fn new(extents: &Extents) -> Result<Self> {
        let flows = extents.most_flows();
        let mut balancer = Balancer::new(flows, false)?;
        let traced = Balancer::new(1, true)?;
        let filling = Balancer::new(extents.new_flows(), false)?;
        let mut floors = Floors::new(&Job {
            vip: scenario::floor_vip(),
            protocols: &[protocol::TCP, protocol::UDP],
            backends: &world::addresses(Mode::Ipip),
            source: world::TUNNEL_SOURCE,
            destination_mac: world::BACKEND_MAC,
            source_mac: world::BALANCER_MAC,
        })?;
        let mut fed = Vec::new();
        for subject in Subject::ALL {
            let program = match subject {
                Subject::Floor(floor) => floors.program(floor)?,
                Subject::Balancer | Subject::BalancerOfNat => balancer.program()?,
                Subject::BalancerOfNew => filling.program()?,
                Subject::Traced => traced.program()?,
            };
            let mut feeder = Fed::new(&program, flows)?;
            match subject {
                Subject::Balancer => {
                    balancer.open_flows(&mut feeder)?;
                    feeder.set_list(&balancer.answers()?)?;
                }
                Subject::BalancerOfNat => feeder.set_list(&world::list_of_nat(flows))?,
                Subject::Floor(_) | Subject::BalancerOfNew | Subject::Traced => {}
            }
            fed.push((subject, feeder));
        }
        Ok(Self {
            balancer,
            traced,
            filling,
            floors,
            fed,
        })
    }

    fn fed(&mut self, subject: Subject) -> &mut Fed {
        let found = self.fed.iter_mut().find(|(other, _)| *other == subject);
        &mut found.expect("every subject is fed").1
    }

    /// Shows that packets take the way that the scenario says: by the verdict and the bytes of one, and by the counters.
    fn prove(&mut self, scenario: &Scenario, flows: u32) -> Result<()> {
        let traffic = scenario.traffic(flows);
        let before = self.counted(scenario)?;
        let outcome = self.fed(scenario.subject).once(&traffic)?;
        ensure!(
            outcome.code == scenario.code,
            "{}: a packet ended with XDP code {}, not {}",
            scenario.name,
            outcome.code,
            scenario.code
        );
        if let Some(wrong) = bad_checksum(&outcome.packet) {
            bail!("{}: {wrong}", scenario.name);
        }
        self.fed(scenario.subject).run(&traffic, PROOF)?;
        if let (Some(before), Some(after)) = (before, self.counted(scenario)?) {
            let counted = after - before;
            ensure!(
                counted == PROOF as u64 + 1,
                "{} with {flows} flows: {counted} of {} packets took the way that it is about",
                scenario.name,
                PROOF + 1
            );
        }
        Ok(())
    }

    /// Packets that took the scenario's way, where somebody counts.
    fn counted(&self, scenario: &Scenario) -> Result<Option<u64>> {
        let balancer = match scenario.subject {
            Subject::Traced => &self.traced,
            Subject::BalancerOfNew => &self.filling,
            Subject::Balancer | Subject::BalancerOfNat | Subject::Floor(_) => &self.balancer,
        };
        Ok(match scenario.way {
            Way::To(mode, protocol) => Some(balancer.to(mode, protocol)?),
            Way::Back(mode) => Some(balancer.back(mode)?),
            Way::Not(reason) => Some(balancer.not_sent(reason)?),
            Way::Floor => Some(self.floors.sent()?),
            Way::Uncounted => None,
        })
    }

    /// Takes a sample of everything in each round.
    pub fn measure<'a>(&mut self, scenarios: &'a [Scenario], extents: &Extents) -> Result<Vec<Measured<'a>>> {
        let mut measured: Vec<Measured> = Vec::new();
        for flows in &extents.flows {
            let has = scenarios
                .iter()
                .filter(|scenario| scenario.has(*flows, extents.most_flows()));
            measured.extend(has.map(|scenario| Measured {
                scenario,
                flows: *flows,
                gross: Samples::default(),
            }));
        }
        for one in &measured {
            self.prove(one.scenario, one.flows)?;
        }
        for _ in 0..extents.rounds {
            for one in &mut measured {
                let traffic = one.scenario.traffic(one.flows);
                let (packets, warm_up) = one.scenario.packets(extents.packets, extents.warm_up);
                let fed = self.fed(one.scenario.subject);
                if warm_up > 0 {
                    fed.run(&traffic, warm_up)?;
                }
                let timed = fed.time(&traffic, packets)?;
                one.gross.push(timed.nanoseconds_per_run());
            }
        }
        Ok(measured)
    }
}
