//! Services with several ports: one port goes before a range that it lies in, and a range before every port.

use std::net::{Ipv4Addr, SocketAddr};

use lb_common::reason::Reason;
use lb_tests::needs_bpf;
use lb_tests::packet::objects::objects;
use lb_tests::packet::places::Family;
use lb_tests::packet::{Frame, Setup, World, bad_checksum, pool, service};
use lb_userspace::core::model::{Mode, Protocol, Vip};

/// The service's address with these ports.
fn vip(family: Family, port: u16, last_port: u16) -> Vip {
    Vip {
        last_port,
        ..family.vip(Protocol::Tcp).at(port)
    }
}

/// Which backend a packet to a port goes to, by its outer destination; `None`: to nobody.
fn taken(world: &mut World, family: Family, port: u16) -> Option<u32> {
    let to = SocketAddr::new(family.service().ip(), port);
    let outcome = world.run(&Frame::tcp(family.client(0), to).syn().bytes());
    match outcome.reason {
        None => {
            assert_eq!(bad_checksum(&outcome.packet), None);
            Some(outcome.trace.backend)
        }
        Some(reason) => {
            assert_eq!(reason, Reason::NoService, "{port}");
            None
        }
    }
}

#[test]
fn the_smallest_range_takes_a_port() {
    needs_bpf!();
    for (flow_table, family) in objects().flat_map(|object| Family::BOTH.map(|family| (object, family))) {
        // Set up.
        let mut world = World::new(&Setup {
            flow_table,
            ..Setup::default()
        });
        let (one, range, any) = (
            vip(family, 8050, 8050),
            vip(family, 8000, 8099),
            vip(family, 0, u16::MAX),
        );
        for (number, vip, mode) in [(1, any, Mode::L2), (2, range, Mode::Ipip), (3, one, Mode::Gue)] {
            world.serve(&service(vip, mode, pool([family.backend(number)])));
        }
        let id = |world: &World, vip, number| Some(world.id(vip, family.backend(number)));
        // Check.
        let (all, some, own) = (id(&world, any, 1), id(&world, range, 2), id(&world, one, 3));
        for port in [0, 1, 80, 7999, 8100, 9000, u16::MAX] {
            assert_eq!(taken(&mut world, family, port), all, "{family:?} {port}");
        }
        for port in [8000, 8001, 8049, 8051, 8063, 8064, 8098, 8099] {
            assert_eq!(taken(&mut world, family, port), some, "{family:?} {port}");
        }
        assert_eq!(taken(&mut world, family, 8050), own);
        assert_eq!(world.counted(range).packets, 8);
        // Another mode is another service in its place.
        world.serve(&service(range, Mode::L2, pool([family.backend(4)])));
        let other = id(&world, range, 4);
        for port in [8000, 8063, 8064, 8099] {
            assert_eq!(taken(&mut world, family, port), other, "{family:?} {port}");
        }
        // What goes uncovers what lies under it.
        world.remove(one);
        assert_eq!(taken(&mut world, family, 8050), other);
        world.remove(range);
        assert_eq!(taken(&mut world, family, 8050), all);
        world.remove(any);
        assert_eq!(taken(&mut world, family, 8050), None);
    }
}

/// Of another protocol, and at another address, is another service's.
#[test]
fn a_range_is_of_its_address_and_protocol() {
    needs_bpf!();
    let mut world = World::default();
    let any = vip(Family::V4, 0, u16::MAX);
    world.serve(&service(any, Mode::L2, pool([Family::V4.backend(1)])));
    let door = Family::V4.service();
    world.not_sent(
        "UDP",
        &Frame::udp(Family::V4.client(0), door).bytes(),
        Reason::NoService,
    );
    let ends_alike = SocketAddr::new(Ipv4Addr::new(10, 99, 2, 10).into(), 80);
    let packet = Frame::tcp(Family::V4.client(0), ends_alike).syn().bytes();
    world.not_sent("another address", &packet, Reason::NoService);
}
