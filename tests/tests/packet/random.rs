//! Packets that nobody meant: whatever comes in, it is passed, sent, or dropped under a reason, and counted once.

use std::net::SocketAddrV4;

use lb_common::reason::{Reason, Verdict as Fate};
use lb_tests::needs_bpf;
use lb_tests::packet::objects::{modes_with, objects};
use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, SERVICE, SOURCES, STRANGER, backend, client};
use lb_tests::packet::{Frame, Random, Setup, World, bad_checksum, pool, service};
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::edge::dataplane::run::Verdict;

const PACKETS: usize = 100_000;
/// Lengths of frames, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 14..=1600;
/// Each on a port of the service's address.
const MODES: [Mode; 5] = [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue];
const SEED: u64 = 0x1ba1_a2ce_0000_0001;

/// The seed: another one can be tried by the environment.
fn seed() -> u64 {
    let given = std::env::var("LB_TEST_SEED").ok();
    given.map_or(SEED, |seed| seed.parse().expect("LB_TEST_SEED is a number"))
}

fn door(mode: Mode) -> SocketAddrV4 {
    SocketAddrV4::new(*SERVICE.ip(), SERVICE.port() + mode as u16)
}

fn doors(modes: &[Mode]) -> impl Iterator<Item = (Mode, Vip)> {
    let both = |mode| [Protocol::Tcp, Protocol::Udp].map(|protocol| (mode, protocol));
    modes.iter().copied().flat_map(both).map(|(mode, protocol)| {
        let door = door(mode);
        (mode, Vip::new((*door.ip()).into(), door.port(), protocol))
    })
}

/// Services in these modes, each with backends of its own.
fn world(flow_table: bool, modes: &[Mode]) -> World {
    let mut world = World::new(&Setup {
        trace: false,
        flow_table,
        ..Setup::default()
    });
    for (mode, vip) in doors(modes) {
        let first = mode as u8 * 10;
        world.serve(&service(vip, mode, pool((first..first + 3).map(backend))));
    }
    world
}

/// What happened to packets.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    sent: u64,
    passed: u64,
    dropped: u64,
}

/// An answer to a packet's sender.
fn is_icmp(frame: &[u8]) -> bool {
    match frame[12..14] {
        [0x08, 0x00] => frame[23] == 1,
        [0x86, 0xdd] => frame[20] == 58,
        _ => false,
    }
}

/// What the counters say.
fn counted(world: &World, modes: &[Mode]) -> Tally {
    let mut tally = Tally::default();
    for (reason, packets) in Reason::ALL.iter().zip(world.reasons()) {
        match reason.verdict() {
            Fate::Pass => tally.passed += packets,
            Fate::Drop => tally.dropped += packets,
            Fate::Answer => tally.sent += packets,
        }
    }
    for (_, vip) in doors(modes) {
        let counted = world.counted(vip);
        tally.sent += counted.packets + counted.back_packets;
    }
    tally
}

/// Runs packets of one kind through each object.
fn run_all(make: impl Fn(&mut Random, &[Mode]) -> (Vec<u8>, bool)) {
    for flow_table in objects() {
        let modes = modes_with(flow_table, &MODES);
        run_through(world(flow_table, &modes), &modes, |random| make(random, &modes));
    }
}

/// Runs packets, and checks that the counters add up.
fn run_through(mut world: World, modes: &[Mode], make: impl Fn(&mut Random) -> (Vec<u8>, bool)) {
    // Set up.
    let mut random = Random::seeded(seed());
    let mut tally = Tally::default();
    for number in 0..PACKETS {
        // Make.
        let (packet, is_whole) = make(&mut random);
        assert!(LENGTHS.contains(&packet.len()), "{} bytes", packet.len());
        // Check.
        let (verdict, after) = world
            .runner
            .verdict(&world.dataplane, &packet)
            .expect("the kernel runs it");
        let whose = || format!("packet {number} of seed {:#x}: {packet:02x?}", seed());
        match verdict {
            Verdict::Tx => tally.sent += 1,
            Verdict::Pass => tally.passed += 1,
            Verdict::Drop => tally.dropped += 1,
            Verdict::Redirect | Verdict::Aborted => panic!("{verdict:?}: {}", whose()),
        }
        if verdict == Verdict::Tx {
            let grown = after.len() as isize - packet.len() as isize;
            let is_expected = is_icmp(after) || [0, 20, 28].contains(&grown);
            assert!(is_expected, "grew by {grown} bytes: {}", whose());
            if is_whole {
                assert_eq!(bad_checksum(after), None, "{}", whose());
            }
        }
    }
    assert_eq!(counted(&world, modes), tally, "seed {:#x}", seed());
    assert_eq!(tally.sent + tally.passed + tally.dropped, PACKETS as u64);
    assert_eq!(world.reasons()[Reason::Internal as usize], 0);
    println!("{tally:?}");
}

#[test]
fn random_bytes() {
    needs_bpf!();
    run_all(|random, _| {
        let length = LENGTHS.start() + random.below(LENGTHS.end() - LENGTHS.start() + 1);
        let mut packet = vec![0; length];
        random.fill(&mut packet);
        (packet, false)
    });
}

#[test]
fn valid_packets_cut_and_flipped() {
    needs_bpf!();
    run_all(|random, modes| {
        let mut packet = valid(random, modes).bytes();
        // One in four stays whole, so that there are flows for the others to hit.
        let is_whole = random.below(4) == 0;
        if !is_whole {
            for _ in 0..=random.below(3) {
                damage(random, &mut packet);
            }
        }
        (packet, is_whole)
    });
}

/// A packet to a service, back from a backend, or to somebody else.
fn valid(random: &mut Random, modes: &[Mode]) -> Frame {
    let mode = *random.pick(modes);
    let from = client(random.below(2000) as u16);
    let server = backend(mode as u8 * 10 + random.below(3) as u8);
    let held = SocketAddrV4::new(SOURCES[0], 20000 + random.below(3000) as u16);
    let (from, to, is_back) = match random.below(8) {
        0..=4 => (from, door(mode), false),
        5 => (server, held, true),
        6 => (server, from, true),
        _ => (from, STRANGER, false),
    };
    let mut frame = if random.below(3) == 0 {
        Frame::udp(from, to)
    } else {
        let tcp = Frame::tcp(from, to);
        match random.below(6) {
            0 | 1 => tcp.syn(),
            2 => tcp.fin(),
            3 => tcp.rst(),
            4 => tcp.syn_ack(),
            _ => tcp.ack(),
        }
    };
    if is_back {
        frame = frame.macs(BACKEND_MAC, BALANCER_MAC);
    }
    if random.below(4) == 0 {
        frame = frame.ip_options(&vec![1; 4 * (1 + random.below(10))]);
    }
    let longest = if random.below(2) == 0 { 1440 } else { 40 };
    let payload: Vec<u8> = (0..random.below(longest)).map(|_| random.bits() as u8).collect();
    let frame = frame.payload(&payload).padded(random.below(20));
    frame
        .ttl(1 + random.below(64) as u8)
        .dscp_and_ecn(random.below(64) as u8, random.below(4) as u8)
}

/// Numbers at the edges of what headers hold.
const EDGES: [u8; 12] = [0, 1, 2, 4, 5, 0x0f, 0x40, 0x44, 0x45, 0x4f, 0x60, 0xff];

fn damage(random: &mut Random, packet: &mut Vec<u8>) {
    // Headers are what the program reads: most of the damage goes there.
    let reach = if random.below(4) == 0 {
        packet.len()
    } else {
        packet.len().min(74)
    };
    match random.below(6) {
        0 | 1 => packet[random.below(reach)] ^= 1 << random.below(8),
        2 => packet[random.below(reach)] = *random.pick(&EDGES),
        3 => {
            let at = random.below(reach);
            let end = packet.len().min(at + 1 + random.below(4));
            random.fill(&mut packet[at..end]);
        }
        4 => packet.truncate(LENGTHS.start() + random.below(packet.len() - LENGTHS.start() + 1)),
        _ => packet.resize(packet.len() + random.below(LENGTHS.end() - packet.len() + 1), 0xa5),
    }
}
