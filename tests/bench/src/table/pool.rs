//! The pools that tables are built for, and what happens to one of their backends.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use lb_tests::packet::places::BACKEND_HOP;
use lb_tests::packet::world::key;
use lb_userspace::core::maglev::{Member, identity};
use lb_userspace::core::model::{Limits, Mode, Protocol, Vip};
use lb_userspace::core::plan::{Wanted, WantedBackend};

/// Address of the first backend; the others follow.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PORT: u16 = 8080;
/// Weight of every backend where all are equal: the mean of those that differ, but even.
pub const EQUAL: u32 = 50;

/// A table and how many share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Slots, a prime.
    pub size: u32,
    pub backends: u32,
}

/// `65537x1000`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.size, self.backends)
    }
}

impl Shape {
    /// Limits with room for one service of this shape and a backend more.
    pub fn limits(self) -> Limits {
        Limits {
            services: 2,
            backends: self.backends + 2,
            slots: self.size,
            flows: 1024,
            sources: 1,
        }
    }
}

/// Weights of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    Equal,
    /// From 1 to 100, as many of each.
    Spread,
}

impl Weights {
    pub const ALL: [Self; 2] = [Self::Equal, Self::Spread];

    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Spread => "weights",
        }
    }

    /// Weight of backend `number` of so many.
    fn of(self, number: u32, backends: u32) -> u32 {
        match self {
            Self::Equal => EQUAL,
            Self::Spread => 1 + number * 99 / (backends - 1).max(1),
        }
    }
}

/// What happens to a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A backend leaves.
    Removed,
    /// A backend joins, of the weight of one that is there.
    Added,
    /// A backend's weight is halved.
    Weight,
}

impl Change {
    pub const ALL: [Self; 3] = [Self::Removed, Self::Added, Self::Weight];

    pub fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Weight => "weight",
        }
    }
}

/// Backends with their weights.
#[derive(Clone, Debug)]
pub struct Pool(Vec<(SocketAddrV4, u32)>);

impl Pool {
    pub fn new(backends: u32, weights: Weights) -> Self {
        Self((0..backends).map(|n| (address(n), weights.of(n, backends))).collect())
    }

    /// The pool after a change to backend `number`.
    pub fn after(&self, change: Change, number: usize) -> Self {
        let mut backends = self.0.clone();
        match change {
            Change::Removed => drop(backends.remove(number)),
            Change::Added => backends.push((address(backends.len() as u32), backends[number].1)),
            Change::Weight => backends[number].1 /= 2,
        }
        Self(backends)
    }

    /// Numbers of backends that changes are tried on: at most so many, from light to the heaviest, none so light that half its
    /// weight is nothing.
    pub fn subjects(&self, most: usize) -> Vec<usize> {
        let count = most.min(self.0.len() / 2).max(1);
        (1..=count).map(|n| n * self.0.len() / count - 1).collect()
    }

    /// As the table sees it.
    pub fn members(&self) -> Vec<Member> {
        let member = |(address, weight): &(SocketAddrV4, u32)| Member {
            identity: identity((*address.ip()).into(), address.port()),
            weight: *weight,
        };
        self.0.iter().map(member).collect()
    }

    /// As the plan sees it, all alive, in a table of so many slots.
    pub fn wanted(&self, size: u32) -> Wanted {
        let backend = |(address, weight): &(SocketAddrV4, u32)| WantedBackend {
            key: key(*address),
            weight: *weight,
            alive: true,
            hop: Some(BACKEND_HOP),
        };
        Wanted {
            vip: VIP,
            mode: Mode::Fullnat,
            table_size: size,
            tunnel_port: 6080,
            spread: Vec::new(),
            mss_clamp: None,
            sources: Vec::new(),
            backends: self.0.iter().map(backend).collect(),
        }
    }
}

/// The service.
pub const VIP: Vip = Vip::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 80, Protocol::Tcp);

fn address(number: u32) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(u32::from(FIRST) + number), PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_changes_something() {
        for (backends, weights) in [2, 3, 10, 100, 1000]
            .into_iter()
            .flat_map(|n| Weights::ALL.map(|w| (n, w)))
        {
            let pool = Pool::new(backends, weights);
            for subject in pool.subjects(8) {
                let weight = pool.0[subject].1;
                let total = |pool: &Pool| pool.0.iter().map(|(_, weight)| weight).sum::<u32>();
                let by = |change| i64::from(total(&pool.after(change, subject))) - i64::from(total(&pool));
                assert_eq!(by(Change::Removed), -i64::from(weight));
                assert_eq!(by(Change::Added), i64::from(weight));
                assert!(weight > 1 && by(Change::Weight) < 0, "{backends} {weights:?} {subject}");
            }
        }
    }

    #[test]
    fn weights_are_spread_from_1_to_100() {
        let weights: Vec<u32> = Pool::new(1000, Weights::Spread).0.iter().map(|(_, w)| *w).collect();
        assert_eq!((weights[0], weights[999]), (1, 100));
        assert!(weights.is_sorted());
    }
}
