//! What services and backends are called, and how the backends are: by the daemon, or by the state on disk, which knows no health.

use std::path::Path;

use serde::Serialize;

use crate::core::capabilities::Capabilities;
use crate::core::model::{AdminState, Model};
use crate::core::observed::Health;
use crate::core::view;
use crate::edge::client::Client;
use crate::edge::state;

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Teller {
    Daemon,
    /// The desired state on disk.
    State,
    /// Nobody: addresses stand for names.
    Nobody,
}

/// All names.
pub struct Names {
    pub teller: Teller,
    /// Where they are from, and why from there.
    pub note: String,
    services: Vec<Service>,
}

struct Service {
    name: String,
    vip: String,
    backends: Vec<Backend>,
}

/// What is said of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    pub name: String,
    address: String,
    pub state: AdminState,
    /// `None`: not known without a daemon.
    pub health: Option<Health>,
    /// Why it gets no new flows.
    pub out_because: Option<String>,
}

impl Names {
    /// By whom there is.
    pub async fn find(client: &Client, state_dir: &Path) -> Self {
        let silent = match client.get::<Vec<view::Service>>("/v1/services").await {
            Ok(fetched) => {
                let revision = fetched
                    .revision
                    .map_or_else(String::new, |revision| format!(", revision {revision}"));
                return Self {
                    teller: Teller::Daemon,
                    note: format!("the daemon's{revision}"),
                    services: fetched.value.into_iter().map(Service::from).collect(),
                };
            }
            Err(error) => error,
        };
        let dir = state_dir.display();
        // What this kernel cannot do does not matter to what it is called.
        let stored = state::look(state_dir).and_then(|document| document.resolve(&Capabilities::all()).ok());
        match stored {
            Some((model, _)) => Self {
                teller: Teller::State,
                note: format!("of revision {} in {dir}, health not known: {silent}", model.revision),
                services: services(&model),
            },
            None => Self {
                teller: Teller::Nobody,
                note: format!("none, {dir} holds no state that can be read (--state-dir): {silent}"),
                services: Vec::new(),
            },
        }
    }

    /// The name of a service; `None`: nobody knows.
    pub fn service(&self, vip: &str) -> Option<&str> {
        self.services
            .iter()
            .find(|service| service.vip == vip)
            .map(|service| service.name.as_str())
    }

    /// A backend of a service.
    pub fn backend(&self, vip: &str, address: &str) -> Option<&Backend> {
        let service = self.services.iter().find(|service| service.vip == vip)?;
        service.backends.iter().find(|backend| backend.address == address)
    }
}

impl From<view::Service> for Service {
    fn from(service: view::Service) -> Self {
        let backends = service.backends.into_iter().map(|backend| Backend {
            name: backend.name,
            address: backend.address,
            state: backend.state,
            health: Some(backend.health),
            out_because: backend.out_because,
        });
        Self {
            name: service.name,
            vip: service.vip,
            backends: backends.collect(),
        }
    }
}

fn services(model: &Model) -> Vec<Service> {
    let services = model.services.iter().map(|service| {
        let backends = service.backends.iter().map(|backend| Backend {
            name: backend.name.clone(),
            address: view::backend_address(backend.address, backend.port),
            state: backend.state,
            health: None,
            out_because: None,
        });
        Service {
            name: service.name.clone(),
            vip: service.vip.to_string(),
            backends: backends.collect(),
        }
    });
    services.collect()
}
