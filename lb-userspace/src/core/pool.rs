//! Who of a service's backends takes new flows, who only keeps the old ones, and why.

use super::model::{AdminState, Backend, CheckKind, Service, WhenAllDown};
use super::observed::{Health, HopState};

/// What is known of a backend besides what the operator wants.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    pub health: Health,
    /// `None`: not looked up yet.
    pub hop: Option<&'a HopState>,
}

/// What follows for a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its weight in the table; 0: no new flows.
    pub weight: u32,
    /// Whether its old flows go on.
    pub alive: bool,
    /// Why it gets no new flows; `None`: it does.
    pub out_because: Option<String>,
}

impl Standing {
    fn out(alive: bool, why: impl Into<String>) -> Self {
        Self {
            weight: 0,
            alive,
            out_because: Some(why.into()),
        }
    }
}

/// The standing of every backend of a service. `seen` and the answer are in the order of [`Service::backends`].
///
/// The pool is made of those that are ready, up, reachable and of a weight above 0, of the lowest priority that has any. Where
/// there is none at all, `when_all_down` decides.
pub fn standings(service: &Service, seen: &[Observation]) -> Vec<Standing> {
    let mut standings: Vec<Standing> = service
        .backends
        .iter()
        .zip(seen)
        .map(|(backend, seen)| alone(service, backend, seen))
        .collect();
    if standings.iter().all(|standing| standing.weight == 0) && service.when_all_down == WhenAllDown::UseAll {
        for ((standing, backend), seen) in standings.iter_mut().zip(&service.backends).zip(seen) {
            if backend.state == AdminState::Ready && backend.weight > 0 && matches!(seen.hop, Some(Ok(_))) {
                *standing = Standing {
                    weight: backend.weight,
                    alive: true,
                    out_because: None,
                };
            }
        }
    }
    let best = service
        .backends
        .iter()
        .zip(&standings)
        .filter(|(_, s)| s.weight > 0)
        .map(|(b, _)| b.priority)
        .min();
    for (backend, standing) in service.backends.iter().zip(&mut standings) {
        if let Some(best) = best
            && standing.weight > 0
            && backend.priority != best
        {
            *standing = Standing::out(true, format!("stands by: priority {best} is in use"));
        }
    }
    standings
}

/// The standing of a backend as if it were alone.
fn alone(service: &Service, backend: &Backend, seen: &Observation) -> Standing {
    if backend.state == AdminState::Maint {
        return Standing::out(false, "in maintenance");
    }
    match seen.health {
        Health::Down => return Standing::out(false, "health check fails"),
        Health::Unknown if service.check.kind != CheckKind::None => return Standing::out(true, "not checked yet"),
        Health::Unknown | Health::Up => {}
    }
    match seen.hop {
        None => return Standing::out(true, "next hop not looked up yet"),
        Some(Err(why)) => return Standing::out(true, why.clone()),
        Some(Ok(_)) => {}
    }
    if backend.state == AdminState::Drain {
        return Standing::out(true, "draining");
    }
    if backend.weight == 0 {
        return Standing::out(true, "weight 0");
    }
    Standing {
        weight: backend.weight,
        alive: true,
        out_because: None,
    }
}
