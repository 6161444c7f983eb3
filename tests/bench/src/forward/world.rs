//! Everything that packets are sent through, side by side.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use lb_common::abi::protocol;
use lb_common::bench::traffic::KEPT_EVERY;
use lb_lab::{Balancer, Netns, wait_until};

use super::hosts::{BACKEND_MAC, BALANCER_MAC, DEVICE, End, Hosts, make_router};
use super::subject::{FIRST_SOURCE, MODES, Subject};
use super::{lb, nft};
use crate::bpf::floors::{Floor, Floors, Job};
use crate::bpf::traffic::{Count, Packets, Traffic};

/// How often packets are sent that are all to arrive.
const TURNS: u32 = 5;

/// How long packets may take to come to their end on another CPU.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Dropped, it is taken down in the order of its fields.
pub struct World {
    balancer: Balancer,
    /// Attached as long as they are held.
    _floors: Floors,
    pub traffic: Traffic,
    /// What can be measured here.
    places: Vec<(Subject, u32)>,
    routers: Vec<Netns>,
    pub hosts: Hosts,
    /// What cannot, and why.
    pub skipped: Vec<String>,
}

/// Packets of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub subject: Subject,
    /// Bytes of a frame, the check sequence counted.
    pub bytes: u32,
    pub flows: u32,
}

/// What became of some packets.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Of one packet, from being sent on.
    pub nanoseconds: f64,
    pub sent: u64,
    pub arrived: u64,
    pub late: u64,
}

impl World {
    /// Builds it, with room for that many flows.
    pub fn new(flows: u32) -> Result<Self> {
        let mut traffic = Traffic::new()?;
        let mut hosts = Hosts::new()?;
        let mut places = Vec::new();
        let mut floors = floors()?;
        let mut routers = Vec::new();
        let mut skipped = Vec::new();
        let host = hosts.add(&mut traffic, "lb", End::Driver)?;
        places.extend(MODES.map(|mode| (Subject::Lb(mode), host.exit)));
        let balancer = lb::start(host.netns, hosts.scratch(), flows)?;
        for subject in Subject::ALL {
            let missing = match subject {
                Subject::Nft(_) => nft::missing(),
                Subject::Lb(_) => continue,
                Subject::Floor(_) | Subject::Router => None,
            };
            if let Some(why) = missing {
                skipped.push(format!("{}: {why}", subject.name()));
                continue;
            }
            let host = hosts.add(&mut traffic, &subject.name(), subject.end())?;
            match install(subject, &host.netns, &mut floors) {
                Ok(()) => places.push((subject, host.exit)),
                Err(error) if matches!(subject, Subject::Nft(_)) => {
                    skipped.push(format!("{}: {error:#}", subject.name()));
                }
                Err(error) => return Err(error.context(subject.name())),
            }
            routers.push(host.netns);
        }
        Ok(Self {
            balancer,
            _floors: floors,
            traffic,
            places,
            routers,
            hosts,
            skipped,
        })
    }

    /// What can be measured here, in its usual order.
    pub fn subjects(&self) -> impl Iterator<Item = Subject> {
        Subject::ALL.into_iter().filter(|subject| self.exit(*subject).is_ok())
    }

    /// Every balancer's host.
    pub fn balancers(&self) -> impl Iterator<Item = &Netns> {
        std::iter::once(self.balancer.netns()).chain(&self.routers)
    }

    /// The sender's exit towards a subject.
    pub fn exit(&self, subject: Subject) -> Result<u32> {
        let found = self.places.iter().find(|(other, _)| *other == subject);
        found.map(|(_, exit)| *exit).with_context(|| subject.name())
    }

    /// Opens that many flows where something is kept of each, and shows that packets of them come out as they ought to.
    pub fn prepare(&mut self, subject: Subject, bytes: u32, flows: u32) -> Result<()> {
        let load = Load { subject, bytes, flows };
        if subject.keeps_flows() {
            let lost = self.send_until_all_arrive(load, true, Count::new(0, flows))?;
            ensure!(lost == 0, "{lost} flows could not be opened");
        }
        if subject.sends() {
            self.prove(load)?;
        }
        Ok(())
    }

    /// Sends packets of random flows and looks at one of what has become of them.
    fn prove(&mut self, load: Load) -> Result<()> {
        let before = self.traffic.kept()?;
        let lost = self.send_until_all_arrive(load, false, Count::new(0, KEPT_EVERY as u32))?;
        ensure!(lost == 0, "{lost} of {KEPT_EVERY} packets were lost");
        let after = self.traffic.kept()?;
        let mut changed = before.iter().zip(&after).filter(|(before, after)| before.0 != after.0);
        let (_, (_, kept)) = changed.next().context("no packet was kept")?;
        let shown = || kept.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        load.subject
            .check(kept)
            .map_err(|wrong| anyhow!("{wrong}: {}", shown()))
    }

    /// Sends packets until all of a turn arrive, and gives how many of the last turn did not. Where the kernel's softirq thread is
    /// behind, a device's ring overflows; a packet that a balancer loses is lost every time.
    fn send_until_all_arrive(&mut self, load: Load, is_in_order: bool, count: Count) -> Result<u64> {
        let mut lost = 0;
        for _ in 0..TURNS {
            let sample = self.send(load, is_in_order, count)?;
            lost = sample.sent - sample.arrived;
            if lost == 0 {
                break;
            }
        }
        Ok(lost)
    }

    /// Sends packets, at random or one flow after the other, all that happens to them on this CPU.
    pub fn send(&mut self, load: Load, is_in_order: bool, count: Count) -> Result<Sample> {
        let packets = self.packets(load, is_in_order)?;
        let before = self.traffic.arrived()?;
        let sent = self.traffic.send(&packets, count)?;
        let after = self.traffic.arrived()?;
        Ok(Sample {
            nanoseconds: sent.nanoseconds,
            sent: sent.packets,
            arrived: after.packets - before.packets,
            late: after.late - before.late,
        })
    }

    /// Sends packets to a balancer on another CPU, and waits until that has done with them.
    pub fn send_across(&mut self, load: Load, count: Count) -> Result<Sample> {
        let sample = self.send(load, false, count)?;
        let sent = self.traffic.arrived()?;
        let mut last = sent.clone();
        let after = wait_until("the packets on their way have come to their end", END_LIMIT, || {
            let now = self.traffic.arrived()?;
            let is_quiet = now == last;
            last = now;
            Ok(is_quiet.then(|| last.clone()))
        })?;
        Ok(Sample {
            arrived: sample.arrived + after.packets - sent.packets,
            late: sample.late + after.late - sent.late,
            ..sample
        })
    }

    fn packets(&self, load: Load, is_in_order: bool) -> Result<Packets> {
        Ok(Packets {
            frame: load.subject.frame(load.bytes),
            flows: load.flows,
            is_in_order,
            exit: self.exit(load.subject)?,
        })
    }
}

fn floors() -> Result<Floors> {
    let subject = Subject::Floor(Floor::Balancer);
    Floors::new(&Job {
        vip: subject.vip(),
        protocols: &[protocol::UDP],
        backends: &subject.backends(),
        source: FIRST_SOURCE,
        destination_mac: BACKEND_MAC,
        source_mac: BALANCER_MAC,
    })
}

/// Puts a subject where it is to be.
fn install(subject: Subject, netns: &Netns, floors: &mut Floors) -> Result<()> {
    match subject {
        Subject::Floor(floor) => netns.run(|| floors.attach(floor, DEVICE)),
        Subject::Lb(_) => Ok(()),
        Subject::Router => make_router(netns),
        Subject::Nft(ruleset) => {
            make_router(netns)?;
            nft::set(netns, ruleset, subject.vip(), &subject.backends())
        }
    }
}
