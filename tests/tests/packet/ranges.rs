//! Services with several ports or addresses: one port goes before a range that it lies in, and a range before every port; one address before
//! a prefix, and a longer prefix before a shorter one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::reason::Reason;
use lb_tests::needs_bpf;
use lb_tests::packet::objects::objects;
use lb_tests::packet::places::Family;
use lb_tests::packet::{Frame, Icmp, Setup, World, bad_checksum, pool, service};
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::core::prefix::Prefix;

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

/// Which backend a packet goes to, by its outer destination; `None`: to nobody.
fn backend_of(world: &mut World, packet: &Frame) -> Option<u32> {
    let outcome = world.run(&packet.bytes());
    match outcome.reason {
        None => Some(outcome.trace.backend),
        Some(reason) => {
            assert!([Reason::NoService, Reason::NotTcpUdp].contains(&reason), "{reason:?}");
            None
        }
    }
}

/// An address like the service's, but for its last octet.
fn beside(family: Family, last: u8) -> IpAddr {
    match family.service().ip() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            [a, b, c, last].into()
        }
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0xff | u128::from(last)).into(),
    }
}

/// The service's address and those around it: all that have so many last bits besides.
fn around(family: Family, bits: u8, port: u16, protocol: Protocol) -> Vip {
    let prefix = Prefix {
        address: family.service().ip(),
        length: Prefix::host(family.service().ip()).length - bits,
    };
    Vip {
        address: prefix.network(),
        length: prefix.length,
        ..family.vip(protocol).at(port)
    }
}

/// The service's address is .10 in both families (or :10), so the prefixes are .8/29, .0/28 and .0/24.
#[test]
fn the_longest_prefix_takes_an_address() {
    needs_bpf!();
    for (flow_table, family) in objects().flat_map(|object| Family::BOTH.map(|family| (object, family))) {
        // Set up.
        let mut world = World::new(&Setup {
            flow_table,
            ..Setup::default()
        });
        let near = around(family, 4, 80, Protocol::Tcp);
        let far = around(family, 8, 80, Protocol::Tcp);
        let far_any = Vip {
            last_port: u16::MAX,
            ..around(family, 8, 0, Protocol::Any)
        };
        let own = family.vip(Protocol::Tcp).at(81);
        let all = [
            (near, 1, Mode::L2),
            (far, 2, Mode::Ipip),
            (far_any, 3, Mode::Gue),
            (own, 4, Mode::L2),
        ];
        for (vip, number, mode) in all {
            world.serve(&service(vip, mode, pool([family.backend(number)])));
        }
        let [near_id, far_id, any_id, own_id] = all.map(|(vip, number, _)| Some(world.id(vip, family.backend(number))));
        // Check.
        let client = family.client(0);
        let tcp = |last, port| Frame::tcp(client, SocketAddr::new(beside(family, last), port)).syn();
        let service = match family.service().ip() {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        let other = service ^ 1;
        for (packet, wanted) in [
            (tcp(service, 80), near_id),
            (tcp(other, 80), near_id),
            (tcp(service ^ 0x40, 80), far_id),
            (tcp(service, 81), own_id),
            (tcp(other, 81), any_id),
            (tcp(service ^ 0x80, 9999), any_id),
            (
                Frame::sctp(client, SocketAddr::new(beside(family, other), 80), 1),
                any_id,
            ),
            (Frame::of_protocol(client.ip(), beside(family, service), 47), any_id),
        ] {
            assert_eq!(backend_of(&mut world, &packet), wanted, "{family:?} {packet:?}");
        }
        // Its addresses are the balancer's to answer for.
        let kind = if family == Family::V4 { (8, 0) } else { (128, 0) };
        let echo = Icmp::new(client.ip(), beside(family, other), kind);
        world.answered("echo", &echo.bytes(), Reason::EchoAnswered);
        // What goes uncovers what lies under it.
        world.remove(near);
        assert_eq!(backend_of(&mut world, &tcp(other, 80)), far_id);
        world.remove(far_any);
        assert_eq!(backend_of(&mut world, &tcp(other, 81)), None);
        assert_eq!(backend_of(&mut world, &tcp(other, 80)), far_id);
        world.remove(far);
        assert_eq!(backend_of(&mut world, &tcp(other, 80)), None);
        assert_eq!(backend_of(&mut world, &tcp(service, 81)), own_id);
        world.remove(own);
        assert_eq!(backend_of(&mut world, &tcp(service, 81)), None);
    }
}
