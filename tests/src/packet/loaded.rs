//! Loaded programs, which tests that are done with them leave to others: having the same program verified once more for each test
//! would take most of a test's time.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use lb_common::flow::DEFAULT_HASH_KEY;
use lb_userspace::core::image::Image;
use lb_userspace::edge::dataplane::testing::begin_anew;
use lb_userspace::edge::dataplane::{Dataplane, Options};

use super::Setup;

/// What tests have left, with what it was made with.
static LEFT: Mutex<Vec<(Setup, Dataplane)>> = Mutex::new(Vec::new());

/// A data plane that a test has for itself.
pub struct Loaded {
    dataplane: Option<Dataplane>,
    /// What it was made with; none where it is not to be used again.
    setup: Option<Setup>,
}

impl Loaded {
    /// One that nothing has happened to, and the account of its maps.
    ///
    /// # Panics
    ///
    /// If the kernel refuses.
    pub fn new(setup: &Setup) -> (Self, Image) {
        let (dataplane, image) = match left(setup) {
            Some(mut dataplane) => {
                let image = begin_anew(&mut dataplane, Some(setup.ports.clone())).expect("the maps are emptied");
                (dataplane, image)
            }
            None => made(setup),
        };
        let loaded = Self {
            dataplane: Some(dataplane),
            setup: Some(setup.clone()),
        };
        (loaded, image)
    }
}

fn left(setup: &Setup) -> Option<Dataplane> {
    let mut left = LEFT.lock().expect("nobody panics with it");
    let place = left.iter().position(|(with, _)| with == setup)?;
    Some(left.swap_remove(place).1)
}

/// A new one, never seen by a test.
pub(super) fn made(setup: &Setup) -> (Dataplane, Image) {
    let options = Options {
        pin_dir: None,
        limits: setup.limits,
        hash_key: DEFAULT_HASH_KEY,
        traced: setup.trace,
        flow_table: setup.flow_table,
        ports: Some(setup.ports.clone()),
    };
    Dataplane::open(&options).expect("the program loads")
}

impl From<Dataplane> for Loaded {
    /// One that goes with its test.
    fn from(dataplane: Dataplane) -> Self {
        Self {
            dataplane: Some(dataplane),
            setup: None,
        }
    }
}

impl Deref for Loaded {
    type Target = Dataplane;

    fn deref(&self) -> &Dataplane {
        self.dataplane.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for Loaded {
    fn deref_mut(&mut self) -> &mut Dataplane {
        self.dataplane.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let left = self.setup.take().zip(self.dataplane.take());
        // What a failing test leaves, nobody shall inherit.
        if !std::thread::panicking()
            && let Some(left) = left
            && let Ok(mut all) = LEFT.lock()
        {
            all.push(left);
        }
    }
}
