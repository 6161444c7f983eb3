//! Another balancer under load.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::tunnelled::{self, Tunnel};
use super::{Counters, Job, Peer};
use crate::bpf::feed::{Fed, Flows, Timed, Traffic};
use crate::packet::world::{self, Kind};

/// What a packet finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Its connection in the table, one of that many.
    Known(u32),
    /// A service that has no connection table, as one of that many flows.
    Stateless(u32),
    /// A table, full, that does not know its connection: that is stored in place of another.
    New,
    /// No service.
    NotOurs,
}

/// A loaded balancer, with its feeder.
pub struct Rival {
    peer: Box<dyn Peer>,
    fed: Fed,
    job: Job,
    /// Number of the next flow that it has not seen.
    next: u32,
}

impl Rival {
    pub(super) fn new(peer: Box<dyn Peer>, job: &Job) -> Result<Self> {
        let fed = Fed::new(&peer.program()?, 1)?;
        Ok(Self {
            peer,
            fed,
            job: job.clone(),
            next: 0,
        })
    }

    /// What was loaded, and how it was set up.
    pub fn setup(&self) -> &str {
        self.peer.setup()
    }

    /// Lets that many more flows open a connection, by their own packets.
    ///
    /// # Errors
    ///
    /// One of them was not stored.
    pub fn open(&mut self, flows: u32) -> Result<()> {
        let last = self.next + flows;
        while self.next < last {
            let packets = self.peer.packets_at_once().min(last - self.next);
            self.watch(Way::New, Kind::Syn, packets, |fed, traffic| fed.run(traffic, packets))
                .context("cannot fill the connection table")?;
        }
        Ok(())
    }

    /// Shows that the table holds the connections of so many flows, from `first` on, or of none of them; those it does then.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn check_known(&mut self, first: u32, flows: u32, are_known: bool) -> Result<()> {
        let traffic = self.traffic(Way::Known(flows), Kind::Established);
        let traffic = Traffic {
            flows: Flows::Next(first),
            ..traffic
        };
        self.peer.make_ready()?;
        let before = self.peer.counters()?;
        self.fed.run(&traffic, flows)?;
        let missed = self.peer.counters()?.since(&before).not_in_table;
        let wanted = if are_known { 0 } else { flows as u64 };
        ensure!(
            missed == wanted,
            "of {flows} connections from number {first} on the table lacks {missed}, not {wanted}"
        );
        Ok(())
    }

    /// Shows the way of packets by one of them and by the counters; how they leave, if they do.
    ///
    /// # Errors
    ///
    /// They take another, or are sent damaged.
    pub fn prove(&mut self, way: Way, kind: Kind) -> Result<Option<Tunnel>> {
        let backends = self.job.backends.clone();
        let gateway = self.job.gateway;
        self.watch(way, kind, 1, |fed, traffic| {
            let outcome = fed.once(traffic)?;
            if way == Way::NotOurs {
                tunnelled::check_passed(&outcome, &traffic.frame)?;
                return Ok(None);
            }
            let sent = tunnelled::read(&outcome, &traffic.frame, gateway)?;
            ensure!(
                backends.contains(&sent.backend),
                "it was sent to {}, no backend",
                sent.backend
            );
            Ok(Some(sent.tunnel))
        })
    }

    /// Runs that many packets, and takes the time.
    ///
    /// # Errors
    ///
    /// One of them took another way.
    pub fn time(&mut self, way: Way, kind: Kind, packets: u32) -> Result<Timed> {
        let mut whole = Timed {
            runs: 0,
            time: Duration::ZERO,
        };
        while whole.runs < packets {
            let now = self.peer.packets_at_once().min(packets - whole.runs);
            let timed = self.watch(way, kind, now, |fed, traffic| fed.time(traffic, now))?;
            whole.runs += timed.runs;
            whole.time += timed.time;
        }
        Ok(whole)
    }

    /// Runs packets and shows by the balancer's own counters that each took the way.
    fn watch<T>(
        &mut self,
        way: Way,
        kind: Kind,
        packets: u32,
        run: impl FnOnce(&mut Fed, &Traffic) -> Result<T>,
    ) -> Result<T> {
        let traffic = self.traffic(way, kind);
        self.peer.make_ready()?;
        if kind == Kind::Udp {
            // A UDP connection is forgotten after a while without packets.
            self.fed.run(&traffic, 1)?;
        }
        let before = self.peer.counters()?;
        let done = run(&mut self.fed, &traffic)?;
        let counted = self.peer.counters()?.since(&before);
        if way == Way::New {
            self.next = self.next.wrapping_add(counted.seen as u32);
        }
        check(way, packets, &counted)?;
        Ok(done)
    }

    fn traffic(&self, way: Way, kind: Kind) -> Traffic {
        match way {
            Way::Known(flows) => world::traffic_to(self.job.service, kind, Flows::Random(flows)),
            Way::Stateless(flows) => world::traffic_to(self.job.stateless, kind, Flows::Random(flows)),
            Way::New => world::traffic_to(self.job.service, kind, Flows::Next(self.next)),
            Way::NotOurs => world::not_ours(Flows::Random(1)),
        }
    }
}

/// Shows that all packets, `packets` or a few more, took the way.
fn check(way: Way, packets: u32, counted: &Counters) -> Result<()> {
    let all = counted.seen;
    ensure!(all >= packets as u64, "only {all} of {packets} packets were seen");
    let sent = Counters {
        seen: all,
        sent: all,
        to_service: all,
        to_backends: all,
        // Counted of whatever misses the table, but of interest only where something was to be stored.
        not_stored: counted.not_stored,
        ..Counters::default()
    };
    let wanted = match way {
        Way::Known(_) => sent,
        Way::Stateless(_) => Counters {
            not_in_table: all,
            ..sent
        },
        Way::New => Counters {
            not_in_table: all,
            not_stored: 0,
            ..sent
        },
        Way::NotOurs => Counters {
            seen: all,
            passed: all,
            not_stored: counted.not_stored,
            ..Counters::default()
        },
    };
    let unlike = counted.unlike(&wanted);
    ensure!(
        unlike.is_empty(),
        "of {all} packets some took another way than {way:?}: {unlike}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_takes_another_way_is_noticed() -> Result<()> {
        let sent = Counters {
            seen: 10,
            sent: 10,
            to_service: 10,
            to_backends: 10,
            ..Counters::default()
        };
        let missed = Counters {
            not_in_table: 10,
            ..sent
        };
        let passed = Counters {
            seen: 10,
            passed: 10,
            ..Counters::default()
        };
        let ways = [
            (Way::Known(1), sent),
            (Way::Stateless(1), missed),
            (Way::New, missed),
            (Way::NotOurs, passed),
        ];
        for (way, counted) in ways {
            check(way, 10, &counted)?;
            assert!(check(way, 11, &counted).is_err(), "{way:?}: one was not seen");
            for wrong in [
                Counters {
                    sent: 9,
                    dropped: 1,
                    ..counted
                },
                Counters {
                    not_in_table: 1,
                    ..counted
                },
                Counters {
                    wrong_table: 10,
                    ..counted
                },
                Counters {
                    to_backends: 9,
                    ..counted
                },
            ] {
                assert!(check(way, 10, &wrong).is_err(), "{way:?}: {wrong:?}");
            }
        }
        let too_many = Counters {
            not_stored: 3,
            ..missed
        };
        check(Way::Stateless(1), 10, &too_many)?;
        let error = check(Way::New, 10, &too_many).expect_err("three were not stored");
        let text = error.to_string();
        assert!(
            text.ends_with("3 not stored because too many flows were new, not 0"),
            "{text}"
        );
        Ok(())
    }
}
