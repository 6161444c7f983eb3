//! What health checks, netlink and the janitor say.

use crate::core::observed::{CheckReport, Health};
use crate::core::plan;
use crate::edge::dataplane::janitor::{self, Order};
use crate::edge::net::NetEvent;

use super::owner::Owner;

impl Owner {
    /// A check was made. A backend whose health changed leaves the table or returns, before anything else is done.
    pub fn on_check(&mut self, report: CheckReport) {
        let Some(before) = self.observed.on_check(&report) else {
            return;
        };
        let written = self.reconcile_named(&report.service);
        let word = match report.health {
            Health::Up => "up",
            Health::Down => "down",
            Health::Unknown => "unknown",
        };
        tracing::info!(
            "{}/{} is {word} ({:?} {}): {} slots rewritten in {:.3} ms",
            report.service,
            report.backend,
            report.result.code,
            report.result.detail,
            written.slots,
            written.took.as_secs_f64() * 1e3,
        );
        if before == Health::Up && report.health == Health::Down {
            // Its flows are void; their ports are of use to others.
            let _ = self.parts.orders.send(Order::Sweep);
        }
    }

    pub fn on_net(&mut self, event: NetEvent) {
        match event {
            NetEvent::Hops(hops) => {
                for (target, state) in &hops {
                    match state {
                        Ok(hop) => tracing::debug!("next hop of {}: {hop:?}", target.address),
                        // A new one is not known at first: its neighbour is being asked for at this moment.
                        Err(why) if self.observed.is_new(target) => {
                            tracing::debug!("next hop of {}: {why}", target.address);
                        }
                        Err(why) => tracing::warn!("next hop of {}: {why}", target.address),
                    }
                }
                let touched: Vec<String> = self
                    .parts
                    .model
                    .services
                    .iter()
                    .filter(|service| {
                        service
                            .backends
                            .iter()
                            .any(|b| hops.contains_key(&super::observations::hop_target(b)))
                    })
                    .map(|service| service.name.clone())
                    .collect();
                self.observed.on_hops(hops);
                for service in touched {
                    self.reconcile_named(&service);
                }
            }
            NetEvent::Routes(routes) => {
                self.observed.routes = routes;
                self.write_routes();
            }
            NetEvent::Links(links) => {
                self.observed.links = links;
                self.drop_links_of_gone_interfaces();
                self.attach_wanted();
                self.open_interfaces();
                self.write_routes();
            }
            NetEvent::Trouble(why) => tracing::warn!("{why}"),
        }
    }

    /// The mirror of the routes to clients, with this host's own addresses on top.
    fn write_routes(&mut self) {
        let ops = plan::routes(&mut self.parts.image, &self.observed.routes_with_own_addresses());
        if let Err(error) = self.parts.dataplane.apply(&ops) {
            tracing::error!("the routes to clients: {error}");
        }
    }

    fn drop_links_of_gone_interfaces(&mut self) {
        for attached in self.parts.dataplane.attached() {
            if !self.observed.links.iter().any(|link| link.index == attached.index) {
                tracing::warn!("interface {} is gone", attached.index);
                if let Err(error) = self.parts.dataplane.detach(attached.index) {
                    tracing::warn!("{error}");
                }
            }
        }
    }

    /// A sweep is over: what it shows to be unused is free again.
    pub fn on_sweep(&mut self, report: janitor::Report) {
        let ops = plan::collect(&mut self.parts.image, report.sweep, &report.named);
        if let Err(error) = self.parts.dataplane.apply(&ops) {
            tracing::error!("{error}");
        }
        self.sweep = report;
        if !self.failures.is_empty() {
            // Room may have come free.
            self.reconcile();
        }
    }
}
