//! Step 3: flow hash → slot → backend.

use lb_common::{
    abi::{Backend, NO_BACKEND, Service, service_flags},
    flow,
    reason::Reason,
};

use crate::{
    config,
    exit::{Step, exit},
    family::Family,
    flow_table::{self, Keyed},
    maps::{BACKENDS, SLOTS},
    parse::Packet,
    service::Found,
    trace,
};

/// Where a packet goes.
pub struct Target<F: Family> {
    pub id: u32,
    pub backend: &'static Backend,
    /// `fullnat`: the source that it leaves with; else unused.
    pub source: Source<F>,
    /// Whether a flow begins here.
    pub new_flow: bool,
    /// The low half of the flow's hash, which the slot owes nothing to; `fullnat`: the index of the flow's port.
    pub hash: u32,
}

/// A source address and port, as in the packet.
#[derive(Clone, Copy)]
pub struct Source<F: Family> {
    pub address: F::Address,
    pub port: u16,
}

/// The backend that a slot names.
pub struct Owner {
    pub id: u32,
    pub backend: &'static Backend,
    /// The hash that led there.
    pub hash: u64,
}

#[inline(always)]
pub fn select<F: Keyed, const FLOW_TABLE: bool, const TRACED: bool>(
    packet: &Packet<F>,
    found: Found,
) -> Step<Target<F>> {
    if found.service.flags & service_flags::FLOW_TABLE != 0 {
        if FLOW_TABLE {
            return flow_table::select::<F, TRACED>(packet, found);
        }
        // The daemon configures no such service then.
        return exit(Reason::Internal);
    }
    let owner = owner::<F, TRACED>(packet, found.service)?;
    Ok(Target {
        id: owner.id,
        backend: owner.backend,
        source: Source {
            address: F::UNSPECIFIED,
            port: 0,
        },
        new_flow: packet.is_syn(),
        hash: owner.hash as u32,
    })
}

/// Who takes new flows of this packet's kind.
#[inline(always)]
pub fn owner<F: Keyed, const TRACED: bool>(packet: &Packet<F>, service: &Service) -> Step<Owner> {
    let hash = F::hash(
        config::hash_key(),
        packet.source,
        packet.destination,
        packet.source_port,
        packet.destination_port,
        packet.protocol,
    );
    let index = flow::slot(hash, service.table_size);
    let Some(slot) = SLOTS.get(service.table_base + index) else {
        return exit(Reason::Internal);
    };
    let slot = *slot;
    trace::slot::<TRACED>(index, slot);
    let id = slot.current();
    if id == NO_BACKEND {
        return exit(Reason::NoBackend);
    }
    let Some(backend) = BACKENDS.get(id) else {
        return exit(Reason::Internal);
    };
    Ok(Owner { id, backend, hash })
}
