//! What it costs to build a table, and what a change costs from the pool to the plan. Pure: no maps.

use std::time::Duration;

use anyhow::Result;
use lb_userspace::core::image::Image;
use lb_userspace::core::maglev::{self, Member};
use lb_userspace::core::plan::{self, Op};

use super::paper;
use super::pool::{Change, Pool, Shape, Weights};
use crate::measure::{Samples, thread_time};

/// Times of building a table.
pub struct Built {
    pub shape: Shape,
    pub weights: Weights,
    /// Milliseconds, one a round.
    pub time: Samples,
    /// The same for the paper's code.
    pub paper: Samples,
}

/// Times of a change, from what is wanted to what is to be written.
pub struct Changed {
    pub shape: Shape,
    pub change: Change,
    /// Milliseconds, one a round.
    pub time: Samples,
    /// Milliseconds of building such a table with the paper's code, one a round.
    pub paper: Samples,
    /// Slots to be written, one a round.
    pub slots: Samples,
}

/// Milliseconds that something takes, and what it gives.
pub fn timed<T>(what: impl FnOnce() -> T) -> (f64, T) {
    let begun = thread_time();
    let given = std::hint::black_box(what());
    (milliseconds(thread_time() - begun), given)
}

/// Milliseconds that the paper's code takes for a table.
pub fn paper_time(size: u32, members: &[Member]) -> f64 {
    timed(|| paper::table(size, members)).0
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Slots that a plan writes.
pub fn slots(ops: &[Op]) -> usize {
    let changes = |op: &Op| match op {
        Op::Slots { changes } => changes.len(),
        _ => 0,
    };
    ops.iter().map(changes).sum()
}

/// Builds every table once a round.
pub fn builds(shapes: &[Shape], rounds: usize) -> Vec<Built> {
    let cases = shapes
        .iter()
        .flat_map(|shape| Weights::ALL.map(|weights| (*shape, weights)));
    let mut built: Vec<Built> = cases
        .map(|(shape, weights)| Built {
            shape,
            weights,
            time: Samples::default(),
            paper: Samples::default(),
        })
        .collect();
    for _ in 0..rounds {
        for case in &mut built {
            let members = Pool::new(case.shape.backends, case.weights).members();
            case.time.push(timed(|| maglev::build(case.shape.size, &members)).0);
            case.paper.push(paper_time(case.shape.size, &members));
        }
    }
    built
}

/// Makes every change once a round, each time to another backend, in an account that has the pool before it.
///
/// # Errors
///
/// The plan finds no room.
pub fn changes(shapes: &[Shape], rounds: usize) -> Result<Vec<Changed>> {
    let mut changed = Vec::new();
    for shape in shapes {
        let pool = Pool::new(shape.backends, Weights::Equal);
        let members = pool.members();
        let mut before = Image::new(shape.limits());
        plan::service(&mut before, &pool.wanted(shape.size), 0)?;
        let mut cases = Change::ALL.map(|change| Changed {
            shape: *shape,
            change,
            time: Samples::default(),
            paper: Samples::default(),
            slots: Samples::default(),
        });
        for subject in pool.subjects(rounds).into_iter().cycle().take(rounds) {
            for case in &mut cases {
                let wanted = pool.after(case.change, subject).wanted(shape.size);
                let mut image = before.clone();
                let (time, ops) = timed(|| plan::service(&mut image, &wanted, 0));
                case.time.push(time);
                case.slots.push(slots(&ops?) as f64);
                case.paper.push(paper_time(shape.size, &members));
            }
        }
        changed.extend(cases);
    }
    Ok(changed)
}
