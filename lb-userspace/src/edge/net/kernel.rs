//! What is asked of the kernel.
//!
//! Requests and news have a socket each. News come as fast as they happen, and the kernel drops what does not fit into the
//! socket's buffer; on a socket of their own, answers are never lost that way.
//!
//! A kernel without IPv6 has no IPv6 addresses, routes and rules; that is not an error.

use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::neighbour::{NeighbourFlags, NeighbourState};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::packet_route::rule::RuleMessage;
use rtnetlink::sys::{AsyncSocket, Socket};
use rtnetlink::{Error, Handle, IpVersion, MulticastGroup};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::NetError;
use super::family::Family;
use super::links::{self, Links};
use super::mirror::{self, MainTable, Route};
use super::neighbours::{NeighbourKey, Sighting, sighting};
use super::resolve::{self, Answer};

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Questions under way at a time; their answers have to fit into the socket's buffer.
const QUESTIONS: usize = 32;

/// Buffer for news, in bytes: some ten thousand of them.
const NEWS_BUFFER: i32 = 4 << 20;

/// What the kernel says unasked.
pub type News = BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>;

/// A socket's task, ended when this is dropped.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The two sockets.
pub struct Sockets {
    pub kernel: Kernel,
    pub news: News,
    _connection: Connection,
}

impl Sockets {
    /// Opens them in the calling thread's network namespace. News come from now on, so what is read from now on is
    /// complete.
    pub fn open() -> Result<Self, NetError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv6Rule,
        ];
        let (mut connection, _, news) = rtnetlink::new_multicast_connection(&groups)?;
        enlarge(connection.socket_mut().socket_mut())?;
        Ok(Self {
            kernel: Kernel::open()?,
            news: news.map(|(news, _)| news).boxed(),
            _connection: Connection(tokio::spawn(connection)),
        })
    }
}

/// Enlarges a socket's receive buffer, past the system's limit where this process may.
fn enlarge(socket: &Socket) -> std::io::Result<()> {
    use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
    let size = NEWS_BUFFER as usize;
    set_socket_recv_buffer_size_force(socket, size).or_else(|_| set_socket_recv_buffer_size(socket, size))?;
    Ok(())
}

/// The socket for requests.
pub struct Kernel {
    handle: Handle,
    _connection: Connection,
}

impl Kernel {
    /// Opens it in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetError> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        Ok(Self {
            handle,
            _connection: Connection(tokio::spawn(connection)),
        })
    }

    /// All links with their addresses.
    pub async fn links(&self) -> Result<Links, NetError> {
        let messages = collect("links", self.handle.link().get().execute()).await?;
        let mut links: Links = messages
            .iter()
            .map(links::link)
            .map(|link| (link.index, link))
            .collect();
        for family in Family::BOTH {
            let mut request = self.handle.address().get();
            request.message_mut().header.family = family.netlink();
            let addresses = none_without_family(collect("addresses", request.execute()).await)?;
            links::add_addresses(&mut links, &addresses, family);
        }
        Ok(links)
    }

    /// The neighbours of both families.
    pub async fn neighbours(&self) -> Result<Vec<(NeighbourKey, Sighting)>, NetError> {
        let request = self.handle.neighbours().get();
        let messages = collect("neighbours", request.execute()).await?;
        Ok(messages.iter().filter_map(|message| sighting(message, false)).collect())
    }

    /// The main tables of both families.
    pub async fn main_tables(&self) -> Result<Vec<MainTable>, NetError> {
        let mut tables = Vec::with_capacity(Family::BOTH.len());
        for family in Family::BOTH {
            tables.push(MainTable {
                family,
                routes: self.routes(family).await?,
                decides: mirror::main_table_decides(&self.rules(family).await?),
            });
        }
        Ok(tables)
    }

    /// The routes of a family's main table.
    async fn routes(&self, family: Family) -> Result<Vec<Route>, NetError> {
        let request = self.handle.route().get(route_message(family));
        // Asked for a family that it does not have, the kernel tells all the others.
        let of_family = |route: &Route| Family::of(route.prefix.address) == family;
        let answer = timeout(
            PATIENCE,
            request
                .execute()
                .try_filter_map(async |message| Ok(mirror::route(&message).filter(of_family)))
                .try_collect(),
        );
        none_without_family(finish("routes", answer.await))
    }

    /// The policy rules of a family; none if this kernel has no policy routing.
    async fn rules(&self, family: Family) -> Result<Vec<RuleMessage>, NetError> {
        let version = match family {
            Family::V4 => IpVersion::V4,
            Family::V6 => IpVersion::V6,
        };
        none_without_family(collect("rules", self.handle.rule().get(version).execute()).await)
    }

    /// How packets from this host to each of these addresses leave it, in the kernel's own words: policy rules count.
    pub async fn ways(&self, addresses: &[IpAddr]) -> Result<Vec<Answer>, NetError> {
        let mut answers = Vec::with_capacity(addresses.len());
        for some in addresses.chunks(QUESTIONS) {
            let asked: Vec<_> = some
                .iter()
                .map(|address| self.handle.route().get(question(*address)).execute())
                .collect();
            for answer in asked {
                let mut answer = pin!(answer);
                let message = timeout(PATIENCE, answer.next())
                    .await
                    .map_err(|_| NetError::Timeout { what: "a route" })?;
                answers.push(match message {
                    Some(Ok(message)) => Ok(resolve::way(&message)),
                    Some(Err(Error::NetlinkError(error))) => Err(-error.raw_code()),
                    Some(Err(source)) => {
                        return Err(NetError::Request {
                            what: "a route",
                            source,
                        });
                    }
                    None => return Err(NetError::Closed),
                });
            }
        }
        Ok(answers)
    }

    /// Has the kernel ask a neighbour for its MAC address, if it does not know it for sure.
    ///
    /// What the kernel refuses is not an error here: a link that has gone makes itself known in other ways.
    pub async fn ask(&self, (link, address): NeighbourKey) -> Result<(), NetError> {
        let request = self
            .handle
            .neighbours()
            .add(link, address)
            // Any other state would make an entry that the kernel never drops.
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace();
        match timeout(PATIENCE, request.execute()).await {
            Ok(Ok(()) | Err(Error::NetlinkError(_))) => Ok(()),
            Ok(Err(source)) => Err(NetError::Request {
                what: "a neighbour",
                source,
            }),
            Err(_) => Err(NetError::Timeout { what: "a neighbour" }),
        }
    }
}

fn route_message(family: Family) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family.netlink();
    message
}

fn question(address: IpAddr) -> RouteMessage {
    let family = Family::of(address);
    let mut message = route_message(family);
    message.header.destination_prefix_length = family.bits();
    message
        .attributes
        .push(RouteAttribute::Destination(RouteAddress::from(address)));
    message
}

/// What a kernel has of a family that it was built or booted without.
fn none_without_family<T>(answer: Result<Vec<T>, NetError>) -> Result<Vec<T>, NetError> {
    match answer {
        Err(NetError::Request {
            source: Error::NetlinkError(error),
            ..
        }) if Family::is_missing(-error.raw_code()) => Ok(Vec::new()),
        answer => answer,
    }
}

async fn collect<T>(what: &'static str, answers: impl Stream<Item = Result<T, Error>>) -> Result<Vec<T>, NetError> {
    finish(what, timeout(PATIENCE, answers.try_collect()).await)
}

fn finish<T>(what: &'static str, answer: Result<Result<T, Error>, tokio::time::error::Elapsed>) -> Result<T, NetError> {
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(NetError::Request { what, source }),
        Err(_) => Err(NetError::Timeout { what }),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroI32;

    use rtnetlink::packet_core::ErrorMessage;

    use super::*;

    fn refused(errno: i32) -> Result<Vec<u8>, NetError> {
        let mut error = ErrorMessage::default();
        error.code = NonZeroI32::new(-errno);
        let source = Error::NetlinkError(error);
        Err(NetError::Request { what: "rules", source })
    }

    #[test]
    fn a_kernel_without_a_family_has_none_of_it() {
        for errno in [libc::EAFNOSUPPORT, libc::EOPNOTSUPP] {
            assert!(none_without_family(refused(errno)).unwrap().is_empty());
        }
        none_without_family(refused(libc::ENOBUFS)).unwrap_err();
        assert_eq!(none_without_family(Ok(vec![7])).unwrap(), [7]);
    }
}
