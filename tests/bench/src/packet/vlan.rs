//! Clients in one VLAN and backends in another: a service of a mode each, and clients' packets to it.

use std::net::SocketAddrV4;

use lb_tests::packet::places::TUNNEL_PORT;
use lb_tests::packet::tag::{Tag, customer, hop_tags, tagged};
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::core::observed::ResolvedHop;
use lb_userspace::core::plan::{Wanted, WantedBackend};

use super::world::{self, BACKENDS, Kind, TABLE_SIZE};
use crate::bpf::feed::{Flows, Traffic};

/// Modes that are measured.
pub const MODES: [Mode; 2] = [Mode::Ipip, Mode::L2];
/// Tags of clients and of backends.
const CLIENTS: Tag = customer(100);
const BACKENDS_TAG: Tag = customer(200);
/// Port of such a service, at the address of its mode's.
const PORT: u16 = 81;

pub fn vip(mode: Mode) -> Vip {
    world::vip(mode, Protocol::Tcp).at(PORT)
}

pub fn wanted(mode: Mode) -> Wanted {
    Wanted {
        vip: vip(mode),
        mode,
        table_size: TABLE_SIZE,
        tunnel_port: TUNNEL_PORT,
        spread: Vec::new(),
        mss_clamp: None,
        sources: vec![world::TUNNEL_SOURCE.into()],
        backends: (0..BACKENDS).map(|number| backend(mode, number)).collect(),
    }
}

fn backend(mode: Mode, number: u16) -> WantedBackend {
    let plain = world::backend(mode, number);
    WantedBackend {
        hop: plain.hop.map(|hop| ResolvedHop {
            tags: hop_tags(&[BACKENDS_TAG]),
            ..hop
        }),
        ..plain
    }
}

/// Packets of clients.
pub fn traffic(mode: Mode, flows: Flows) -> Traffic {
    let door = SocketAddrV4::new(*world::door(mode).ip(), PORT);
    let frame = Kind::Established.frame(world::client(), door);
    Traffic {
        frame: tagged(&frame, &[CLIENTS]),
        flows,
    }
}
