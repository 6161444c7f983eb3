//! What was found out about the packet. Field names are a contract; those of [`Fate`] are `lb replay`'s.

use lb_common::abi::{self, NO_BACKEND, backend_flags, hop_egress, trace_flags};
use lb_common::reason::Reason;
use serde::Serialize;

use super::headers::{self, Change, Headers};
use super::ingress::{Attached, Ingress};
use super::names::{Backend, Names, Teller};
use super::packet::Packet;
use crate::core::model::{AdminState, Mode};
use crate::core::observed::Health;
use crate::core::view::backend_address;
use crate::edge::dataplane::run::{Outcome, Verdict};
use crate::edge::dataplane::{Dataplane, ServiceEntry};
use crate::edge::net::Link;
use crate::fate::Fate;

/// The answer to `lb trace`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub fate: Fate,
    /// What the reason means.
    pub meaning: Option<&'static str>,
    /// `TCP SYN 198.51.100.7:40000 > 192.0.2.10:443, 40 bytes`.
    pub packet: String,
    /// The VLANs that it came in, outermost first: `100.10`.
    pub vlan: Option<String>,
    /// The interface that it came in by.
    pub interface: String,
    /// Others that it could have come in by.
    pub other_interfaces: Vec<String>,
    /// The interface that it leaves by; `None`: it does not, or the kernel sends it.
    pub egress: Option<String>,
    /// Whether it goes to a backend, or back to a client; `None`: to neither.
    pub way: Option<Way>,
    /// `192.0.2.10:443/tcp`, of the service.
    pub vip: Option<String>,
    /// Why no service has it.
    pub no_service: Option<String>,
    /// What the flow table says; `None`: it was not asked.
    pub flow: Option<Flow>,
    /// Slots of the service's table.
    pub table_size: Option<u32>,
    /// Who the slot belongs to.
    pub slot_backend: Option<String>,
    /// `10.0.1.2:80`, of the backend.
    pub backend_address: Option<String>,
    pub backend_state: Option<AdminState>,
    pub backend_health: Option<Health>,
    /// Why it gets no new flows.
    pub backend_out_because: Option<String>,
    /// What is otherwise in the packet afterwards.
    pub rewritten: Vec<Change>,
    /// What fits, as the answer to a packet that is too big says.
    pub told_mtu_bytes: Option<u32>,
    pub names_from: Teller,
    /// Where names are from, and why from there.
    pub names_note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    ToBackend,
    ToClient,
}

/// What the flow table says of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// It has it.
    Known,
    /// It has not, and the packet may begin one.
    New,
    /// It has not, and the packet begins none.
    Unknown,
}

/// All there is to make a report of.
pub struct Found<'a> {
    pub packet: &'a Packet,
    pub frame: &'a [u8],
    pub outcome: &'a Outcome,
    pub copy: &'a Dataplane,
    pub ingress: &'a Ingress,
    pub attached: &'a Attached,
    pub links: &'a [Link],
    pub names: &'a Names,
}

impl Found<'_> {
    pub fn report(&self) -> anyhow::Result<Report> {
        let trace = &self.outcome.trace;
        let service = self.copy.service_entry(trace.service)?;
        let vip = service.map(|service| service.vip.to_string());
        let way = self.way();
        let backend = self.copy.backend_entry(trace.backend);
        let address = backend.as_ref().map(address_of);
        let told = self.told(vip.as_deref(), address.as_deref());
        let steered = trace.flags & trace_flags::SLOT != 0;
        let owner = abi::Slot(trace.slot).current();
        let owner = self
            .copy
            .backend_entry(owner)
            .filter(|_| steered && owner != NO_BACKEND);
        let before = Headers::read(self.frame, None);
        let after = self.after(service, way);
        let reason = self.outcome.reason;
        let name = |backend: &abi::Backend| {
            let address = address_of(backend);
            let told = self.told(vip.as_deref(), Some(&address));
            told.map_or(address, |told| told.name.clone())
        };
        Ok(Report {
            fate: Fate::new(
                self.outcome,
                self.frame.len(),
                service.zip(vip.as_ref()).map(|(service, vip)| {
                    let name = self.names.service(vip).unwrap_or(vip);
                    (name.to_owned(), service.mode)
                }),
                backend.as_ref().map(name),
            ),
            meaning: reason.map(|reason| reason.meaning().trim()),
            packet: self.packet.to_string(),
            vlan: before.as_ref().and_then(Headers::vlan_text),
            interface: self.ingress.name.clone(),
            other_interfaces: self.attached.others(self.ingress),
            egress: self.egress(way, backend.as_ref(), after.as_ref()),
            way,
            no_service: match reason {
                Some(Reason::NoService) => Some(self.why_no_service()?),
                _ => None,
            },
            flow: self.flow(service, way),
            table_size: service.filter(|_| steered).map(|service| service.table_size),
            slot_backend: owner.as_ref().map(name),
            backend_state: told.map(|told| told.state),
            backend_health: told.and_then(|told| told.health),
            backend_out_because: told.and_then(|told| told.out_because.clone()),
            rewritten: before
                .zip(after)
                .map_or_else(Vec::new, |(before, after)| before.changes(&after)),
            told_mtu_bytes: match reason {
                Some(Reason::TooBigAnswered) => headers::told_mtu(&self.outcome.packet),
                _ => None,
            },
            names_from: self.names.teller,
            names_note: self.names.note.clone(),
            backend_address: address,
            vip,
        })
    }

    fn told(&self, vip: Option<&str>, address: Option<&str>) -> Option<&Backend> {
        self.names.backend(vip?, address?)
    }

    fn way(&self) -> Option<Way> {
        let trace = &self.outcome.trace;
        match (trace.flags & trace_flags::BACK != 0, trace.backend) {
            (true, _) => Some(Way::ToClient),
            (false, NO_BACKEND) => None,
            (false, _) => Some(Way::ToBackend),
        }
    }

    /// The packet afterwards, where it goes on as one.
    fn after(&self, service: Option<ServiceEntry>, way: Option<Way>) -> Option<Headers> {
        let mode = service.map(|service| service.mode);
        let is_sent = matches!(self.outcome.verdict, Verdict::Tx | Verdict::Redirect) && self.outcome.reason.is_none();
        if !is_sent && self.outcome.reason != Some(Reason::KernelRoutes) {
            return None;
        }
        Headers::read(&self.outcome.packet, mode.filter(|_| way == Some(Way::ToBackend)))
    }

    fn flow(&self, service: Option<ServiceEntry>, way: Option<Way>) -> Option<Flow> {
        let has = |flag| self.outcome.trace.flags & flag != 0;
        let is_asked = service.is_some_and(|service| service.mode == Mode::Fullnat) && way != Some(Way::ToClient);
        match self.outcome.reason {
            _ if !is_asked => None,
            Some(Reason::NoFlow) => Some(Flow::Unknown),
            _ if has(trace_flags::FLOW) => Some(Flow::Known),
            _ if has(trace_flags::SLOT) => Some(Flow::New),
            _ => None,
        }
    }

    /// The name of the interface that it leaves by.
    fn egress(&self, way: Option<Way>, backend: Option<&abi::Backend>, after: Option<&Headers>) -> Option<String> {
        let index = match (self.outcome.verdict, way) {
            (Verdict::Tx, _) => return Some(self.ingress.name.clone()),
            (Verdict::Redirect, Some(Way::ToClient)) => {
                let hop = self.copy.hop(after?.destination.ip());
                hop.map(|hop| hop.egress).filter(|egress| *egress != hop_egress::ASK)
            }
            (Verdict::Redirect, _) => backend.map(|backend| backend.egress),
            (Verdict::Pass | Verdict::Drop | Verdict::Aborted, _) => return None,
        };
        let link = match index {
            Some(index) => self.links.iter().find(|link| link.index == index),
            // The kernel's FIB was asked: whose MAC address it has, says which it is.
            None => {
                let source = after?.source_mac;
                self.links.iter().find(|link| link.mac == source && link.vlan.is_none())
            }
        };
        link.map(|link| link.name.clone())
    }

    fn why_no_service(&self) -> anyhow::Result<String> {
        let address = self.packet.to.ip();
        if self.copy.is_source(address) {
            let (from, port) = (self.packet.from, self.packet.to.port());
            return Ok(format!(
                "{address} is a source address of fullnat, but no flow of {from} has port {port}"
            ));
        }
        let vips = self.copy.vips()?;
        let here: Vec<String> = vips
            .iter()
            .filter(|vip| vip.prefix().contains(address))
            .map(ToString::to_string)
            .collect();
        Ok(match here.is_empty() {
            true => format!("none has the address {address}"),
            false => format!(
                "none has this port and protocol; of {address} there are {}",
                here.join(", ")
            ),
        })
    }
}

/// Address and port of a backend, as the daemon writes them.
fn address_of(backend: &abi::Backend) -> String {
    let address = backend.address.ip(backend.flags & backend_flags::IPV6 != 0);
    backend_address(address, u16::from_be(backend.port))
}
