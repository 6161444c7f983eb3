//! What addresses can be, by their last two octets: right where addresses end alike, and after a daemon was killed.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use lb_common::flow::DEFAULT_HASH_KEY;
use lb_common::reason::Reason;
use lb_tests::packet::places::{CLIENT_HOP, SERVICE, SOURCES, backend, client, vip};
use lb_tests::packet::{Frame, Setup, World, pool, service};
use lb_tests::{needs_bpf, needs_flow_table};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::core::observed::RouteHop;
use lb_userspace::core::plan;
use lb_userspace::core::prefix::Prefix;
use lb_userspace::edge::dataplane::run::Runner;
use lb_userspace::edge::dataplane::testing::forget_roles;
use lb_userspace::edge::dataplane::{Dataplane, Options};

const TCP: lb_userspace::core::model::Vip = vip(Protocol::Tcp);

/// An address that ends as another does.
fn ends_as(address: Ipv4Addr) -> Ipv4Addr {
    let [_, _, third, fourth] = address.octets();
    Ipv4Addr::new(172, 16, third, fourth)
}

/// Source of a packet, as it lies there.
fn source(packet: &[u8]) -> SocketAddrV4 {
    let octets = [packet[26], packet[27], packet[28], packet[29]];
    SocketAddrV4::new(octets.into(), u16::from_be_bytes([packet[34], packet[35]]))
}

#[test]
fn an_address_that_ends_as_a_services_is_nobodys() {
    needs_bpf!();
    let mut world = World::default();
    world.serve(&service(TCP, Mode::Nat, pool([backend(1)])));
    let stranger = SocketAddrV4::new(ends_as(*SERVICE.ip()), SERVICE.port());
    let from_stranger = SocketAddrV4::new(ends_as(*backend(1).ip()), backend(1).port());
    world.not_sent("to", &Frame::tcp(client(0), stranger).syn().bytes(), Reason::NoService);
    world.not_sent(
        "from",
        &Frame::tcp(from_stranger, client(0)).ack().bytes(),
        Reason::NoService,
    );
    world.sent("the service", &Frame::tcp(client(0), SERVICE).syn().bytes());
    world.sent("the backend", &Frame::tcp(backend(1), client(0)).ack().bytes());
    // With the service everything that it was for goes.
    world.remove(TCP);
    for frame in [
        Frame::tcp(client(0), SERVICE).syn(),
        Frame::tcp(backend(1), client(0)).ack(),
    ] {
        world.not_sent("gone", &frame.bytes(), Reason::NoService);
    }
}

#[test]
fn two_services_may_end_alike() {
    needs_bpf!();
    let mut world = World::default();
    let other = lb_userspace::core::model::Vip {
        address: ends_as(*SERVICE.ip()).into(),
        ..TCP
    };
    let to_other = Frame::tcp(client(0), SocketAddr::new(other.address, other.port)).syn();
    world.serve(&service(TCP, Mode::L2, pool([backend(1)])));
    world.serve(&service(other, Mode::L2, pool([backend(2)])));
    world.remove(TCP);
    world.sent("the one that is left", &to_other.bytes());
    world.not_sent(
        "the other",
        &Frame::tcp(client(0), SERVICE).syn().bytes(),
        Reason::NoService,
    );
}

#[test]
fn answers_find_their_clients_where_two_sources_end_alike() {
    needs_flow_table!();
    let mut world = World::default();
    let mut wanted = service(TCP, Mode::Fullnat, pool([backend(1)]));
    wanted.sources.push(ends_as(SOURCES[0]).into());
    let sources = wanted.sources.clone();
    world.serve(&wanted);
    let mut seen = [0; 2];
    for n in 0..50 {
        let out = world.sent("a new flow", &Frame::tcp(client(n), SERVICE).syn().bytes());
        let from = source(&out);
        let number = sources.iter().position(|address| address == from.ip());
        seen[number.expect("a source of the service")] += 1;
        let back = world.sent("its answer", &Frame::tcp(backend(1), from).syn_ack().bytes());
        assert_eq!(source(&back), SERVICE);
    }
    assert!(seen.iter().all(|flows| *flows > 5), "both sources are used: {seen:?}");
}

/// A directory of pins that goes with the test.
struct Pins(PathBuf);

impl Drop for Pins {
    fn drop(&mut self) {
        // A test that failed early has made none.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(pins: &Pins) -> World {
    let setup = Setup::default();
    let (mut dataplane, image) = Dataplane::open(&Options {
        pin_dir: Some(pins.0.clone()),
        limits: setup.limits,
        hash_key: DEFAULT_HASH_KEY,
        traced: false,
        flow_table: setup.flow_table,
        ports: Some(setup.ports),
    })
    .expect("the data plane opens");
    let runner = Runner::new(&mut dataplane).expect("the trace is mapped");
    World {
        dataplane: dataplane.into(),
        image,
        runner,
        sweep: 0,
    }
}

#[test]
fn a_daemon_that_adopts_maps_mends_what_was_not_written() {
    needs_flow_table!();
    let pins = Pins(PathBuf::from(format!(
        "/sys/fs/bpf/lb-test-{}-roles",
        std::process::id()
    )));
    let mut first = open(&pins);
    let everywhere = Prefix {
        address: Ipv4Addr::UNSPECIFIED.into(),
        length: 0,
    };
    let ops = plan::routes(&mut first.image, &[(everywhere, RouteHop::Via(CLIENT_HOP))].into());
    first.apply(&ops);
    first.serve(&service(TCP, Mode::Fullnat, pool([backend(1)])));
    first.serve(&service(vip(Protocol::Udp), Mode::Nat, pool([backend(2)])));
    let to_fullnat = Frame::tcp(client(0), SERVICE).syn().bytes();
    let from = source(&first.sent("fullnat", &to_fullnat));
    let ways = [
        Frame::tcp(client(0), SERVICE).ack(),
        Frame::tcp(backend(1), from).syn_ack(),
        Frame::udp(client(0), SERVICE),
        Frame::udp(backend(2), client(0)),
    ];
    forget_roles(&pins.0).expect("the map is pinned");
    for way in &ways {
        first.not_sent("forgotten", &way.bytes(), Reason::NoService);
    }
    drop(first);
    let mut second = open(&pins);
    assert!(second.dataplane.adopted());
    for way in &ways {
        second.sent("mended", &way.bytes());
    }
}
