//! What is there when the daemon starts, and what follows from it.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use anyhow::{Context, bail};

use super::owner::{Owner, Parts};
use crate::cli::daemon::Options;
use crate::core::capabilities::Capabilities;
use crate::core::config::{self, Format, Severity};
use crate::core::edit::{self, Document, Origin, Refusal};
use crate::core::image::Image;
use crate::core::model::{Model, SetBy};
use crate::edge::api::UnixSocket;
use crate::edge::dataplane::janitor::Order;
use crate::edge::dataplane::{self, Dataplane};
use crate::edge::net::NetWatcher;
use crate::edge::probe::Prober;
use crate::edge::state::StateDir;

/// Read where no configuration is named, if it is there.
const DEFAULT_CONFIG: &str = "/etc/lb/lb.toml";
const DEFAULT_SOCKET: &str = "/run/lb/lb.sock";

/// Everything that was found.
pub struct Started {
    pub socket: UnixSocket,
    pub metrics: Option<SocketAddr>,
    document: Document,
    model: Model,
    capabilities: Capabilities,
    state: StateDir,
    dataplane: Dataplane,
    image: Image,
    config: Option<PathBuf>,
    config_ok: bool,
    warnings: Vec<String>,
}

pub fn start(options: &Options) -> anyhow::Result<Started> {
    let state = StateDir::open(&options.state_dir)?;
    let loaded = state.load()?;
    let capabilities = dataplane::capabilities();
    let mut warnings = capabilities.warnings();
    warnings.extend(loaded.warning);
    let stored = loaded.document;
    let config = options.config.clone().or_else(|| {
        let default = PathBuf::from(DEFAULT_CONFIG);
        default.exists().then_some(default)
    });
    let mut config_ok = true;
    let mut document = stored.clone().unwrap_or_else(Document::empty);
    if let Some(path) = &config {
        match read(path, &document, &capabilities) {
            Ok(read) => {
                config_ok = read.in_force;
                document = read.document;
                warnings.extend(read.warnings);
            }
            Err(error) if stored.is_some() => {
                config_ok = false;
                warnings.push(format!(
                    "{}; revision {} goes on",
                    error.to_string().trim_end(),
                    document.revision
                ));
            }
            Err(error) => return Err(error),
        }
    }
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let model = resolve(&document, &capabilities, state.path())?;
    if stored.as_ref() != Some(&document) {
        state.store(&document)?;
    }
    let api = document.file.api.clone().unwrap_or_default();
    let socket = options
        .socket
        .clone()
        .or(api.socket.map(PathBuf::from))
        .unwrap_or_else(|| DEFAULT_SOCKET.into());
    // Before the maps: what another daemon serves is not to be touched.
    let socket = UnixSocket::bind(&socket, api.group.as_deref())?;
    let (dataplane, image) = Dataplane::open(&dataplane::Options {
        pin_dir: Some(options.pins.pin_dir.clone()),
        limits: model.node.limits,
        hash_key: model.node.hash_key,
        traced: false,
        flow_table: capabilities.flow_table,
        ports: None,
    })?;
    Ok(Started {
        socket,
        metrics: document.file.metrics_listen(),
        document,
        model,
        capabilities,
        state,
        dataplane,
        image,
        config,
        config_ok,
        warnings,
    })
}

impl Started {
    pub fn into_owner(self, prober: Prober, net: NetWatcher, orders: Sender<Order>) -> (Owner, UnixSocket) {
        let owner = Owner::new(Parts {
            document: self.document,
            model: self.model,
            capabilities: self.capabilities,
            state: self.state,
            dataplane: self.dataplane,
            image: self.image,
            config: self.config,
            config_ok: self.config_ok,
            warnings: self.warnings,
            prober,
            net,
            orders,
        });
        (owner, self.socket)
    }
}

/// The model of the stored state, which may be one that this kernel cannot serve.
fn resolve(document: &Document, capabilities: &Capabilities, state_dir: &Path) -> anyhow::Result<Model> {
    let findings = match document.resolve(capabilities) {
        Ok((model, _)) => return Ok(model),
        Err(findings) => findings,
    };
    let name = state_dir.join("state.json");
    let said = config::render(&findings, &name.to_string_lossy(), "", false);
    if document.resolve(&Capabilities::all()).is_err() {
        bail!("{}", said.trim_end());
    }
    bail!(
        "{said}the stored state asks for what this kernel cannot do: change the configuration file that it was read from, \
         start anew with --config FILE and another --state-dir, or boot a newer kernel"
    )
}

/// What came of reading a configuration file.
pub struct Read {
    pub document: Document,
    /// What should be known.
    pub warnings: Vec<String>,
    /// Whether the document is what the file says.
    pub in_force: bool,
}

/// The document after reading a configuration file, if it says something new. Edits made through
/// the API since the file was last read are not dropped: then the document stays as it is, and that is said.
pub fn read(path: &Path, document: &Document, capabilities: &Capabilities) -> anyhow::Result<Read> {
    let name = path.to_string_lossy().into_owned();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{name}: no such file; lb config example prints one to begin with")
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
    };
    let origin = Origin::new(name.clone(), &text);
    if !document.is_outdated_by(&origin) {
        return Ok(Read {
            document: document.clone(),
            warnings: Vec::new(),
            in_force: true,
        });
    }
    let who = SetBy {
        who: format!("file {name}"),
        at: super::observations::now(),
    };
    match edit::reload(
        document,
        &text,
        Format::of_name(&name),
        origin,
        false,
        &who,
        capabilities,
    ) {
        Ok(outcome) => {
            let said = outcome
                .warnings
                .iter()
                .filter(|finding| finding.severity == Severity::Warning);
            let warnings = said.map(ToString::to_string).collect();
            Ok(Read {
                document: outcome.document,
                warnings,
                in_force: true,
            })
        }
        Err(Refusal::Invalid(findings)) => bail!("{}", config::render(&findings, &name, &text, false).trim_end()),
        Err(refusal) => Ok(Read {
            document: document.clone(),
            warnings: vec![refusal.to_string()],
            in_force: false,
        }),
    }
}
