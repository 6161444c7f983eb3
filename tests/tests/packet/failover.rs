//! A backend that dies leaves a large table: what is written, and how long that takes on this machine.

use std::time::Instant;

use lb_tests::needs_bpf;
use lb_tests::packet::places::{SERVICE, backend, client, vip};
use lb_tests::packet::{Frame, Setup, World, pool, service};
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::core::plan::{self, Op, Wanted};

const TCP: Vip = vip(Protocol::Tcp);
const TABLE_SIZE: u32 = 65_537;

fn of(numbers: std::ops::RangeInclusive<u8>) -> Wanted {
    let table_size = TABLE_SIZE;
    let backends = pool(numbers.map(backend));
    Wanted {
        table_size,
        ..service(TCP, Mode::Ipip, backends)
    }
}

/// Only slots are written, those of the dead backend and few others. The time is said, not judged.
#[test]
fn a_dead_backend_leaves_a_large_table() {
    needs_bpf!();
    // Make: the first of ten backends dies.
    let mut after = of(1..=10);
    after.backends[0].weight = 0;
    after.backends[0].alive = false;
    // Set up.
    let mut setup = Setup::default();
    setup.limits.slots = TABLE_SIZE;
    let mut world = World::new(&setup);
    world.serve(&of(1..=10));
    let dead = world.id(TCP, backend(1));
    let before = world.placed(TCP).owners.clone();
    let its = before.iter().filter(|owner| **owner == dead).count();
    // Check.
    let begun = Instant::now();
    let ops = plan::service(&mut world.image, &after, 0).expect("there is room");
    let planned = begun.elapsed();
    world.apply(&ops);
    println!(
        "{its} of {TABLE_SIZE} slots: planned in {planned:?}, written after {:?}",
        begun.elapsed()
    );
    let [Op::Backend { id, .. }, Op::Slots { changes }] = ops.as_slice() else {
        panic!("{} steps", ops.len());
    };
    assert_eq!(*id, dead);
    let others = changes
        .iter()
        .filter(|(slot, _)| before[*slot as usize] != dead)
        .count();
    assert_eq!(changes.len(), its + others);
    // Maglev's own disturbance, as the paper has it: a few slots in a hundred.
    assert!(others * 20 < TABLE_SIZE as usize, "{others} slots of living backends");
    assert!(!world.placed(TCP).owners.contains(&dead));
    for n in 0..1000 {
        let trace = world.run(&Frame::tcp(client(n), SERVICE).syn().bytes()).trace;
        assert_ne!(trace.backend, dead);
        let slot = trace.slot_index as usize;
        assert_eq!(
            trace.backend,
            world.placed(TCP).owners[slot],
            "the maps have what the account says"
        );
    }
}
