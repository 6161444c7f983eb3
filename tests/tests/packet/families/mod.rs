//! IPv4 and IPv6, of services and of backends, in every mode and over every protocol: each either works or is refused when it is
//! configured, with the reason. `cargo test -p lb-tests --test packet -- --nocapture families::table` prints which.

use std::net::SocketAddr;

use lb_tests::needs_bpf;
use lb_tests::packet::objects::has_flow_table;
use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, Family, GATEWAY_MAC, TUNNEL_PORT};
use lb_tests::packet::{Frame, Setup, World, assert_same, bad_checksum};
use lb_userspace::core::capabilities::Capabilities;
use lb_userspace::core::config::{self, Format};
use lb_userspace::core::model::{Mode, Protocol, mode_name};
use lb_userspace::core::observed::ResolvedHop;
use lb_userspace::core::plan::{Wanted, WantedBackend};

mod headers;

/// The first port that a flow of `fullnat` gets in a world of the default making.
const FIRST_PORT: u16 = 20000;

/// One combination.
#[derive(Clone, Copy, Debug)]
struct Cell {
    mode: Mode,
    service: Family,
    backend: Family,
    protocol: Protocol,
}

impl Cell {
    fn all() -> impl Iterator<Item = Self> {
        let modes = [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue];
        modes.into_iter().flat_map(|mode| {
            Family::BOTH.into_iter().flat_map(move |service| {
                Family::BOTH.into_iter().flat_map(move |backend| {
                    let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Any];
                    protocols.into_iter().map(move |protocol| Self {
                        mode,
                        service,
                        backend,
                        protocol,
                    })
                })
            })
        })
    }

    /// Whether this kernel can do it.
    fn is_possible(&self) -> bool {
        self.mode != Mode::Fullnat || has_flow_table()
    }

    /// Why it is refused, if it is.
    fn refusal(&self) -> Option<String> {
        let (door, backend) = (self.service.service(), self.backend.backend(1));
        let port = match self.protocol {
            Protocol::Any => "\"any\"".to_owned(),
            _ => door.port().to_string(),
        };
        let text = format!(
            "version = 1\n[[service]]\nname = \"web\"\naddress = \"{}\"\nport = {port}\nprotocol = \"{}\"\nmode = \"{}\"\n\
             check = {{ type = \"none\" }}\n[[service.backend]]\naddress = \"{}\"\nport = {}\n",
            door.ip(),
            self.protocol.name(),
            mode_name(self.mode),
            backend.ip(),
            backend.port(),
        );
        let findings = config::check(&text, Format::Toml, &Capabilities::all()).err()?;
        Some(
            findings
                .iter()
                .map(|finding| finding.to_string())
                .collect::<Vec<_>>()
                .join("; "),
        )
    }

    /// The service with this backend in it.
    fn wanted(&self) -> Wanted {
        let hop = self.backend.hop();
        let backend = WantedBackend {
            key: lb_tests::packet::world::key(self.backend.backend(1)),
            weight: 1,
            alive: true,
            hop: Some(ResolvedHop { mtu: 1500, ..hop }),
        };
        Wanted {
            vip: self.service.vip_of(self.protocol),
            mode: self.mode,
            table_size: 13,
            tunnel_port: TUNNEL_PORT,
            spread: Vec::new(),
            mss_clamp: None,
            sources: Family::BOTH.map(Family::source).to_vec(),
            backends: vec![backend],
        }
    }

    fn world(&self) -> World {
        let mut world = empty();
        world.serve(&self.wanted());
        world
    }

    /// Packets of the client's flow number 0.
    fn packets(&self) -> Vec<Frame> {
        let (from, to) = (self.service.client(0), self.service.service());
        match self.protocol {
            Protocol::Tcp => vec![
                Frame::tcp(from, to).syn().tcp_options(&[2, 4, 5, 0xb4]),
                Frame::tcp(from, to).ack(),
                Frame::tcp(from, to).data(b"odd").dscp_and_ecn(46, 1).ttl(2),
                Frame::tcp(from, to).data(&[0xa5; 1280]).padded(3),
                Frame::tcp(from, to).fin(),
            ],
            Protocol::Udp => vec![
                Frame::udp(from, to).payload(b"question"),
                Frame::udp(from, to).payload(b"odd").dscp_and_ecn(10, 3).ttl(255),
                Frame::udp(from, to).payload(&[0x5a; 1300]),
                Frame::udp(from, to).payload(b"unchecked").without_checksum(),
            ],
            Protocol::Sctp => vec![
                Frame::sctp(from, to, 1),
                Frame::sctp(from, to, 10).dscp_and_ecn(46, 1).ttl(2),
                Frame::sctp(from, to, 0).padded(9),
            ],
            Protocol::Any => vec![
                Frame::first(Protocol::Any, from, to),
                Frame::of_protocol(from.ip(), to.ip(), 47)
                    .payload(&[0x47; 1300])
                    .dscp_and_ecn(46, 1),
                Frame::of_protocol(from.ip(), to.ip(), 89),
                Frame::sctp(from, to, 0),
                Frame::udp(from, to).payload(b"question").ttl(2),
                Frame::tcp(from, to).syn(),
            ],
        }
    }

    /// A client's packet as its next hop is to see it.
    fn there(&self, packet: &Frame) -> Frame {
        let packet = packet.clone().forwarded().macs(BALANCER_MAC, BACKEND_MAC);
        let backend = self.backend.backend(1);
        match self.mode {
            Mode::Fullnat if self.service != self.backend => packet.across(self.peer(), backend),
            Mode::Fullnat => packet.from(self.peer()).to(backend),
            Mode::Nat => packet.to(backend),
            Mode::L2 => packet,
            Mode::Ipip => packet.in_tunnel(self.backend.source(), backend.ip()),
            Mode::Gue => packet.in_gue(self.backend.source(), backend.ip(), TUNNEL_PORT),
        }
    }

    /// Who the backend answers.
    fn peer(&self) -> SocketAddr {
        match self.mode {
            Mode::Fullnat => SocketAddr::new(self.backend.source(), FIRST_PORT),
            _ => self.service.client(0),
        }
    }

    /// The backend's answers; none where they do not come this way.
    fn answers(&self) -> Vec<Frame> {
        let (from, to) = (self.backend.backend(1), self.peer());
        match (self.mode, self.protocol) {
            (Mode::L2 | Mode::Ipip | Mode::Gue, _) | (_, Protocol::Sctp | Protocol::Any) => Vec::new(),
            (_, Protocol::Tcp) => vec![
                Frame::tcp(from, to).syn_ack(),
                Frame::tcp(from, to).data(&[0x3c; 1300]).dscp_and_ecn(1, 2),
            ],
            (_, Protocol::Udp) => vec![Frame::udp(from, to).payload(b"an answer")],
        }
    }

    /// An answer as the client is to see it.
    fn back(&self, answer: &Frame) -> Frame {
        let answer = answer.clone().forwarded().macs(BALANCER_MAC, GATEWAY_MAC);
        let (door, client) = (self.service.service(), self.service.client(0));
        match self.service == self.backend {
            true => answer.from(door).to(client),
            false => answer.across(door, client),
        }
    }

    /// Runs packets there and back, in a world where nobody else has the service's address; in `fullnat` in a new one.
    fn work(&self, world: &mut World) {
        let what = format!("{self:?}");
        world.serve(&self.wanted());
        for packet in self.packets() {
            let sent = world.sent(&what, &packet.bytes());
            assert_same(&what, &sent, &self.there(&packet).spread_as(&sent).bytes());
            assert_eq!(bad_checksum(&sent), None, "{what}");
        }
        for answer in self.answers() {
            let sent = world.sent(&what, &answer.bytes());
            assert_same(&what, &sent, &self.back(&answer).bytes());
            assert_eq!(bad_checksum(&sent), None, "{what}");
        }
        let counted = world.counted(self.service.vip_of(self.protocol));
        let (there, back) = (self.packets().len() as u64, self.answers().len() as u64);
        assert_eq!((counted.packets, counted.back_packets), (there, back), "{what}");
        assert_eq!(
            counted.new_flows,
            u64::from(self.protocol != Protocol::Udp || self.mode == Mode::Fullnat)
        );
        world.remove(self.service.vip_of(self.protocol));
    }
}

fn empty() -> World {
    World::new(&Setup {
        flow_table: has_flow_table(),
        ..Setup::default()
    })
}

/// No combination is dropped in silence.
#[test]
fn table_of_what_works_and_what_is_refused() {
    needs_bpf!();
    println!("mode     service backend protocol");
    let mut shared = None;
    for cell in Cell::all() {
        let refusal = cell.refusal();
        let is_crossed = cell.service != cell.backend;
        let has_ports = matches!(cell.protocol, Protocol::Tcp | Protocol::Udp);
        // The client's address, which `nat` keeps, is of the service's family.
        let keeps_other = is_crossed && cell.mode == Mode::Nat;
        let is_refused = keeps_other || cell.mode.translates() && !has_ports;
        assert_eq!(refusal.is_some(), is_refused, "{cell:?}: {refusal:?}");
        let said = match refusal {
            Some(why) => {
                assert!(!keeps_other || why.contains("different families"), "{why}");
                assert!(has_ports || why.contains("translate"), "{why}");
                format!("refused: {why}")
            }
            None if cell.is_possible() => {
                match cell.mode {
                    // They come first: there is one world at a time.
                    Mode::Fullnat => cell.work(&mut empty()),
                    _ => cell.work(shared.get_or_insert_with(empty)),
                }
                "works: families::table_of_what_works_and_what_is_refused".to_owned()
            }
            None => "not on this kernel: it has no compare-exchange in BPF".to_owned(),
        };
        let Cell {
            mode,
            service,
            backend,
            protocol,
        } = cell;
        println!(
            "{:8} {service:?}      {backend:?}      {:8} {said}",
            mode_name(mode),
            protocol.name()
        );
    }
}
