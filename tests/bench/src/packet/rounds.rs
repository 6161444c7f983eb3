//! Everything loaded, proved, and measured in turn.

use anyhow::{Context as _, Result, bail, ensure};
use lb_common::abi::protocol;
use lb_tests::packet::bad_checksum;
use lb_tests::packet::tag::untagged;
use lb_userspace::core::model::Mode;

use super::Extents;
use super::against::{Case, Rivals};
use super::scenario::{self, Scenario, Subject, Way};
use super::world::{self, Balancer};
use crate::bpf::feed::{Fed, Timed};
use crate::bpf::floors::{Floor, Floors, Job};
use crate::measure::Samples;

/// Packets by which a way is proved.
pub const PROOF: u32 = 1000;

/// Everything that is loaded.
pub struct Bench {
    balancer: Balancer,
    traced: Balancer,
    filling: Balancer,
    floors: Floors,
    in_c: Option<Floors>,
    fed: Vec<(Subject, Fed)>,
    rivals: Option<Rivals>,
}

/// Something that is measured, and its samples: nanoseconds per packet, the feeder's share included.
pub struct Measured<'a> {
    what: What<'a>,
    pub gross: Samples,
}

/// What is measured.
enum What<'a> {
    /// A scenario at a number of flows.
    Ours(&'a Scenario, u32),
    /// Something of another balancer.
    Theirs(Case),
}

impl Measured<'_> {
    /// Of the scenario, to be followed by the number of flows.
    pub fn name(&self) -> &str {
        match &self.what {
            What::Ours(scenario, _) => &scenario.name,
            What::Theirs(case) => &case.name,
        }
    }

    pub fn flows(&self) -> u32 {
        match &self.what {
            What::Ours(_, flows) => *flows,
            What::Theirs(case) => case.flows,
        }
    }

    /// The scenario of what the feeder takes.
    pub fn drop(&self) -> &'static str {
        match &self.what {
            What::Ours(scenario, _) => scenario.feeding.drop(),
            What::Theirs(_) => scenario::DROP,
        }
    }
}

impl Bench {
    pub fn new(extents: &Extents, rivals: Option<Rivals>) -> Result<Self> {
        let flows = extents.most_flows();
        let mut balancer = Balancer::new(flows, false)?;
        let traced = Balancer::new(1, true)?;
        let filling = Balancer::new(extents.new_flows(), false)?;
        let job = Job {
            vip: scenario::floor_vip(),
            protocols: &[protocol::TCP, protocol::UDP],
            backends: &world::addresses(Mode::Ipip),
            source: world::TUNNEL_SOURCE,
            destination_mac: world::BACKEND_MAC,
            source_mac: world::BALANCER_MAC,
        };
        let mut floors = Floors::new(&job)?;
        let mut in_c = Floors::in_c(&job)?;
        let mut fed = Vec::new();
        for subject in Subject::ALL {
            let program = match subject {
                Subject::Floor(floor) => floors.program(floor)?,
                Subject::FloorInC => match &mut in_c {
                    Some(floors) => floors.program(Floor::Balancer)?,
                    None => continue,
                },
                Subject::Balancer | Subject::BalancerOfNat | Subject::BalancerOfSix => balancer.program()?,
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
                Subject::BalancerOfSix => feeder.set_list(&balancer.answers_six()?)?,
                Subject::Floor(_) | Subject::FloorInC | Subject::BalancerOfNew | Subject::Traced => {}
            }
            fed.push((subject, feeder));
        }
        Ok(Self {
            balancer,
            traced,
            filling,
            floors,
            in_c,
            fed,
            rivals,
        })
    }

    /// Whether the smallest balancer is there in C.
    pub fn has_floor_in_c(&self) -> bool {
        self.in_c.is_some()
    }

    pub fn rivals(&self) -> Option<&Rivals> {
        self.rivals.as_ref()
    }

    fn theirs(&mut self) -> Result<&mut Rivals> {
        self.rivals.as_mut().context("no other balancer is loaded")
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
        let (_, packet) = untagged(&outcome.packet);
        if let Some(wrong) = bad_checksum(&packet) {
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
            Subject::Balancer
            | Subject::BalancerOfNat
            | Subject::BalancerOfSix
            | Subject::Floor(_)
            | Subject::FloorInC => &self.balancer,
        };
        Ok(match scenario.way {
            Way::To(vip) => Some(balancer.to(vip)?),
            Way::Back(vip) => Some(balancer.back(vip)?),
            Way::Not(reason) => Some(balancer.not_sent(reason)?),
            Way::Floor if scenario.subject == Subject::FloorInC => self.in_c.as_ref().map(Floors::sent).transpose()?,
            Way::Floor => Some(self.floors.sent()?),
            Way::Uncounted => None,
        })
    }

    /// Takes a sample of everything in each round.
    pub fn measure<'a>(&mut self, scenarios: &'a [Scenario], extents: &Extents) -> Result<Vec<Measured<'a>>> {
        let all = self.all(scenarios, extents);
        for what in &all {
            match what {
                What::Ours(scenario, flows) => self.prove(scenario, *flows)?,
                What::Theirs(case) => self.theirs()?.prove(case)?,
            }
        }
        let measured = all.into_iter().map(|what| Measured {
            what,
            gross: Samples::default(),
        });
        let mut measured: Vec<Measured> = measured.collect();
        for _ in 0..extents.rounds {
            for one in &mut measured {
                let timed = self.sample(&one.what, extents)?;
                one.gross.push(timed.nanoseconds_per_run());
            }
        }
        Ok(measured)
    }

    /// What is to be measured, in turn: what is compared is close to each other.
    fn all<'a>(&self, scenarios: &'a [Scenario], extents: &Extents) -> Vec<What<'a>> {
        let cases = self.rivals.as_ref().map(|rivals| rivals.cases(&extents.flows));
        let cases = cases.unwrap_or_default();
        let mut all = Vec::new();
        for flows in &extents.flows {
            let ours = scenarios
                .iter()
                .filter(|scenario| self.has_floor_in_c() || scenario.subject != Subject::FloorInC)
                .filter(|scenario| scenario.has(*flows, extents.most_flows()));
            all.extend(ours.map(|scenario| What::Ours(scenario, *flows)));
            let theirs = cases.iter().filter(|case| case.flows == *flows);
            all.extend(theirs.cloned().map(What::Theirs));
        }
        all
    }

    fn sample(&mut self, what: &What, extents: &Extents) -> Result<Timed> {
        let (scenario, flows) = match what {
            What::Ours(scenario, flows) => (scenario, *flows),
            What::Theirs(case) => {
                let rivals = self.theirs()?;
                rivals.time(case, extents.warm_up)?;
                return rivals.time(case, extents.packets);
            }
        };
        let traffic = scenario.traffic(flows);
        let (packets, warm_up) = scenario.packets(extents.packets, extents.warm_up);
        let fed = self.fed(scenario.subject);
        if warm_up > 0 {
            fed.run(&traffic, warm_up)?;
        }
        fed.time(&traffic, packets)
    }
}
