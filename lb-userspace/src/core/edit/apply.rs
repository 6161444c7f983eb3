//! A change: made on a copy, looked at whole, then kept or refused.

use super::difference::difference;
use super::{Document, Edit, Format, Origin, Outcome, Refusal, by_hand, parts};
use crate::core::capabilities::Capabilities;
use crate::core::config::{self, Finding, override_key};
use crate::core::model::{Model, SetBy};

/// What a change makes of a document; nothing else happens. The document after it is right as a whole and the kernel can do
/// what it says, or the change is refused.
pub fn apply(document: &Document, edit: &Edit, who: &SetBy, capabilities: &Capabilities) -> Result<Outcome, Refusal> {
    let mut draft = document.clone();
    let resolved = document.resolve(capabilities);
    if let Edit::Apply { text, format } = edit {
        let checked = config::check(text, *format, capabilities).map_err(Refusal::Invalid)?;
        let digest = config::digest(text);
        let is_origin = document.origin.as_ref().is_some_and(|origin| origin.digest == digest);
        draft.edited = !is_origin && (document.edited || checked.file != document.file);
        draft.file = checked.file;
        let old = resolved.ok().map(|(model, _)| model);
        return finish(
            (document, old.as_ref()),
            draft,
            who,
            Some(checked.warnings),
            capabilities,
        );
    }
    let (model, _) = resolved.map_err(Refusal::Invalid)?;
    make(&mut draft, &model, edit, who)?;
    draft.edited |= draft.file != document.file;
    finish((document, Some(&model)), draft, who, None, capabilities)
}

/// Reads a configuration file again. Refused where it would drop changes made by other means since, unless `overwrite`.
/// What was set by hand stays either way.
///
/// The document that comes of it notes the file even if nothing else changes.
pub fn reload(
    document: &Document,
    text: &str,
    format: Format,
    origin: Origin,
    overwrite: bool,
    who: &SetBy,
    capabilities: &Capabilities,
) -> Result<Outcome, Refusal> {
    let checked = config::check(text, format, capabilities).map_err(Refusal::Invalid)?;
    if document.edited && !overwrite && checked.file != document.file {
        return Err(Refusal::Conflict(format!(
            "{0} lacks changes that were made through lb since it was read; lb save prints them to put into it, or lb \
             apply {0} drops them",
            origin.path
        )));
    }
    let mut draft = document.clone();
    draft.file = checked.file;
    draft.origin = Some(origin);
    draft.edited = false;
    let old = document.resolve(capabilities).ok().map(|(model, _)| model);
    finish(
        (document, old.as_ref()),
        draft,
        who,
        Some(checked.warnings),
        capabilities,
    )
}

fn make(draft: &mut Document, model: &Model, edit: &Edit, who: &SetBy) -> Result<(), Refusal> {
    match edit {
        // Needs no valid document to start from, and is made before.
        Edit::Apply { .. } => Ok(()),
        Edit::ServiceAdd { service } => parts::service_add(draft, model, service),
        Edit::ServiceSet { service, fields } => parts::service_set(draft, model, service, fields),
        Edit::ServiceRemove { service } => parts::service_remove(draft, model, service),
        Edit::BackendAdd { service, backend } => parts::backend_add(draft, model, service, backend),
        Edit::BackendSet {
            service,
            backend,
            fields,
        } => parts::backend_set(draft, model, (service, backend), fields),
        Edit::BackendRemove { service, backend } => parts::backend_remove(draft, model, (service, backend)),
        Edit::State {
            service,
            backend,
            state,
        } => by_hand::state(draft, model, (service, backend), *state, who),
        Edit::Weight {
            service,
            backend,
            weight,
        } => by_hand::weight(draft, model, (service, backend), *weight, who),
        Edit::Attach { interface, xdp } => parts::attach(draft, model, interface, *xdp),
        Edit::Detach { interface } => parts::detach(draft, model, interface.as_deref()),
    }
}

/// Looks at the changed document as a whole, and says what changes. `warnings` are those of the text it was read from,
/// which know their places.
fn finish(
    (before, old): (&Document, Option<&Model>),
    mut after: Document,
    who: &SetBy,
    warnings: Option<Vec<Finding>>,
    capabilities: &Capabilities,
) -> Result<Outcome, Refusal> {
    let (mut model, found) =
        config::resolve(&after.file, &after.overrides, before.revision + 1, capabilities).map_err(Refusal::Invalid)?;
    let known: std::collections::HashSet<_> = model
        .services
        .iter()
        .flat_map(|service| {
            service
                .backends
                .iter()
                .map(|backend| override_key(&service.name, &backend.name))
        })
        .collect();
    after.overrides.retain(|key, _| known.contains(key));
    let mut warnings = warnings.unwrap_or(found);
    let changed = (&after.file, &after.overrides) != (&before.file, &before.overrides);
    if !changed {
        model.revision = before.revision;
        return Ok(Outcome {
            document: after,
            model,
            changed,
            plan: Vec::new(),
            warnings,
        });
    }
    after.revision = before.revision + 1;
    after.changed_by = Some(who.clone());
    let plan = difference(old, &model);
    // Before the first revision there are no maps.
    let in_force = old.filter(|_| before.revision > 0);
    warnings.extend(in_force.and_then(|old| made_anew(old, &model)));
    Ok(Outcome {
        document: after,
        model,
        changed,
        plan,
        warnings,
    })
}

/// What holds only once the maps are made anew.
fn made_anew(before: &Model, after: &Model) -> Option<Finding> {
    let fixed = |model: &Model| (model.node.limits, model.node.hash_key);
    (fixed(before) != fixed(after)).then(|| {
        let what = "node: limits and hash_key are fixed when the maps are made, and hold from the next time";
        Finding::warning(
            "node",
            what,
            "to make them anew, which stops traffic: lb detach --all, then restart the daemon",
        )
    })
}
