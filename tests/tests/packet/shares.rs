//! Each backend gets the share that its weight says.

use std::net::{Ipv4Addr, SocketAddrV4};

use lb_tests::needs_bpf;
use lb_tests::packet::places::{SERVICE, backend, vip};
use lb_tests::packet::{Frame, Setup, World, pool, service};
use lb_userspace::core::model::{Limits, Mode, Protocol, Vip};
use lb_userspace::core::plan::Wanted;
use lb_userspace::edge::dataplane::run::Verdict;

const TCP: Vip = vip(Protocol::Tcp);
const FLOWS: u32 = 100_000;
const TABLE_SIZE: u32 = 65_537;
const WEIGHTS: [u32; 10] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 3];

/// The `n`th flow: fifty clients a network, each with many ports.
fn client(n: u32) -> SocketAddrV4 {
    let address = Ipv4Addr::new(198, 18, (n / 50 % 40) as u8, (n % 50) as u8 + 1);
    SocketAddrV4::new(address, 32768 + (n / 2000) as u16)
}

fn world() -> World {
    let limits = Limits {
        slots: TABLE_SIZE,
        ..Setup::default().limits
    };
    let mut world = World::new(&Setup {
        limits,
        trace: false,
        ..Setup::default()
    });
    let mut backends = pool((1..=10).map(backend));
    for (backend, weight) in backends.iter_mut().zip(WEIGHTS) {
        backend.weight = weight;
    }
    let table_size = TABLE_SIZE;
    world.serve(&Wanted {
        table_size,
        ..service(TCP, Mode::Ipip, backends)
    });
    world
}

/// Packets that each backend got.
fn packets(world: &World) -> Vec<u64> {
    let traffic = world.traffic();
    let of = |n| traffic.of_backend(world.id(TCP, backend(n)));
    (1..=10).map(|n| of(n).packets).collect()
}

/// Each part of the whole is within `tolerance` of its weight's.
fn assert_shares(what: &str, parts: &[u64], tolerance: f64) {
    let (whole, weights) = (parts.iter().sum::<u64>() as f64, WEIGHTS.iter().sum::<u32>() as f64);
    for (n, (part, weight)) in parts.iter().zip(WEIGHTS).enumerate() {
        let wanted = whole * weight as f64 / weights;
        let off = (*part as f64 - wanted) / wanted;
        assert!(
            off.abs() <= tolerance,
            "{what}: backend {}: {part}, {:+.2} % off",
            n + 1,
            off * 100.0
        );
    }
}

#[test]
fn flows_and_slots_are_shared_by_weight() {
    needs_bpf!();
    // Make: each client's flow is its own.
    let mut clients: Vec<SocketAddrV4> = (0..FLOWS).map(client).collect();
    let made = clients.clone();
    clients.sort();
    clients.dedup();
    assert_eq!(clients.len(), FLOWS as usize);
    // Set up.
    let mut world = world();
    let run = |world: &mut World, frame: fn(Frame) -> Frame| {
        for from in &made {
            let packet = frame(Frame::tcp(*from, SERVICE)).bytes();
            let (verdict, _) = world
                .runner
                .verdict(&world.dataplane, &packet)
                .expect("the kernel runs it");
            assert_eq!(verdict, Verdict::Tx);
        }
        packets(world)
    };
    // Check: the flows' shares, that each flow stays where it is, and the table's own shares.
    let first = run(&mut world, Frame::syn);
    assert_eq!(first.iter().sum::<u64>(), u64::from(FLOWS));
    assert_shares("flows", &first, 0.04);
    let both = run(&mut world, Frame::ack);
    assert_eq!(both, first.iter().map(|packets| packets * 2).collect::<Vec<_>>());
    let owners = &world.placed(TCP).owners;
    assert_eq!(owners.len(), TABLE_SIZE as usize);
    let slots = |n| {
        owners
            .iter()
            .filter(|owner| **owner == world.id(TCP, backend(n)))
            .count() as u64
    };
    assert_shares("slots", &(1..=10).map(slots).collect::<Vec<_>>(), 0.005);
}
