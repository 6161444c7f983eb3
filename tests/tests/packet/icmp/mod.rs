//! ICMP: what comes to a service's address, and what its clients are told, byte for byte.
//!
//! What is expected is built by a crate that computes every length and checksum anew.

mod about;
pub mod answer;
mod client;
mod echo;

use lb_tests::packet::objects::through;
use lb_tests::packet::places::Family;
use lb_tests::packet::world::key;
use lb_tests::packet::{Setup, World, service};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::core::observed::ResolvedHop;
use lb_userspace::core::plan::{Wanted, WantedBackend};

const MODES: [Mode; 5] = [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue];

/// Each mode through each object that can do it, in each family.
fn each() -> impl Iterator<Item = (Mode, Family, Setup)> {
    let modes = through(&MODES).into_iter();
    modes.flat_map(|(mode, setup)| Family::BOTH.map(|family| (mode, family, setup.clone())))
}

/// The service over TCP and UDP with one backend of its family, behind a link that takes so many bytes.
fn world(mode: Mode, family: Family, setup: &Setup, mtu: u16) -> World {
    let mut world = World::new(setup);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        world.serve(&wanted(mode, family, protocol, mtu));
    }
    world
}

/// The service over one protocol.
fn wanted(mode: Mode, family: Family, protocol: Protocol, mtu: u16) -> Wanted {
    let to = WantedBackend {
        key: key(family.backend(1)),
        weight: 1,
        alive: true,
        hop: Some(ResolvedHop { mtu, ..family.hop() }),
    };
    Wanted {
        sources: vec![family.source()],
        ..service(family.vip_of(protocol), mode, vec![to])
    }
}
