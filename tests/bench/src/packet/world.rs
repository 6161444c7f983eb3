//! The balancer with services in every mode, and the traffic that comes to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use lb_common::abi::{Counters, FlowValue, PORTS_PER_SOURCE};
use lb_common::bench::Listed;
use lb_common::checksum::{change16, update};
use lb_common::reason::Reason;
use lb_tests::packet::objects::has_flow_table;
use lb_tests::packet::places::{BACKEND_HOP, CLIENT_HOP, TUNNEL_PORT};
use lb_tests::packet::{Frame, Random, Setup, World};
use lb_userspace::core::image::BackendKey;
use lb_userspace::core::model::{Limits, Mode, Protocol, Vip};
use lb_userspace::core::plan::{Wanted, WantedBackend};
use lb_userspace::edge::dataplane::testing::{self, Hands};

use super::scenario::FEW;
use super::{six, vlan};
use crate::bpf::ProgramFd;
use crate::bpf::feed::{Fed, Flows, Traffic};

/// Backends of each service.
pub const BACKENDS: u16 = 100;
/// Every mode.
pub const MODES: [Mode; 5] = [Mode::Ipip, Mode::Gue, Mode::L2, Mode::Nat, Mode::Fullnat];
/// Slots of each table.
pub const TABLE_SIZE: u32 = 65_537;
/// Bytes of the shortest Ethernet frame, without its check sequence.
const FRAME_BYTES: usize = 60;
/// Bytes of an IPv6 frame.
const FRAME6_BYTES: usize = 80;
/// Port of every service.
pub const SERVICE_PORT: u16 = 80;
/// Port of every backend, where the mode can change it.
const BACKEND_PORT: u16 = 8080;
/// Address of the clients' first; as many follow as the flows need.
const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The same for clients whose addresses end unlike those of any backend.
const UNLIKE_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 200, 1);
/// Port of the first client's first flow.
pub const FIRST_PORT: u16 = lb_common::bench::FIRST_CLIENT_PORT;
/// First source address of `fullnat`; the others follow.
pub const FIRST_SOURCE: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);
/// Flows for one source address, its ports less those that are not used.
const FLOWS_PER_SOURCE: u32 = 52_000;

pub use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, STRANGER};

/// The balancer.
pub struct Balancer {
    pub world: World,
    /// Flows that `fullnat` has room for.
    pub flows: u32,
}

/// How the packets of a scenario look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Syn,
    Established,
    Udp,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Syn, Self::Established, Self::Udp];

    pub fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::Established => "established",
            Self::Udp => "udp",
        }
    }

    pub fn protocol(self) -> Protocol {
        match self {
            Self::Syn | Self::Established => Protocol::Tcp,
            Self::Udp => Protocol::Udp,
        }
    }

    /// A packet of this kind.
    pub fn frame(self, from: impl Into<SocketAddr>, to: impl Into<SocketAddr>) -> Vec<u8> {
        let (from, to) = (from.into(), to.into());
        // Of IPv6 as many bytes as the feeder puts back.
        let least = if to.is_ipv6() { FRAME6_BYTES } else { FRAME_BYTES };
        padded(
            least,
            match self {
                Self::Syn => Frame::tcp(from, to).syn(),
                Self::Established => Frame::tcp(from, to).ack(),
                Self::Udp => Frame::udp(from, to).payload(&[0; 16]),
            },
        )
    }
}

impl Balancer {
    /// With services in every mode, over TCP and UDP, and room for that many flows of `fullnat`.
    pub fn new(flows: u32, trace: bool) -> Result<Self> {
        ensure!(
            has_flow_table(),
            "this kernel has no atomic compare-exchange in BPF, which `fullnat` needs: measure on one from 5.12 on"
        );
        let sources = (flows + flows.min(FEW)).div_ceil(FLOWS_PER_SOURCE).max(1);
        let setup = Setup {
            limits: Limits {
                services: 64,
                backends: 4096,
                slots: (MODES.len() * 2 + six::SERVICES.len() + vlan::MODES.len()) as u32 * TABLE_SIZE,
                // Half as many again, and those over UDP and IPv6: a table that is full to its limit refuses some.
                flows: (flows + (1 + six::FULLNAT_SERVICES) * flows.min(FEW)) * 3 / 2,
                sources: sources + six::ALL_SOURCES,
            },
            ports: (1024..=65_535).collect(),
            trace,
            flow_table: true,
        };
        let mut world = World::new(&setup);
        for mode in MODES {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let backends = (0..BACKENDS).map(|number| backend(mode, number)).collect();
                let first = u32::from(FIRST_SOURCE);
                let sources = match mode {
                    Mode::Fullnat => (0..sources)
                        .map(|number| Ipv4Addr::from(first + number).into())
                        .collect(),
                    Mode::Ipip | Mode::Gue => vec![FIRST_SOURCE.into()],
                    Mode::Nat | Mode::L2 => Vec::new(),
                };
                world.serve(&Wanted {
                    vip: vip(mode, protocol),
                    mode,
                    table_size: TABLE_SIZE,
                    tunnel_port: TUNNEL_PORT,
                    spread: Vec::new(),
                    mss_clamp: None,
                    sources,
                    backends,
                });
            }
        }
        for service in six::SERVICES {
            world.serve(&service.wanted());
        }
        for mode in vlan::MODES {
            world.serve(&vlan::wanted(mode));
        }
        Ok(Self { world, flows })
    }

    /// The program.
    pub fn program(&self) -> Result<ProgramFd> {
        Ok(testing::program(&self.world.dataplane)?)
    }

    /// Opens flows of `fullnat` by their own packets: all that there is room for over TCP, a few over UDP.
    pub fn open_flows(&self, fed: &mut Fed) -> Result<()> {
        let tcp = [Kind::Syn, Kind::Established].map(|kind| (kind, self.flows));
        for (kind, flows) in tcp.into_iter().chain([(Kind::Udp, self.flows.min(FEW))]) {
            let traffic = traffic(Mode::Fullnat, kind, Flows::Next(0));
            self.open(fed, vip(Mode::Fullnat, kind.protocol()), &traffic, flows)?;
        }
        for service in six::SERVICES
            .into_iter()
            .filter(|service| service.mode == Mode::Fullnat)
        {
            for kind in [Kind::Syn, Kind::Established] {
                let traffic = service.traffic(kind, Flows::Next(0));
                self.open(fed, service.vip(), &traffic, self.flows.min(FEW))?;
            }
        }
        Ok(())
    }

    fn open(&self, fed: &mut Fed, vip: Vip, traffic: &Traffic, flows: u32) -> Result<()> {
        let before = self.to(vip)?;
        fed.run(traffic, flows)?;
        let sent = self.to(vip)? - before;
        ensure!(
            sent == flows as u64,
            "only {sent} of {flows} flows of fullnat could be opened at {vip}"
        );
        Ok(())
    }

    /// Packets that went to a service's backends.
    pub fn to(&self, vip: Vip) -> Result<u64> {
        Ok(self.counters(vip)?.packets)
    }

    /// Packets that went from a service's backends to clients.
    pub fn back(&self, vip: Vip) -> Result<u64> {
        Ok(self.counters(vip)?.back_packets)
    }

    fn counters(&self, vip: Vip) -> Result<Counters> {
        let id = self.world.placed(vip).id;
        Ok(self.world.dataplane.traffic(&self.world.image)?.of_service(id))
    }

    /// Packets that were not sent for this reason.
    pub fn not_sent(&self, reason: Reason) -> Result<u64> {
        let place = Reason::ALL.iter().position(|other| *other == reason);
        let place = place.context("a reason that is not listed")?;
        Ok(self.world.dataplane.reasons()?[place])
    }

    /// The answers of `fullnat`'s backends, one a flow, in a random order.
    pub fn answers(&mut self) -> Result<Vec<Listed>> {
        let vip = vip(Mode::Fullnat, Protocol::Tcp);
        self.answers_of(vip, FIRST_SOURCE.into(), |number| backend(Mode::Fullnat, number).key)
    }

    /// The same of its IPv6 backends.
    pub fn answers_six(&mut self) -> Result<Vec<Listed>> {
        let service = six::FULLNAT;
        self.answers_of(service.vip(), six::FIRST_SOURCE.into(), |number| {
            service.backend(number).key
        })
    }

    /// The answers of a service's backends, whose sources are counted from `first` on.
    fn answers_of(&mut self, vip: Vip, first: IpAddr, backend: impl Fn(u16) -> BackendKey) -> Result<Vec<Listed>> {
        let hands = Hands::on(&mut self.world.dataplane)?;
        let placed = self.world.placed(vip);
        let numbers: std::collections::HashMap<u32, u32> = (0..BACKENDS)
            .map(|number| (placed.backends[&backend(number)].id, number.into()))
            .collect();
        let first = self.world.image.sources.iter().position(|source| *source == first);
        let first = first.context("a source address without a number")? as u32;
        let mut answers = Vec::new();
        for index in first * PORTS_PER_SOURCE..hands.ports.len() as u32 {
            let entry = hands.ports.load(index as usize);
            // Free, or a flow of another service.
            let Some(backend) = numbers.get(&FlowValue(entry.value).backend()) else {
                continue;
            };
            answers.push(Listed::new(
                index / PORTS_PER_SOURCE - first,
                *backend,
                (index % PORTS_PER_SOURCE) as u16,
            ));
        }
        shuffle(&mut answers);
        Ok(answers)
    }
}

/// Clients' packets to the service of a mode.
pub fn traffic(mode: Mode, kind: Kind, flows: Flows) -> Traffic {
    traffic_to(door(mode), kind, flows)
}

/// Clients' packets to a service.
pub fn traffic_to(to: SocketAddrV4, kind: Kind, flows: Flows) -> Traffic {
    Traffic {
        frame: kind.frame(client(), to),
        flows,
    }
}

/// Packets to an address that is nobody's here, from clients whose addresses end unlike those of any backend.
pub fn not_ours(flows: Flows) -> Traffic {
    let client = SocketAddrV4::new(UNLIKE_CLIENT, FIRST_PORT);
    Traffic {
        frame: Kind::Established.frame(client, STRANGER),
        flows,
    }
}

/// The same from clients each of whose addresses ends as some backend's of `nat`, as one in hundreds does.
pub fn not_ours_alike(flows: Flows) -> Traffic {
    Traffic {
        frame: Kind::Established.frame(client(), STRANGER),
        flows,
    }
}

/// Later fragments, whose first one does not come.
pub fn fragments(flows: Flows) -> Traffic {
    const OFFSET: u8 = 185;
    let mut frame = padded(FRAME_BYTES, Frame::tcp(client(), door(Mode::Ipip)).ack());
    let word = |frame: &[u8], at: usize| u16::from_ne_bytes([frame[at], frame[at + 1]]);
    let before = word(&frame, 20);
    frame[21] |= OFFSET;
    let checksum = update(word(&frame, 24), change16(before, word(&frame, 20)));
    frame[24..26].copy_from_slice(&checksum.to_ne_bytes());
    Traffic { frame, flows }
}

/// Filled up to so many bytes.
fn padded(least: usize, frame: Frame) -> Vec<u8> {
    let missing = least.saturating_sub(frame.bytes().len());
    frame.padded(missing).bytes()
}

/// The answers of `fullnat`'s backends, by the list.
pub fn answers_of_fullnat(packets: u32) -> Traffic {
    let from = address(Mode::Fullnat, 0);
    Traffic {
        frame: Kind::Established.frame(from, SocketAddrV4::new(FIRST_SOURCE, 1024)),
        flows: Flows::Listed {
            packets,
            backend: u32::from(*from.ip()),
            source: u32::from(FIRST_SOURCE),
        },
    }
}

/// The answers of `nat`'s backends, by a list whose sources are clients.
pub fn answers_of_nat(packets: u32) -> Traffic {
    let from = address(Mode::Nat, 0);
    Traffic {
        frame: Kind::Established.frame(from, client()),
        flows: Flows::Listed {
            packets,
            backend: u32::from(*from.ip()),
            source: u32::from(FIRST_CLIENT),
        },
    }
}

/// A list for [`answers_of_nat`]: any backend answers any flow.
pub fn list_of_nat(packets: u32) -> Vec<Listed> {
    let mut random = Random::seeded(0x0a5);
    let packet = |number: u32| {
        let backend = random.below(BACKENDS as usize) as u32;
        Listed::new(number >> 14 & 0x3f, backend, FIRST_PORT + (number & 0x3fff) as u16)
    };
    let mut list: Vec<Listed> = (0..packets).map(packet).collect();
    shuffle(&mut list);
    list
}

/// Fisher and Yates, the same each time.
fn shuffle(list: &mut [Listed]) {
    let mut random = Random::seeded(0x5eed);
    for place in (1..list.len()).rev() {
        list.swap(place, random.below(place + 1));
    }
}

pub fn client() -> SocketAddrV4 {
    SocketAddrV4::new(FIRST_CLIENT, FIRST_PORT)
}

/// What clients of a mode's service connect to.
pub fn door(mode: Mode) -> SocketAddrV4 {
    SocketAddrV4::new([192, 0, 2, mode as u8].into(), SERVICE_PORT)
}

/// The service of a mode.
pub fn vip(mode: Mode, protocol: Protocol) -> Vip {
    let door = door(mode);
    Vip::new((*door.ip()).into(), door.port(), protocol)
}

/// Backend `number` of a mode, from 0.
fn address(mode: Mode, number: u16) -> SocketAddrV4 {
    let port = match mode {
        Mode::Fullnat | Mode::Nat => BACKEND_PORT,
        Mode::Ipip | Mode::Gue | Mode::L2 => SERVICE_PORT,
    };
    let first = u32::from(Ipv4Addr::new(10, mode as u8, 0, 1));
    SocketAddrV4::new(Ipv4Addr::from(first + number as u32), port)
}

/// Addresses of the backends of a mode.
pub fn addresses(mode: Mode) -> Vec<Ipv4Addr> {
    (0..BACKENDS).map(|number| *address(mode, number).ip()).collect()
}

/// Source of outer headers.
pub const TUNNEL_SOURCE: Ipv4Addr = FIRST_SOURCE;

pub fn backend(mode: Mode, number: u16) -> WantedBackend {
    let address = address(mode, number);
    WantedBackend {
        key: BackendKey {
            address: (*address.ip()).into(),
            port: address.port(),
        },
        weight: 100,
        alive: true,
        hop: Some(BACKEND_HOP),
    }
}

const _: () = assert!(BACKEND_HOP.egress == CLIENT_HOP.egress);
