//! States and weights that an operator sets by hand; they stay until the operator clears them.

use super::parts::{Reference, locate};
use super::{Document, Refusal, WeightChange};
use crate::core::config::{Finding, Override};
use crate::core::model::{AdminState, Model, SetBy};

const MAX_WEIGHT: u32 = 65_535;

/// `ready` clears what was set where the document says ready; everything else is noted, even what the document says as
/// well, so that it holds when the document no longer does.
pub fn state(
    draft: &mut Document,
    model: &Model,
    of: Reference<'_>,
    state: AdminState,
    who: &SetBy,
) -> Result<(), Refusal> {
    let (service, backend, key) = locate(model, of)?;
    let written = draft.file.service[service].backend[backend].state.as_deref();
    let clears = state == AdminState::Ready && matches!(written, None | Some("ready"));
    set(draft, key, who, |set| set.state = (!clears).then_some(state));
    Ok(())
}

/// A weight as such is noted; 100 % of the configured one clears it.
pub fn weight(
    draft: &mut Document,
    model: &Model,
    of: Reference<'_>,
    change: WeightChange,
    who: &SetBy,
) -> Result<(), Refusal> {
    let (service, backend, key) = locate(model, of)?;
    let configured = model.services[service].backends[backend].configured_weight;
    let weight = match change {
        WeightChange::Percent(100) => None,
        WeightChange::Percent(percent) => Some(share(configured, percent)),
        WeightChange::Absolute(weight) => Some(u64::from(weight)),
    };
    let weight = weight.map(|weight| {
        u32::try_from(weight)
            .ok()
            .filter(|weight| *weight <= MAX_WEIGHT)
            .ok_or(weight)
    });
    let weight = weight.transpose().map_err(|weight| {
        let message = format!("backend {key}: weight {weight} is too large");
        Refusal::Invalid(vec![Finding::error("", message, "give 0 to 65535 (0: no new flows)")])
    })?;
    set(draft, key, who, |set| set.weight = weight);
    Ok(())
}

/// A share of a weight, rounded; what is more than nothing does not become nothing.
fn share(weight: u32, percent: u32) -> u64 {
    let exact = u64::from(weight) * u64::from(percent);
    ((exact + 50) / 100).max(u64::from(exact > 0))
}

fn set(draft: &mut Document, key: String, who: &SetBy, change: impl FnOnce(&mut Override)) {
    let before = draft.overrides.remove(&key);
    let mut after = before.clone().unwrap_or(Override {
        state: None,
        weight: None,
        set_by: who.clone(),
    });
    change(&mut after);
    if before.as_ref() != Some(&after) {
        after.set_by = who.clone();
    }
    if after.state.is_some() || after.weight.is_some() {
        draft.overrides.insert(key, after);
    }
}
