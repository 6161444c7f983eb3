//! `bench table`: what Maglev costs, how even it is and how little it moves.
//!
//! # Layout
//!
//! - here: what is measured, in which order
//! - [`pool`]: the pools that tables are built for, and what happens to them
//! - [`method`]: Maglev, and what it is compared with: [`ring`] and [`rendezvous`]
//! - [`paper`]: the table by the paper's own pseudocode, which times are multiples of
//! - [`build`]: time to build a table, and of a change up to the plan
//! - [`compare`]: shares and moves, by each method
//! - [`reconcile`]: time from a changed pool to the last slot written
//! - [`memory`]: what a service takes
//! - [`section`]: what is said of it all

mod build;
mod compare;
mod memory;
mod method;
mod paper;
mod pool;
mod reconcile;
mod rendezvous;
mod ring;
mod section;

use anyhow::{Result, ensure};
use clap::Args;
use lb_tests::packet::can_bpf;
use lb_userspace::core::maglev::is_prime;

use crate::Extent;
use crate::all::Headline;
use crate::measure::{last_cpu, pin};
use crate::report::Section;
use method::Method;
use pool::Shape;

/// What `bench table` takes besides.
#[derive(Args, Clone, Default)]
pub struct Arguments {
    /// Sizes of tables in slots, primes.
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    sizes: Vec<u32>,
    /// Numbers of backends, from 2 up to the number of slots.
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    backends: Vec<u32>,
    /// Rounds.
    #[arg(long)]
    rounds: Option<usize>,
}

/// What it is measured for.
pub const HEADLINES: [Headline; 7] = [
    headline(
        "table/build/65537x1000/equal",
        "a table of 65,537 slots for 1,000 backends",
    ),
    headline(
        "table/build/65537x10000/weights",
        "the same for 10,000 backends of weights 1 to 100",
    ),
    headline(
        "table/reconcile/65537x1000/down",
        "one of 1,000 backends goes down: to the last slot written",
    ),
    headline(
        "table/deviation/65537x1000/equal/maglev",
        "share of one of 1,000 equal backends, farthest from its ideal",
    ),
    headline(
        "table/deviation/65537x1000/weights/maglev",
        "the same, weights 1 to 100",
    ),
    headline(
        "table/moved/65537x1000/equal/removed/maglev",
        "one of 1,000 backends is removed: slots moved",
    ),
    headline(
        "table/memory/maps/65537x1000",
        "maps for 65,537 slots and 1,000 backends",
    ),
];

const fn headline(figure: &'static str, says: &'static str) -> Headline {
    Headline { figure, says }
}

/// How much is measured.
struct Extents {
    /// Tables that are built.
    built: Vec<Shape>,
    /// Those of them where methods are compared, changes are timed and maps are made.
    usual: Vec<Shape>,
    rounds: usize,
    /// Backends that each change is tried on where no time is taken.
    subjects: usize,
}

impl Extents {
    fn of(extent: Extent, arguments: &Arguments) -> Result<Self> {
        let or = |given: &[u32], default: Vec<u32>| if given.is_empty() { default } else { given.to_vec() };
        let sizes = or(
            &arguments.sizes,
            extent.choose(vec![4099], vec![65_537, 655_373], vec![65_537, 655_373]),
        );
        let backends = or(
            &arguments.backends,
            extent.choose(vec![10, 40], BACKENDS.to_vec(), BACKENDS.to_vec()),
        );
        let all = |size: &u32| backends.iter().map(|backends| (*size, *backends)).collect::<Vec<_>>();
        let built: Vec<Shape> = sizes
            .iter()
            .flat_map(all)
            .map(|(size, backends)| Shape { size, backends })
            .collect();
        for shape in &built {
            let Shape { size, backends } = *shape;
            ensure!(
                is_prime(size),
                "--sizes: {size} is not a prime, as a table's size has to be; 65537 and 655373 are"
            );
            ensure!(
                (2..=size).contains(&backends),
                "--backends: {backends} is not from 2 to {size}, the slots of a table"
            );
        }
        let usual = |shape: &&Shape| shape.size == sizes[0] && shape.backends <= MOST_COMPARED;
        Ok(Self {
            usual: built.iter().filter(usual).copied().collect(),
            built,
            rounds: arguments.rounds.unwrap_or(extent.choose(2, 7, 25)).max(1),
            subjects: extent.choose(1, 3, 8),
        })
    }
}

/// Numbers of backends where nobody says otherwise.
const BACKENDS: [u32; 4] = [10, 100, 1000, 10_000];
/// Most backends that methods are compared with: rendezvous hashing takes a hash for each slot and backend.
const MOST_COMPARED: u32 = 1000;

/// What was found.
struct Findings {
    builds: Vec<build::Built>,
    changes: Vec<build::Changed>,
    shares: Vec<compare::Shared>,
    moves: Vec<compare::Moved>,
    reconciled: Vec<reconcile::Reconciled>,
    taken: Vec<memory::Taken>,
    /// Bytes of all maps under the default limits.
    default_limits: Option<u64>,
    skipped: Vec<String>,
}

/// Measures.
///
/// # Errors
///
/// A size that no table can have, a kernel that refuses.
pub fn run(extent: Extent, arguments: &Arguments) -> Result<Section> {
    let extents = Extents::of(extent, arguments)?;
    let mut findings = Findings {
        shares: shares(&extents),
        moves: extents
            .usual
            .iter()
            .flat_map(|shape| compare::disruption(*shape, extents.subjects))
            .collect(),
        builds: Vec::new(),
        changes: Vec::new(),
        reconciled: Vec::new(),
        taken: Vec::new(),
        default_limits: None,
        skipped: Vec::new(),
    };
    if let Err(error) = pin(last_cpu()) {
        findings.skipped.push(format!("a CPU for the times alone: {error:#}"));
    }
    findings.builds = build::builds(&extents.built, extents.rounds);
    findings.changes = build::changes(&extents.usual, extents.rounds)?;
    if can_bpf() {
        for shape in &extents.usual {
            findings.reconciled.extend(reconcile::health(*shape, extents.rounds)?);
            findings.taken.push(memory::service(*shape)?);
        }
        findings.default_limits = Some(memory::default_limits()?);
    } else {
        let skipped = "writing the maps, and what they take: needs CAP_BPF and CAP_NET_ADMIN, as root has";
        findings.skipped.push(skipped.into());
    }
    Ok(section::section(findings, &extents))
}

/// Maglev's in every table, the others' where they are compared.
fn shares(extents: &Extents) -> Vec<compare::Shared> {
    let of = |shape: &Shape| {
        let methods = if extents.usual.contains(shape) {
            &Method::ALL[..]
        } else {
            &[Method::Maglev]
        };
        compare::shares(*shape, methods)
    };
    extents.built.iter().flat_map(of).collect()
}
