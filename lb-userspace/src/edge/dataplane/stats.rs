//! Counters, all CPUs added up.

use std::collections::HashMap;

use lb_common::abi::{BackendCounters, ServiceCounters};
use lb_common::maps;
use lb_common::reason::Reason;

use super::DataplaneError;
use super::tables::Tables;

/// Every counter of the data plane.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// By number of the service; only those that exist.
    pub services: HashMap<u16, ServiceCounters>,
    /// By reason, in the order of [`Reason::ALL`].
    pub reasons: Vec<u64>,
}

pub fn read(tables: &Tables) -> Result<Counters, DataplaneError> {
    let mut counters = Counters::default();
    for reason in Reason::ALL {
        let values = tables
            .reasons
            .get(&(*reason as u32), 0)
            .map_err(|error| DataplaneError::map(maps::REASONS, error))?;
        counters.reasons.push(values.iter().sum());
    }
    Ok(counters)
}

impl super::Dataplane {
    /// Counters of the service with this number.
    pub fn service_counters(&self, id: u16) -> Result<ServiceCounters, DataplaneError> {
        let values = self
            .tables
            .service_stats
            .get(&(id as u32), 0)
            .map_err(|error| DataplaneError::map(maps::SERVICE_STATS, error))?;
        Ok(values
            .iter()
            .fold(ServiceCounters::default(), |sum, cpu| ServiceCounters {
                packets: sum.packets + cpu.packets,
                bytes: sum.bytes + cpu.bytes,
                new_flows: sum.new_flows + cpu.new_flows,
                back_packets: sum.back_packets + cpu.back_packets,
                back_bytes: sum.back_bytes + cpu.back_bytes,
                reserved: 0,
            }))
    }

    /// Counters of the backend with this identifier.
    pub fn backend_counters(&self, id: u32) -> Result<BackendCounters, DataplaneError> {
        let values = self
            .tables
            .backend_stats
            .get(&id, 0)
            .map_err(|error| DataplaneError::map(maps::BACKEND_STATS, error))?;
        Ok(values
            .iter()
            .fold(BackendCounters::default(), |sum, cpu| BackendCounters {
                packets: sum.packets + cpu.packets,
                bytes: sum.bytes + cpu.bytes,
                new_flows: sum.new_flows + cpu.new_flows,
                reserved: 0,
            }))
    }
}
