//! What the data plane has counted, all CPUs added up.

use std::collections::HashMap;

use lb_common::abi::Counters;
use lb_common::maps;
use lb_common::reason::Reason;

use super::{Dataplane, DataplaneError};
use crate::core::image::{Image, Rested};

/// Packets that were sent.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// By number of the service.
    pub services: HashMap<u16, Counters>,
    /// By identifier of the backend.
    pub backends: HashMap<u32, Counters>,
}

impl Traffic {
    /// Counters of the service with this number; 0 where there is none.
    pub fn of_service(&self, id: u16) -> Counters {
        self.services.get(&id).copied().unwrap_or_default()
    }

    /// Counters of the backend with this identifier; 0 where there is none.
    pub fn of_backend(&self, id: u32) -> Counters {
        self.backends.get(&id).copied().unwrap_or_default()
    }
}

impl Dataplane {
    /// Packets that were sent, as far as the services and backends in `image` go. A service has those of its backends: of the ones
    /// it has, of the ones it had that rest, and of those that are gone.
    pub fn traffic(&self, image: &Image) -> Result<Traffic, DataplaneError> {
        let mut traffic = Traffic::default();
        for placed in image.services.values() {
            let mut sum = self.tables.past(placed.id)?.counters;
            for backend in placed.backends.values() {
                let counters = self.tables.counters(backend.id)?;
                sum += counters;
                traffic.backends.insert(backend.id, counters);
            }
            traffic.services.insert(placed.id, sum);
        }
        for (_, what) in &image.retired {
            let Rested::Backend(id) = what else { continue };
            let service = self.tables.backends.load(*id as usize).service;
            if let Some(sum) = traffic.services.get_mut(&service) {
                *sum += self.tables.counters(*id)?;
            }
        }
        Ok(traffic)
    }

    /// Packets that were not sent by reason, in the order of [`Reason::ALL`].
    pub fn reasons(&self) -> Result<Vec<u64>, DataplaneError> {
        let of = |reason: &Reason| {
            let values = self.tables.reasons.get(&(*reason as u32), 0);
            let values = values.map_err(|error| DataplaneError::map(maps::REASONS, error))?;
            Ok(values.iter().sum())
        };
        Reason::ALL.iter().map(of).collect()
    }
}
