//! Reasons that lie in the maps.

use std::net::{Ipv4Addr, SocketAddrV4};

use lb_common::abi::{self, Entry};
use lb_common::flow;
use lb_common::reason::Reason;
use lb_tests::packet::flows::flow_key;
use lb_tests::packet::places::{BACKEND_HOP, CLIENT, MTU, SERVICE, SOURCES, backend, client, vip};
use lb_tests::packet::{Flows, Frame, Setup, World, pool, service};
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::core::observed::{ResolvedHop, RouteHop};
use lb_userspace::core::plan::{Op, Wanted};

use super::{Row, of_fullnat, special, usual};

const TCP: Vip = vip(Protocol::Tcp);

/// Where the backend sees the first flow of a `fullnat` world come from.
const FIRST: SocketAddrV4 = SocketAddrV4::new(SOURCES[0], 20000);

/// Through an interface that nothing says packets can be sent through.
const ELSEWHERE: ResolvedHop = ResolvedHop {
    egress: 0xffff,
    ..BACKEND_HOP
};

fn syn() -> Vec<u8> {
    Frame::tcp(CLIENT, SERVICE).syn().bytes()
}

fn data() -> Vec<u8> {
    Frame::tcp(CLIENT, SERVICE).data(b"data").bytes()
}

/// A packet of so many bytes from the IP header on.
fn long(bytes: usize) -> Vec<u8> {
    Frame::tcp(CLIENT, SERVICE)
        .syn()
        .payload(&vec![0x5a; bytes - 40])
        .bytes()
}

/// The same to the MAC of a group.
fn to_many(bytes: usize) -> Vec<u8> {
    let mut packet = long(bytes);
    packet[0] |= 1;
    packet
}

fn answer(to: SocketAddrV4) -> Frame {
    Frame::tcp(backend(1), to).ack()
}

fn fullnat(world: &mut World) {
    usual(world, Mode::Fullnat);
}

fn nat(world: &mut World) {
    usual(world, Mode::Nat);
}

fn l2(world: &mut World) {
    usual(world, Mode::L2);
}

fn ipip(world: &mut World) {
    usual(world, Mode::Ipip);
}

/// `fullnat` with the client's flow in its table.
fn with_flow(world: &mut World) {
    fullnat(world);
    world.sent("SYN", &syn());
}

/// The service over TCP, its one backend as `change` says.
fn changed(mode: Mode, change: impl FnOnce(&mut Wanted)) -> Wanted {
    let mut wanted = service(TCP, mode, pool([backend(1)]));
    change(&mut wanted);
    wanted
}

pub fn rows() -> Vec<Row> {
    let mut rows = of_the_backend();
    rows.extend(of_the_flow());
    rows.extend(of_the_flow_table());
    rows.extend(of_the_client());
    rows.extend(of_the_way_back());
    rows.extend(of_the_driver());
    rows.extend(faults());
    rows.extend(faulty_numbers());
    rows
}

fn of_the_backend() -> Vec<Row> {
    let full = MTU as usize;
    vec![
        special(Reason::TooBigAnswered, "more than the link takes", long(full + 1), l2),
        special(
            Reason::TooBigAnswered,
            "more than the link takes, nat",
            long(full + 1),
            nat,
        ),
        of_fullnat(
            Reason::TooBigAnswered,
            "more than the link takes, fullnat",
            long(full + 1),
            fullnat,
        ),
        special(
            Reason::TooBigAnswered,
            "fits without the outer header alone",
            long(full - 19),
            ipip,
        ),
        special(
            Reason::TooBig,
            "more than the link takes, sent to many",
            to_many(full + 1),
            l2,
        ),
        special(Reason::NoBackend, "nobody behind the service", syn(), |world| {
            world.serve(&service(TCP, Mode::Nat, Vec::new()));
        }),
        of_fullnat(Reason::NoBackend, "nobody who takes new flows", syn(), |world| {
            world.serve(&changed(Mode::Fullnat, |wanted| wanted.backends[0].weight = 0));
        }),
        special(Reason::NoBackend, "nobody any more", syn(), |world| {
            ipip(world);
            world.serve(&service(TCP, Mode::Ipip, Vec::new()));
        }),
        special(Reason::NoNextHop, "the neighbour does not answer", syn(), |world| {
            world.serve(&changed(Mode::L2, |wanted| wanted.backends[0].hop = None));
        }),
        special(Reason::NoNextHop, "an interface that is not ours", syn(), |world| {
            world.serve(&changed(Mode::Nat, |wanted| wanted.backends[0].hop = Some(ELSEWHERE)));
        }),
        of_fullnat(
            Reason::NoNextHop,
            "the neighbour of an old flow is gone",
            data(),
            |world| {
                with_flow(world);
                world.serve(&changed(Mode::Fullnat, |wanted| {
                    wanted.backends[0].weight = 0;
                    wanted.backends[0].hop = None;
                }));
            },
        ),
    ]
}

fn of_the_flow() -> Vec<Row> {
    let nobody = Frame::tcp(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 40000), SERVICE).syn();
    let tcp = || Frame::tcp(CLIENT, SERVICE);
    let unknown = [
        ("data of an unknown flow", data()),
        ("FIN of an unknown flow", tcp().fin().bytes()),
        ("RST of an unknown flow", tcp().rst().bytes()),
        ("SYN ACK of an unknown flow", tcp().syn_ack().bytes()),
    ];
    let mut rows = vec![
        of_fullnat(Reason::BadSource, "from 0.0.0.0", nobody.bytes(), fullnat),
        of_fullnat(Reason::BackendGone, "down", data(), |world| {
            with_flow(world);
            world.serve(&changed(Mode::Fullnat, |wanted| {
                wanted.backends[0].weight = 0;
                wanted.backends[0].alive = false;
            }));
        }),
        of_fullnat(Reason::BackendGone, "removed", data(), |world| {
            with_flow(world);
            world.serve(&service(TCP, Mode::Fullnat, pool([backend(2)])));
        }),
    ];
    rows.extend(unknown.map(|(what, packet)| of_fullnat(Reason::NoFlow, what, packet, fullnat)));
    rows
}

fn of_the_flow_table() -> Vec<Row> {
    // One bucket, and another flow in each of its places.
    let mut crowded = Setup::default();
    crowded.limits.flows = 2;
    let mut one_port = Setup::default();
    one_port.ports.truncate(1);
    vec![
        of_fullnat(Reason::FlowBusy, "a SYN while its flow is made", syn(), in_the_making),
        of_fullnat(Reason::FlowBusy, "data while its flow is made", data(), in_the_making),
        Row {
            setup: crowded,
            ..of_fullnat(Reason::FlowTableFull, "all places are taken", syn(), |world| {
                crowd(world, 4)
            })
        },
        Row {
            setup: one_port,
            ..of_fullnat(Reason::PortsExhausted, "the only port is taken", syn(), |world| {
                crowd(world, 1)
            })
        },
    ]
}

/// The key of the client's flow stands in its place, its value does not.
fn in_the_making(world: &mut World) {
    fullnat(world);
    let flows = Flows::on(world);
    let key = flow_key(CLIENT, world.placed(TCP).id);
    let (first, _) = flow::bucket_pair(key.0, world.dataplane.meta().flow_seed, flows.0.flows.len() as u32);
    let mut bucket = flows.0.flows.load(first as usize);
    bucket.entries[0] = Entry { key: key.0, value: 0 };
    flows.0.flows.store(first as usize, &bucket);
}

/// Other flows.
fn crowd(world: &mut World, flows: u16) {
    fullnat(world);
    for n in 1..=flows {
        world.sent("one of a crowd", &Frame::tcp(client(n), SERVICE).syn().bytes());
    }
}

/// Reasons for which a client is not reached.
fn of_the_client() -> Vec<Row> {
    // A client on this host: the kernel's FIB never forwards to it.
    let local = answer(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4000)).bytes();
    let to_client = answer(CLIENT).bytes();
    vec![
        special(Reason::KernelRoutes, "no route", local.clone(), |world| {
            nat(world);
            world.route_clients(None);
        }),
        special(Reason::KernelRoutes, "no neighbour in the mirror", local, |world| {
            nat(world);
            world.route_clients(Some(RouteHop::AskKernel));
        }),
        special(
            Reason::KernelRoutes,
            "an interface that is not ours",
            to_client,
            |world| {
                nat(world);
                world.route_clients(Some(RouteHop::Via(ELSEWHERE)));
            },
        ),
    ]
}

/// Reasons that lie in a backend's answer.
fn of_the_way_back() -> Vec<Row> {
    let to_client = || answer(CLIENT).bytes();
    let expired = |to| answer(to).ttl(1).bytes();
    let mut short = to_client();
    short[17] = 39;
    short.truncate(14 + 39);
    vec![
        special(Reason::TtlExpiredAnswered, "on the way back, nat", expired(CLIENT), nat),
        of_fullnat(
            Reason::TtlExpiredAnswered,
            "on the way back, fullnat",
            expired(FIRST),
            with_flow,
        ),
        special(Reason::ShortHeader, "on the way back", short, nat),
        special(Reason::NoService, "l2 has no way back", to_client(), l2),
        special(Reason::NoService, "ipip has no way back", to_client(), ipip),
        special(
            Reason::NoService,
            "the way back of a service that is gone",
            to_client(),
            |world| {
                nat(world);
                world.remove(TCP);
            },
        ),
    ]
}

fn of_the_driver() -> Vec<Row> {
    // Of the 256 bytes in front of the packet the kernel keeps 40 for itself: 16 are left.
    vec![Row {
        metadata: 200,
        ..special(Reason::NoHeadroom, "no room for an outer header", syn(), ipip)
    }]
}

/// What only a fault of ours writes into a backend's entry.
fn faults() -> Vec<Row> {
    fn faulty(world: &mut World, mode: Mode, change: impl FnOnce(&mut abi::Backend)) {
        usual(world, mode);
        let placed = world.placed(TCP).backends.values().next().copied();
        let (id, mut entry) = placed.map(|placed| (placed.id, placed.entry)).expect("one backend");
        change(&mut entry);
        world.apply(&[Op::Backend { id, entry }]);
    }
    vec![
        special(Reason::Internal, "a mode that there is not", syn(), |world| {
            faulty(world, Mode::Nat, |entry| entry.mode = 9);
        }),
        of_fullnat(Reason::Internal, "a source that there is no room for", syn(), |world| {
            faulty(world, Mode::Fullnat, |entry| entry.source_first_or_tunnel_port = 40);
        }),
    ]
}

/// Numbers that lead out of the maps.
fn faulty_numbers() -> Vec<Row> {
    vec![
        special(Reason::Internal, "slots that name nobody's entry", syn(), |world| {
            nat(world);
            let (base, size) = (world.placed(TCP).base, world.placed(TCP).size);
            let changes = (base..base + size).map(|slot| (slot, 0x00ff_ffff)).collect();
            world.apply(&[Op::Slots { changes }]);
        }),
        special(
            Reason::Internal,
            "a table behind the end of the slots",
            syn(),
            |world| {
                nat(world);
                let id = world.placed(TCP).id;
                let entry = abi::Service {
                    table_base: 0x00ff_ffff,
                    table_size: 1021,
                    protocol: abi::protocol::TCP,
                    ..abi::Service::NONE
                };
                world.apply(&[Op::Service { id, entry }]);
            },
        ),
    ]
}
