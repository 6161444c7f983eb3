//! From a changed pool to the last slot written: the plan, and the maps of a loaded program.

use anyhow::{Result, ensure};
use lb_tests::packet::{Setup, World};
use lb_userspace::core::plan::{self, Wanted};

use super::build::{paper_time, slots, timed};
use super::pool::{Pool, Shape, VIP, Weights};
use crate::measure::Samples;

/// Times of a change of health.
pub struct Reconciled {
    pub shape: Shape,
    /// Whether the backend came up, or went down.
    pub up: bool,
    /// Milliseconds from the changed pool to the last write, one a round.
    pub time: Samples,
    /// Milliseconds of building such a table with the paper's code, one a round.
    pub paper: Samples,
    /// Of `time`, milliseconds of writing.
    pub writing: Samples,
    /// Slots written, one a round.
    pub slots: Samples,
}

/// Takes a backend down and brings it back up again in each round, each time another one.
///
/// # Errors
///
/// The plan finds no room, the kernel refuses a write, the maps do not hold what was written.
pub fn health(shape: Shape, rounds: usize) -> Result<[Reconciled; 2]> {
    let mut world = world(shape);
    let pool = Pool::new(shape.backends, Weights::Equal);
    let members = pool.members();
    let all_up = pool.wanted(shape.size);
    world.serve(&all_up);
    let mut found = [false, true].map(|up| Reconciled {
        shape,
        up,
        time: Samples::default(),
        paper: Samples::default(),
        writing: Samples::default(),
        slots: Samples::default(),
    });
    for subject in pool.subjects(rounds).into_iter().cycle().take(rounds) {
        let mut one_down = all_up.clone();
        one_down.backends[subject].weight = 0;
        one_down.backends[subject].alive = false;
        let id = world.placed(VIP).backends[&all_up.backends[subject].key].id;
        for (case, wanted) in found.iter_mut().zip([&one_down, &all_up]) {
            step(&mut world, wanted, case)?;
            case.paper.push(paper_time(shape.size, &members));
            let owns = world.placed(VIP).owners.contains(&id);
            ensure!(
                owns == case.up,
                "{shape}: a backend that changed its health kept its slots"
            );
        }
    }
    Ok(found)
}

/// Maps with room for one service of this shape.
pub fn world(shape: Shape) -> World {
    World::new(&Setup {
        limits: shape.limits(),
        trace: false,
        ..Setup::default()
    })
}

fn step(world: &mut World, wanted: &Wanted, case: &mut Reconciled) -> Result<()> {
    let (planning, ops) = timed(|| plan::service(&mut world.image, wanted, world.sweep));
    let ops = ops?;
    let (writing, written) = timed(|| world.dataplane.apply(&ops));
    written?;
    case.time.push(planning + writing);
    case.writing.push(writing);
    case.slots.push(slots(&ops) as f64);
    Ok(())
}
