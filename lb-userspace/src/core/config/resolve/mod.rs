//! From the document to the model: every default filled in, every rule checked.
//!
//! Nothing stops at the first finding: what cannot be read is left out, and the rest is looked at all the same.

use std::net::SocketAddr;

use super::file::File;
use super::finding::{Finding, Severity};
use super::overrides::Overrides;
use super::shape::{join, prefixed};
use super::words::{Wrong, wrong};
use crate::core::capabilities::Capabilities;
use crate::core::model::Model;

mod across;
mod check;
mod kernel;
mod node;
mod service;
mod vip;

/// Version of the format of the document.
pub const VERSION: i64 = 1;

/// The desired state that a document and what was set by hand amount to, with warnings; or all findings, warnings too. What
/// the kernel cannot do is an error.
pub fn resolve(
    file: &File,
    overrides: &Overrides,
    revision: u64,
    capabilities: &Capabilities,
) -> Result<(Model, Vec<Finding>), Vec<Finding>> {
    let mut findings = Findings::default();
    let top = Table::new("", "");
    if let Some(version) = file.version.filter(|version| *version != VERSION) {
        let what = format!("version {version} is not known");
        findings.take(
            &top,
            "version",
            wrong::<()>(what, format!("this lb reads version {VERSION}")),
        );
    }
    let node = node::resolve(file.node.as_ref(), &mut findings);
    listeners(file, &mut findings);
    let services = service::resolve(file, overrides, &mut findings);
    across::check(&services, &node, &mut findings);
    kernel::check(file, &services, capabilities, &mut findings);
    let services: Option<Vec<_>> = services.into_iter().map(service::Draft::finish).collect();
    let findings = findings.0;
    match services {
        Some(services) if findings.iter().all(|finding| finding.severity == Severity::Warning) => Ok((
            Model {
                revision,
                node,
                services,
            },
            findings,
        )),
        _ => Err(findings),
    }
}

/// `[api]` and `[metrics]`, which the model does not hold.
fn listeners(file: &File, findings: &mut Findings) {
    let api = Table::new("api", "api");
    if let Some(socket) = file.api.as_ref().and_then(|api| api.socket.as_deref()) {
        findings.take(&api, "socket", socket_path(socket));
    }
    let metrics = Table::new("metrics", "metrics");
    if let Some(listen) = file.metrics.as_ref().and_then(|metrics| metrics.listen.as_deref()) {
        findings.take(&metrics, "listen", listen_address(listen));
    }
}

/// A path that fits into `sun_path` (unix(7): 108 bytes with the final zero).
fn socket_path(text: &str) -> Result<(), Wrong> {
    if text.starts_with('/') && text.len() < 108 && !text.contains('\0') {
        return Ok(());
    }
    wrong(
        format!("socket {text:?} is not the path of a socket"),
        "give an absolute path of up to 107 bytes",
    )
}

fn listen_address(text: &str) -> Result<SocketAddr, Wrong> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        _ => wrong(
            format!("listen {text:?} is not an address and a port"),
            "write it like \"127.0.0.1:9747\" or \"[::1]:9747\"",
        ),
    }
}

impl File {
    /// Where metrics are served, if anywhere.
    pub fn metrics_listen(&self) -> Option<SocketAddr> {
        listen_address(self.metrics.as_ref()?.listen.as_deref()?).ok()
    }
}

/// A table of the document: where it is, and how messages call it.
#[derive(Clone, Debug)]
struct Table {
    path: String,
    subject: String,
}

impl Table {
    fn new(path: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            subject: subject.into(),
        }
    }

    fn at(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// The value, or nothing and a finding.
    fn take<T>(&mut self, table: &Table, key: &str, result: Result<T, Wrong>) -> Option<T> {
        result.map_err(|wrong| self.error(table, key, wrong)).ok()
    }

    fn error(&mut self, table: &Table, key: &str, Wrong { what, help }: Wrong) {
        self.add(Finding::error(table.at(key), prefixed(&table.subject, &what), help));
    }

    fn warn(&mut self, table: &Table, key: &str, what: &str, help: &str) {
        self.add(Finding::warning(table.at(key), prefixed(&table.subject, what), help));
    }

    /// What is wrong with a default is said once, not once for each service.
    fn add(&mut self, finding: Finding) {
        let shared = finding.path.starts_with("defaults");
        if !(shared && self.0.iter().any(|other| other.path == finding.path)) {
            self.0.push(finding);
        }
    }
}
