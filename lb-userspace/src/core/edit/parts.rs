//! Changes to services, backends and interfaces: to the base state, that is.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::find::{backend_index, service_index};
use super::{Document, Refusal};
use crate::core::config::{self, Finding, file, override_key};
use crate::core::model::{Model, Service, XdpMode};

/// A service and a backend, as the user gave them.
pub type Reference<'a> = (&'a str, &'a str);

pub fn service_add(draft: &mut Document, model: &Model, service: &Value) -> Result<(), Refusal> {
    let name = text(service, "name");
    if let Some(there) = name.and_then(|name| model.service(name)) {
        let Service { name, vip, .. } = there;
        return Err(Refusal::Conflict(format!(
            "service {name} is there already, at {vip}; change it with lb service set {name}"
        )));
    }
    let path = format!("service[{}]", draft.file.service.len());
    let subject = name.map_or("service".to_owned(), |name| format!("service {}", name.escape_debug()));
    draft
        .file
        .service
        .push(config::decode(service.clone(), &path, &subject).map_err(Refusal::Invalid)?);
    Ok(())
}

pub fn service_set(draft: &mut Document, model: &Model, service: &str, fields: &Value) -> Result<(), Refusal> {
    let index = service_index(model, service)?;
    let old_name = &model.services[index].name;
    let part = &mut draft.file.service[index];
    *part = merged(
        part,
        fields,
        &format!("service[{index}]"),
        &format!("service {old_name}"),
    )?;
    let new_name = part.name.clone().unwrap_or_default();
    if new_name != *old_name {
        for backend in &model.services[index].backends {
            rename_override(
                draft,
                &override_key(old_name, &backend.name),
                &override_key(&new_name, &backend.name),
            );
        }
    }
    Ok(())
}

pub fn service_remove(draft: &mut Document, model: &Model, service: &str) -> Result<(), Refusal> {
    draft.file.service.remove(service_index(model, service)?);
    Ok(())
}

pub fn backend_add(draft: &mut Document, model: &Model, service: &str, backend: &Value) -> Result<(), Refusal> {
    let index = service_index(model, service)?;
    let service = &model.services[index];
    let name = text(backend, "name").or(text(backend, "address"));
    if let Some(there) = name.and_then(|name| service.backend(name)) {
        let key = override_key(&service.name, &there.name);
        return Err(Refusal::Conflict(format!(
            "backend {key} is there already, at {}:{}; change it with lb backend set {key}",
            there.address, there.port
        )));
    }
    let pool = &mut draft.file.service[index].backend;
    let path = format!("service[{index}].backend[{}]", pool.len());
    let subject = format!("backend {}/{}", service.name, name.unwrap_or_default().escape_debug());
    pool.push(config::decode(backend.clone(), &path, &subject).map_err(Refusal::Invalid)?);
    Ok(())
}

/// A weight or a state that is given here clears the one that was set by hand: the operator has spoken again.
pub fn backend_set(draft: &mut Document, model: &Model, of: Reference<'_>, fields: &Value) -> Result<(), Refusal> {
    let (service, backend, old_key) = locate(model, of)?;
    let part = &mut draft.file.service[service].backend[backend];
    let path = format!("service[{service}].backend[{backend}]");
    let new: file::Backend = merged(part, fields, &path, &format!("backend {old_key}"))?;
    let new_key = override_key(&model.services[service].name, new.effective_name().unwrap_or_default());
    *part = new;
    if let Some(set) = draft.overrides.get_mut(&old_key) {
        if fields.get("weight").is_some() {
            set.weight = None;
        }
        if fields.get("state").is_some() {
            set.state = None;
        }
    }
    draft
        .overrides
        .retain(|_, set| set.weight.is_some() || set.state.is_some());
    if new_key != old_key {
        rename_override(draft, &old_key, &new_key);
    }
    Ok(())
}

pub fn backend_remove(draft: &mut Document, model: &Model, of: Reference<'_>) -> Result<(), Refusal> {
    let (service, backend, _) = locate(model, of)?;
    draft.file.service[service].backend.remove(backend);
    Ok(())
}

pub fn attach(draft: &mut Document, model: &Model, interface: &str, xdp: XdpMode) -> Result<(), Refusal> {
    if interface.contains('=') {
        let message = format!("{interface:?} is not the name of an interface");
        return Err(Refusal::Invalid(vec![Finding::error(
            "node.interfaces",
            message,
            "give the mode with --xdp",
        )]));
    }
    let entry = match xdp {
        XdpMode::Native => interface.to_owned(),
        XdpMode::Generic => format!("{interface}=generic"),
        XdpMode::Auto => format!("{interface}=auto"),
    };
    let there = model.node.interfaces.iter().position(|other| other.name == interface);
    let interfaces = &mut draft.file.node.get_or_insert_default().interfaces;
    match there {
        Some(index) if model.node.interfaces[index].xdp == xdp => {}
        Some(index) => interfaces[index] = entry,
        None => interfaces.push(entry),
    }
    Ok(())
}

pub fn detach(draft: &mut Document, model: &Model, interface: Option<&str>) -> Result<(), Refusal> {
    let Some(node) = &mut draft.file.node else {
        return interface.map_or(Ok(()), |interface| Err(not_attached(model, interface)));
    };
    match interface {
        None => node.interfaces.clear(),
        Some(name) => {
            let there = model.node.interfaces.iter().position(|other| other.name == name);
            node.interfaces.remove(there.ok_or_else(|| not_attached(model, name))?);
        }
    }
    if *node == file::Node::default() {
        draft.file.node = None;
    }
    Ok(())
}

fn not_attached(model: &Model, interface: &str) -> Refusal {
    let names: Vec<_> = model
        .node
        .interfaces
        .iter()
        .map(|interface| interface.name.as_str())
        .collect();
    let listed = if names.is_empty() {
        "to none".to_owned()
    } else {
        format!("to {}", names.join(", "))
    };
    Refusal::NotFound(format!("lb is not attached to {interface:?}; it is {listed}"))
}

/// The indices of a backend, and the key of its override.
pub fn locate(model: &Model, (service, backend): Reference<'_>) -> Result<(usize, usize, String), Refusal> {
    let index = service_index(model, service)?;
    let service = &model.services[index];
    let backend = backend_index(service, backend)?;
    Ok((
        index,
        backend,
        override_key(&service.name, &service.backends[backend].name),
    ))
}

/// A part of the document with some of its fields replaced; null removes one.
fn merged<T>(part: &T, fields: &Value, path: &str, subject: &str) -> Result<T, Refusal>
where
    T: Serialize + DeserializeOwned + Default + config::Shaped,
{
    let (Ok(Value::Object(mut all)), Some(fields)) = (serde_json::to_value(part), fields.as_object()) else {
        let message = format!("{subject}: the fields must be an object");
        return Err(Refusal::Invalid(vec![Finding::error(path, message, "")]));
    };
    all.extend(fields.iter().map(|(key, value)| (key.clone(), value.clone())));
    config::decode(Value::Object(all), path, subject).map_err(Refusal::Invalid)
}

/// What was set by hand follows a backend to its new name.
fn rename_override(draft: &mut Document, from: &str, to: &str) {
    if let Some(set) = draft.overrides.remove(from) {
        draft.overrides.insert(to.to_owned(), set);
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}
