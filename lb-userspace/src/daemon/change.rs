//! Changes that people make: validated whole, durable, then in the maps; or refused, and nothing changed.

use crate::cli::parse::AttachArgument;
use crate::core::config::Finding;
use crate::core::edit::{self, Edit, Outcome, Refusal};
use crate::core::model::{Model, SetBy};
use crate::core::view::{Change, Problem};
use crate::edge::dataplane::janitor::Order;

use super::observations::now;
use super::owner::Owner;

impl Owner {
    /// Makes a change and answers when it is durable and in the maps.
    pub(super) fn edit(
        &mut self,
        edit: &Edit,
        who: String,
        dry_run: bool,
        if_revision: Option<u64>,
    ) -> Result<Change, Problem> {
        let present = self.revision();
        if let Some(expected) = if_revision
            && expected != present
        {
            return Err(Problem::revision_mismatch(expected, present));
        }
        let who = SetBy { who, at: now() };
        let outcome = edit::apply(&self.parts.document, edit, &who, &self.parts.capabilities).map_err(problem)?;
        self.check_room(&outcome.model)?;
        let mut warnings: Vec<String> = outcome.warnings.iter().map(ToString::to_string).collect();
        if dry_run {
            return Ok(change(&outcome, true, warnings));
        }
        let before_attached = self.parts.dataplane.attached();
        if let Edit::Attach { interface, xdp } = edit {
            let attached = self
                .parts
                .dataplane
                .attach(interface, *xdp)
                .map_err(|error| Problem::failed(error.to_string()))?;
            self.unattached.remove(interface);
            warnings.extend(self.attach_warnings(interface, attached.index));
        }
        // A document may differ without a change: it notes which file it was read from.
        if outcome.document != self.parts.document
            && let Err(error) = self.parts.state.store(&outcome.document)
        {
            for attached in self.parts.dataplane.attached() {
                if !before_attached.contains(&attached) {
                    let _ = self.parts.dataplane.detach(attached.index);
                }
            }
            return Err(Problem::failed(format!("{error}; nothing changed")));
        }
        let answer = change(&outcome, false, warnings);
        self.commit(outcome, &who.who);
        self.detach(edit)?;
        match self.failures.values().next() {
            None => Ok(answer),
            Some(why) => Err(Problem::failed(format!(
                "revision {} is stored, but not wholly in the maps, and is tried again: {why}",
                answer.revision
            ))),
        }
    }

    /// Takes over a change that is durable.
    fn commit(&mut self, outcome: Outcome, who: &str) {
        let timeouts = self.parts.model.node.flow_timeouts;
        let changed = outcome.changed;
        self.parts.document = outcome.document;
        self.parts.model = outcome.model;
        if timeouts != self.flow_timeouts() {
            let _ = self.parts.orders.send(Order::Timeouts(self.flow_timeouts()));
        }
        if changed {
            let written = self.reconcile();
            self.attach_wanted();
            tracing::info!(
                "revision {} by {who}: {}; {} slots rewritten in {:.3} ms",
                self.revision(),
                outcome.plan.join("; "),
                written.slots,
                written.took.as_secs_f64() * 1e3,
            );
        }
    }

    fn detach(&mut self, edit: &Edit) -> Result<(), Problem> {
        let failed = |error: crate::edge::dataplane::DataplaneError| Problem::failed(error.to_string());
        match edit {
            Edit::Detach { interface: None } => self.parts.dataplane.remove().map_err(failed),
            Edit::Detach { .. } | Edit::Apply { .. } => self.detach_unwanted().map_err(failed),
            _ => Ok(()),
        }
    }

    /// Detaches from interfaces that the desired state does not name.
    fn detach_unwanted(&mut self) -> Result<(), crate::edge::dataplane::DataplaneError> {
        let wanted: Vec<u32> = self
            .parts
            .model
            .node
            .interfaces
            .iter()
            .filter_map(|interface| crate::edge::dataplane::index_of(&interface.name).ok())
            .collect();
        for attached in self.parts.dataplane.attached() {
            if !wanted.contains(&attached.index) {
                self.parts.dataplane.detach(attached.index)?;
            }
        }
        Ok(())
    }

    /// Attaches to an interface from now on and after a restart, as `lb attach` does.
    pub(super) fn attach_durably(&mut self, argument: &AttachArgument, who: &str) -> anyhow::Result<()> {
        let edit = Edit::Attach {
            interface: argument.interface.clone(),
            xdp: argument.xdp,
        };
        let change = self
            .edit(&edit, who.to_owned(), false, None)
            .map_err(|problem| anyhow::anyhow!(problem.detail))?;
        change.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(())
    }

    /// Reads the configuration file again. What is not right changes nothing and is said.
    pub fn reload(&mut self) {
        let Some(path) = self.parts.config.clone() else {
            tracing::warn!("there is no configuration file to read again; start with --config FILE");
            return;
        };
        match super::start::read(&path, &self.parts.document, &self.parts.capabilities) {
            Err(error) => {
                self.parts.config_ok = false;
                tracing::error!("{error:#}; revision {} goes on", self.revision());
            }
            Ok(read) => {
                read.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                self.parts.config_ok = read.in_force;
                let document = read.document;
                let Ok((model, _)) = document.resolve(&self.parts.capabilities) else {
                    return;
                };
                if let Err(problem) = self.check_room(&model) {
                    tracing::error!("{}; revision {} goes on", problem.detail, self.revision());
                    return;
                }
                if let Err(error) = self.parts.state.store(&document) {
                    tracing::error!("{error}; revision {} goes on", self.revision());
                    return;
                }
                let changed = document.revision != self.revision();
                let plan = vec![format!("{} read again", path.display())];
                self.commit(
                    Outcome {
                        document,
                        model,
                        changed,
                        plan,
                        warnings: Vec::new(),
                    },
                    "SIGHUP",
                );
                if let Err(error) = self.detach_unwanted() {
                    tracing::error!("{error}");
                }
            }
        }
    }

    /// Whether the maps, whose sizes are those of when they were made, have room for a model.
    fn check_room(&self, model: &Model) -> Result<(), Problem> {
        let limits = self.parts.image.limits;
        let slots: u64 = model.services.iter().map(|service| service.table_size as u64).sum();
        let backends: usize = model.services.iter().map(|service| service.backends.len()).sum();
        let rows = [
            ("services", model.services.len() as u64, limits.services as u64 - 1),
            ("slots", slots, limits.slots as u64),
            ("backends", backends as u64, limits.backends as u64 - 1),
        ];
        for (what, asked, room) in rows {
            if asked > room {
                return Err(Problem::invalid(format!(
                    "{asked} {what} are more than the {room} that the maps were made for; set node.limits.{what}, then \
                     make them anew: lb detach --all, restart the daemon, lb attach"
                )));
            }
        }
        Ok(())
    }

    /// What an operator of a freshly attached interface should know.
    pub(super) fn attach_warnings(&self, name: &str, index: u32) -> Vec<String> {
        let Some(link) = self.observed.links.iter().find(|link| link.index == index) else {
            return Vec::new();
        };
        if link.kind != "veth" {
            return Vec::new();
        }
        vec![format!(
            "{name} is a veth: its peer gets packets sent back only if it holds an XDP program of its own (there: lb pass \
             attach PEER), and a host behind it must complete its checksums (there: ethtool -K PEER tx off)"
        )]
    }
}

fn change(outcome: &Outcome, dry_run: bool, warnings: Vec<String>) -> Change {
    Change {
        revision: outcome.document.revision,
        changed: outcome.changed,
        dry_run,
        plan: outcome.plan.clone(),
        warnings,
    }
}

fn problem(refusal: Refusal) -> Problem {
    let text = refusal.to_string();
    match &refusal {
        Refusal::Invalid(_) => {
            Problem::invalid(text).with_findings(refusal.findings().iter().map(Finding::to_string).collect())
        }
        Refusal::NotFound(_) => Problem::not_found(text),
        Refusal::Conflict(_) => Problem::conflict(text),
    }
}
