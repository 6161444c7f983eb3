//! The program beside the reference model: generated packets, valid, nearly valid and garbage, through both. They agree on what becomes
//! of each: verdict, reason, backend and bytes.
//!
//! `cargo xtask test --full` runs a million packets, the ordinary run 50,000. The seed can be set by `LB_TEST_SEED`. A packet on
//! which they disagree is made as small as it gets and printed; put into `tests/fixtures/differential/`, it is run each time.

mod doors;
mod errors;
mod fragments;
mod generate;
mod pair;

use std::fmt::Write as _;
use std::path::Path;

use lb_lab::is_full;
use lb_tests::needs_flow_table;
use lb_tests::packet::Random;

use generate::Generator;
use pair::Pair;

const SEED: u64 = 0x1ba1_a2ce_0000_0002;

fn seed() -> u64 {
    let given = std::env::var("LB_TEST_SEED").ok();
    given.map_or(SEED, |seed| seed.parse().expect("LB_TEST_SEED is a number"))
}

#[test]
fn the_program_does_what_the_model_says() {
    needs_flow_table!();
    // Set up.
    let packets = if is_full() { 1_000_000 } else { 50_000 };
    let mut generator = Generator::new(Random::seeded(seed()));
    let mut pair = Pair::new();
    for number in 0..packets {
        // Make.
        generator.meet(pair.flows());
        let packet = generator.packet();
        // Check.
        if let Some(difference) = pair.difference(&packet) {
            panic!(
                "packet {number} of seed {}: {difference}\n{}",
                seed(),
                smallest(&packet).unwrap_or_else(|| "it takes the packets before it, too".to_owned())
            );
        }
    }
    println!("{packets} packets: {}", pair.tally);
    pair.tally.assert_all_kinds();
    let followed = pair.followed();
    assert!(
        followed * 50 > packets,
        "{followed} of {packets} were later fragments that found their first"
    );
}

/// The same disagreement with as little as there can be.
fn smallest(packet: &[u8]) -> Option<String> {
    let mut pair = Pair::new();
    pair.difference(packet)?;
    let mut packet = packet.to_vec();
    let mut step = packet.len() / 2;
    while step > 0 {
        let shorter = &packet[..packet.len() - step];
        if shorter.len() >= 14 && pair.difference(shorter).is_some() {
            packet.truncate(packet.len() - step);
        } else {
            step /= 2;
        }
    }
    for place in 0..packet.len() {
        let before = std::mem::replace(&mut packet[place], 0);
        if pair.difference(&packet).is_none() {
            packet[place] = before;
        }
    }
    let difference = pair.difference(&packet)?;
    let hex = packet.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Some(format!("the smallest like it: {difference}\n{hex}"))
}

/// What they once disagreed on, and what nobody thought of.
#[test]
fn old_disagreements() {
    needs_flow_table!();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/differential");
    for entry in std::fs::read_dir(&dir).expect("the fixtures are there") {
        // Set up.
        let path = entry.expect("it can be read").path();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let mut pair = Pair::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            // Make.
            let byte = |at| u8::from_str_radix(&line[at..at + 2], 16).expect("hexadecimal digits");
            let packet: Vec<u8> = (0..line.len()).step_by(2).map(byte).collect();
            // Check.
            let difference = pair.difference(&packet);
            assert_eq!(difference, None, "{}: {line}", path.display());
        }
    }
}
