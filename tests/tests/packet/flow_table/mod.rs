//! The flow table of `fullnat` and its ports: never does a living flow lose its place, and nothing is lost for good.

use std::net::SocketAddrV4;
use std::time::Duration;

use lb_tests::packet::places::{SERVICE, backend, vip};
use lb_tests::packet::{Flows, Frame, Setup, World, pool, service};
use lb_userspace::core::model::{FlowTimeouts, Mode, Protocol, Vip};
use lb_userspace::edge::dataplane::janitor::{Janitor, Report, View};
use lb_userspace::edge::dataplane::run::Verdict;

mod collected;
mod full;
mod in_the_making;
mod repaired;
mod side_by_side;

const TCP: Vip = vip(Protocol::Tcp);
const UDP: Vip = vip(Protocol::Udp);

const TIMEOUTS: FlowTimeouts = FlowTimeouts {
    tcp_embryonic: Duration::from_secs(10),
    tcp_established: Duration::from_secs(1000),
    tcp_closed: Duration::from_secs(3),
    udp: Duration::from_secs(30),
};

/// While two CPUs and the janitor run at full speed, the clock does too: only what is closed may be over.
const TIMEOUTS_WHILE_BUSY: FlowTimeouts = FlowTimeouts {
    tcp_embryonic: Duration::from_secs(30_000),
    tcp_established: Duration::from_secs(30_000),
    tcp_closed: Duration::from_secs(1),
    udp: Duration::from_secs(30_000),
};

/// A world with a janitor.
struct Swept {
    world: World,
    flows: Flows,
    view: View,
    janitor: Janitor,
    ports: Vec<u16>,
}

impl Swept {
    /// Two backends over TCP and UDP, one source.
    fn new(setup: &Setup) -> Self {
        let mut world = World::new(setup);
        for vip in [TCP, UDP] {
            world.serve(&service(vip, Mode::Fullnat, pool([backend(1), backend(2)])));
        }
        Self {
            flows: Flows::on(&mut world),
            view: world.dataplane.janitor_view().expect("the maps are mapped"),
            janitor: Janitor::default(),
            ports: setup.ports.clone(),
            world,
        }
    }

    /// So many seconds pass, without a sweep.
    fn wait(&self, seconds: u32) {
        (0..seconds).for_each(|_| self.view.tick());
    }

    fn sweep(&mut self) -> Report {
        let report = self.janitor.sweep(&self.view, &TIMEOUTS);
        self.world.sweep = report.sweep;
        report
    }

    /// A sweep of a daemon's first minute.
    fn sweep_and_repair(&mut self) -> Report {
        let report = self.sweep();
        self.janitor.repair(&self.view);
        report
    }

    #[track_caller]
    fn assert_consistent(&self) {
        let contradictions = self.flows.contradictions(1, &self.ports);
        assert!(contradictions.is_empty(), "{contradictions:#?}");
    }

    /// Runs a packet and gives its way out, if it is sent.
    fn way(&mut self, frame: &Frame) -> Option<Way> {
        let outcome = self.world.run(&frame.bytes());
        (outcome.verdict == Verdict::Tx).then(|| way(&outcome.packet))
    }
}

/// Source and destination of a packet.
type Way = (SocketAddrV4, SocketAddrV4);

fn way(packet: &[u8]) -> Way {
    let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let octets = |at: usize| [packet[at], packet[at + 1], packet[at + 2], packet[at + 3]];
    let end = |address: usize, ports: usize| SocketAddrV4::new(octets(address).into(), port(ports));
    (end(26, 34), end(30, 36))
}

fn tcp(from: SocketAddrV4) -> Frame {
    Frame::tcp(from, SERVICE)
}

fn udp(from: SocketAddrV4) -> Frame {
    Frame::udp(from, SERVICE).payload(b"question")
}
