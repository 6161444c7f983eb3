//! Fragments (RFC 791, section 3.2; RFC 8200, section 4.5): later ones go where the first of their datagram went.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use lb_common::reason::Reason;
use lb_userspace::core::model::Mode;

use super::across;
use super::forward::{forwarded, largest, rewritten, sent};
use super::frame::{Ends, Frame, Part};
use super::icmp::Said;
use super::outer::in_outer;
use super::{Balancer, End, Fate, Step, end};

/// What is known of datagrams whose first fragment was sent.
#[derive(Default)]
pub struct Fragments {
    ways: HashMap<Datagram, Way>,
    /// How many later ones found their first.
    pub followed: u64,
}

/// What fragments of one datagram have in common. Of IPv6 only the first one's protocol counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Datagram {
    from: IpAddr,
    to: IpAddr,
    identification: u32,
    protocol: Option<u8>,
}

/// Where a first fragment went.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    ToBackend {
        service: usize,
        backend: u32,
        /// Whom it came from as the backend sees it.
        from: IpAddr,
        /// The low half of its flow's hash.
        hash: u32,
    },
    ToClient {
        service: usize,
        backend: u32,
        client: IpAddr,
    },
}

impl Datagram {
    fn of(ends: &Ends, identification: u32) -> Self {
        let (from, to) = (ends.from.ip(), ends.to.ip());
        Self {
            from,
            to,
            identification,
            protocol: from.is_ipv4().then_some(ends.protocol),
        }
    }
}

impl Balancer {
    /// Remembers the way of a first fragment.
    pub(super) fn remember(&mut self, ends: &Ends, way: Way) {
        if let Part::First(identification) = ends.part {
            self.fragments.ways.insert(Datagram::of(ends, identification), way);
        }
    }

    /// A later fragment.
    pub(super) fn later(&mut self, frame: &Frame, ends: &Ends, identification: u32) -> Step<Fate> {
        let Some(way) = self.fragments.ways.get(&Datagram::of(ends, identification)) else {
            return match self.has_address(ends.to.ip()) {
                true => end(Reason::Fragment),
                false => end(Reason::OtherFragment),
            };
        };
        let way = *way;
        self.fragments.followed += 1;
        match frame.lengths() {
            Ok(()) => {}
            Err(End(Reason::TtlExpired)) => return Ok(Self::say(frame, Said::TooFar)),
            Err(end) => return Err(end),
        }
        if ends.header > frame.total_length() {
            return end(Reason::BadLength);
        }
        match way {
            Way::ToBackend {
                service,
                backend,
                from,
                hash,
            } => self.to_backend(frame, ends, (service, backend), from, hash),
            Way::ToClient {
                service,
                backend,
                client,
            } => self.to_client(frame, ends, (service, backend), client),
        }
    }

    fn to_backend(
        &self,
        frame: &Frame,
        ends: &Ends,
        (number, id): (usize, u32),
        from: IpAddr,
        hash: u32,
    ) -> Step<Fate> {
        let service = &self.services[number];
        let backend = service.backends[&id];
        let Some(hop) = backend.hop else {
            return end(Reason::NoNextHop);
        };
        let largest = largest(service, &backend, &hop);
        if frame.total_length() > largest {
            return Ok(Self::say(frame, Said::TooBig(largest)));
        }
        let packet = match service.mode {
            Mode::L2 => forwarded(frame, ends),
            Mode::Ipip | Mode::Gue => in_outer(frame, ends, forwarded(frame, ends), service, &backend, hash),
            Mode::Nat | Mode::Fullnat => {
                let to = SocketAddr::new(backend.address.ip(), 0);
                return rewritten(frame, ends, (SocketAddr::new(from, 0), to), &hop, id);
            }
        };
        Ok(sent(frame, packet, &hop, id))
    }

    fn to_client(&self, frame: &Frame, ends: &Ends, (number, id): (usize, u32), client: IpAddr) -> Step<Fate> {
        let largest = across::largest(self.clients.mtu, frame.is_ipv6(), client.is_ipv6());
        if frame.total_length() > largest {
            return Ok(Self::say(frame, Said::TooBig(largest)));
        }
        let service = SocketAddr::new(self.services[number].vip.address, 0);
        rewritten(frame, ends, (service, SocketAddr::new(client, 0)), &self.clients, id)
    }
}
