//! What is asked of the kernel.
//!
//! Requests and news have a socket each. News come as fast as they happen, and the kernel drops what does not fit into the
//! socket's buffer; on a socket of their own, answers are never lost that way.

use std::net::Ipv4Addr;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_route::address::AddressMessage;
use rtnetlink::packet_route::neighbour::{NeighbourFlags, NeighbourState};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::packet_route::rule::RuleMessage;
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{AsyncSocket, Socket};
use rtnetlink::{Error, Handle, IpVersion, MulticastGroup};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::NetError;
use super::links::{self, Links};
use super::mirror::{self, Route};
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

    /// All links with their IPv4 addresses.
    pub async fn links(&self) -> Result<Links, NetError> {
        let messages = collect("links", self.handle.link().get().execute()).await?;
        let mut links: Links = messages
            .iter()
            .map(links::link)
            .map(|link| (link.index, link))
            .collect();
        let mut request = self.handle.address().get();
        request.message_mut().header.family = AddressFamily::Inet;
        let addresses: Vec<AddressMessage> = collect("addresses", request.execute()).await?;
        for message in addresses
            .iter()
            .filter(|message| message.header.family == AddressFamily::Inet)
        {
            links::add_address(&mut links, message);
        }
        Ok(links)
    }

    /// The IPv4 neighbours.
    pub async fn neighbours(&self) -> Result<Vec<(NeighbourKey, Sighting)>, NetError> {
        let request = self.handle.neighbours().get().set_address_family(AddressFamily::Inet);
        let messages = collect("neighbours", request.execute()).await?;
        Ok(messages.iter().filter_map(|message| sighting(message, false)).collect())
    }

    /// The IPv4 routes of the main table.
    pub async fn routes(&self) -> Result<Vec<Route>, NetError> {
        let request = self.handle.route().get(route_message());
        let answer = timeout(
            PATIENCE,
            request
                .execute()
                .try_filter_map(async |message| Ok(mirror::route(&message)))
                .try_collect(),
        );
        finish("routes", answer.await)
    }

    /// The IPv4 policy rules; none if this kernel has no policy routing.
    pub async fn rules(&self) -> Result<Vec<RuleMessage>, NetError> {
        match collect("rules", self.handle.rule().get(IpVersion::V4).execute()).await {
            Err(NetError::Request {
                source: Error::NetlinkError(error),
                ..
            }) if [-libc::EOPNOTSUPP, -libc::EAFNOSUPPORT].contains(&error.raw_code()) => Ok(Vec::new()),
            answer => answer,
        }
    }

    /// How packets from this host to each of these addresses leave it, in the kernel's own words: policy rules count.
    pub async fn ways(&self, addresses: &[Ipv4Addr]) -> Result<Vec<Answer>, NetError> {
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
            .add(link, address.into())
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

fn route_message() -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message
}

fn question(address: Ipv4Addr) -> RouteMessage {
    let mut message = route_message();
    message.header.destination_prefix_length = 32;
    message
        .attributes
        .push(RouteAttribute::Destination(RouteAddress::Inet(address)));
    message
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
