//! A reference model: what is to become of a packet, in plain Rust on slices, written from the design and the RFCs and not from the
//! programs.
//!
//! It takes nothing for right that the packet says: every field is read where it lies, and what is not there is not read. Where a
//! program changes a checksum by what it changed in the packet (RFC 1624), the model computes the whole sum again, and keeps how far the
//! packet's own was from right: a packet that was damaged stays so, by as much.
//!
//! # Layout
//!
//! - here: a balancer and the way of a packet
//! - [`bytes`]: fields and sums
//! - [`frame`]: tags, IP headers, ports
//! - [`forward`]: to a backend and back
//! - [`across`]: from IPv4 to IPv6, or the other way
//! - [`fragments`]: what later fragments follow
//! - [`outer`]: headers in front
//! - [`icmp`]: what is answered, and what is said about packets; [`quoted`]: what that quotes of them
//! - [`other`]: what has neither TCP nor UDP

mod across;
mod bytes;
mod forward;
mod fragments;
mod frame;
mod icmp;
mod other;
mod outer;
mod quoted;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use lb_common::flow;
use lb_common::reason::Reason;
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::core::observed::ResolvedHop;

pub use bytes::Sums;
pub use fragments::Fragments;
use frame::{Ends, Frame, Part};

/// What is to become of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sent to a backend, or back from it to a client.
    Sent {
        backend: u32,
        frame: Wanted,
    },
    /// Its sender gets an answer; or it is dropped for the other reason, if enough answers were sent lately.
    Answered {
        reason: Reason,
        else_: Reason,
        frame: Wanted,
    },
    Passed {
        reason: Reason,
        frame: Wanted,
    },
    Dropped(Reason),
}

/// A frame, and what of it is not known to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub bytes: Vec<u8>,
    pub sums: Sums,
}

impl Wanted {
    /// All of it is known.
    pub fn exactly(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            sums: Sums::default(),
        }
    }
}

/// A balancer: what it was told, and the flows and datagrams that it remembers.
pub struct Balancer {
    pub services: Vec<Service>,
    /// Where clients are.
    pub clients: ResolvedHop,
    pub hash_key: [u64; 2],
    /// Ports of each source in the order in which flows get them.
    pub ports: Vec<u16>,
    pub flows: Flows,
    pub fragments: Fragments,
}

/// The flows of `fullnat`.
#[derive(Default)]
pub struct Flows {
    /// Client and number of the service → source address and port.
    of_clients: HashMap<(SocketAddr, usize), SocketAddr>,
    /// Source address and port → client, service and backend.
    by_source: HashMap<SocketAddr, Held>,
    /// How many ports of each source are given out.
    given: HashMap<IpAddr, usize>,
    /// All of them, in the order in which they began.
    begun: Vec<Flow>,
}

/// A flow of `fullnat`, as its two sides know it.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub client: SocketAddr,
    pub service: SocketAddr,
    pub source: SocketAddr,
    pub backend: SocketAddr,
}

/// Whose flow a source port is.
#[derive(Clone, Copy, Debug)]
struct Held {
    client: SocketAddr,
    service: usize,
    backend: u32,
}

/// A service as it is in the maps.
#[derive(Clone, Debug)]
pub struct Service {
    pub vip: Vip,
    pub mode: Mode,
    pub tunnel_port: u16,
    /// Largest segment that either side is told to send.
    pub mss_clamp: Option<u16>,
    /// The backend that each slot names; 0: none.
    pub owners: Vec<u32>,
    pub backends: BTreeMap<u32, Backend>,
}

/// A backend as it is in the maps.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    pub address: SocketAddr,
    pub hop: Option<ResolvedHop>,
    /// Source of outer headers to it, or of what `fullnat` sends it.
    pub source: IpAddr,
    /// `ipip`: bits of the last two bytes of that which are the flow's own.
    pub spread: u16,
}

impl Service {
    /// Its protocol's number; `None`: every protocol is its.
    fn number(&self) -> Option<u8> {
        match self.vip.protocol {
            Protocol::Tcp => Some(6),
            Protocol::Udp => Some(17),
            Protocol::Sctp => Some(132),
            Protocol::Any => None,
        }
    }

    /// Whether it takes packets to this address.
    fn is_at(&self, address: IpAddr) -> bool {
        bytes::begin_alike(self.vip.address, address, self.vip.length)
    }
}

/// A packet that ends without being sent.
struct End(Reason);

type Step<T> = Result<T, End>;

fn end<T>(reason: Reason) -> Step<T> {
    Err(End(reason))
}

impl Balancer {
    /// What is to become of a frame.
    pub fn run(&mut self, bytes: &[u8]) -> Fate {
        let Some(frame) = Frame::read(bytes) else {
            return Fate::Passed {
                reason: Reason::NotIp,
                frame: Wanted::exactly(bytes.to_vec()),
            };
        };
        match self.way(&frame) {
            Ok(fate) => fate,
            Err(End(reason)) => match reason.verdict() {
                lb_common::reason::Verdict::Pass => Fate::Passed {
                    reason,
                    frame: Wanted::exactly(bytes.to_vec()),
                },
                _ => Fate::Dropped(reason),
            },
        }
    }

    fn way(&mut self, frame: &Frame) -> Step<Fate> {
        let ends = match frame.ends(|address| self.has_address(address)) {
            Ok(ends) => ends,
            Err(End(Reason::NotTcpUdp)) => return self.neither(frame),
            Err(end) => return Err(end),
        };
        if let Part::Later(identification) = ends.part {
            return self.later(frame, &ends, identification);
        }
        if let Some(number) = self.find(&ends) {
            return self.forward(frame, &ends, number);
        }
        self.back(frame, &ends)
    }

    /// Whether some service has this address.
    fn has_address(&self, address: IpAddr) -> bool {
        self.services.iter().any(|service| service.is_at(address))
    }

    /// The service that a packet is for.
    fn find(&self, ends: &Ends) -> Option<usize> {
        let services = self.services.iter().enumerate();
        let fitting = services.filter(|(_, service)| {
            let Vip { port, last_port, .. } = service.vip;
            let is_port = (port..=last_port).contains(&ends.to.port());
            let is_protocol = service.number().is_none_or(|number| number == ends.protocol);
            service.is_at(ends.to.ip()) && is_port && is_protocol
        });
        // Of those with the longest prefix the one with the fewest ports; one for every protocol is the last.
        let smallest = fitting.min_by_key(|(_, service)| {
            let Vip {
                port,
                last_port,
                length,
                ..
            } = service.vip;
            (u8::MAX - length, service.number().is_none(), last_port - port)
        });
        smallest.map(|(number, _)| number)
    }

    /// Who takes new flows like this, and the low half of the flow's hash.
    fn owner(&self, ends: &Ends, number: usize) -> Step<(u32, u32)> {
        let service = &self.services[number];
        let (source_port, port) = (ends.from.port().to_be(), ends.to.port().to_be());
        let hash = match (ends.from.ip(), ends.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => flow::hash_v4(
                self.hash_key,
                u32::from_ne_bytes(from.octets()),
                u32::from_ne_bytes(to.octets()),
                source_port,
                port,
                ends.protocol,
            ),
            (IpAddr::V6(from), IpAddr::V6(to)) => flow::hash_v6(
                self.hash_key,
                bytes::words(from),
                bytes::words(to),
                source_port,
                port,
                ends.protocol,
            ),
            _ => unreachable!("one header, one family"),
        };
        match service.owners[flow::slot(hash, service.owners.len() as u32) as usize] {
            0 => end(Reason::NoBackend),
            id => Ok((id, hash as u32)),
        }
    }

    /// The source that a flow of `fullnat` has, if it has one; with `begins`, one for a flow that begins.
    fn source(&mut self, ends: &Ends, number: usize, begins: bool) -> Step<(u32, SocketAddr)> {
        let key = (ends.from, number);
        let (id, _) = match self.flows.of_clients.get(&key) {
            Some(_) => self.owner(ends, number)?,
            None if begins => self.owner(ends, number)?,
            None => return end(Reason::NoFlow),
        };
        if let Some(source) = self.flows.of_clients.get(&key) {
            return Ok((id, *source));
        }
        let service = &self.services[number];
        let backend = service.backends[&id];
        let address = backend.source;
        let given = self.flows.given.entry(address).or_default();
        let Some(port) = self.ports.get(*given) else {
            return end(Reason::PortsExhausted);
        };
        *given += 1;
        let source = SocketAddr::new(address, *port);
        self.flows.of_clients.insert(key, source);
        let held = Held {
            client: ends.from,
            service: number,
            backend: id,
        };
        self.flows.by_source.insert(source, held);
        self.flows.begun.push(Flow {
            client: ends.from,
            service: ends.to,
            source,
            backend: backend.address,
        });
        Ok((id, source))
    }

    /// Flows that there are, in the order in which they began.
    pub fn flows(&self) -> &[Flow] {
        &self.flows.begun
    }
}
