//! What is measured.

use std::net::SocketAddrV4;

use lb_common::reason::Reason;
use lb_userspace::core::model::{self, Mode, Protocol, Vip};

use super::world::{self, Kind};
use super::{six, vlan};
use crate::bpf::feed::{Flows, Traffic};
use crate::bpf::floors::Floor;

/// A program under test, with its feeder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Floor(Floor),
    /// The smallest balancer in C, where there is a compiler.
    FloorInC,
    /// The balancer.
    Balancer,
    /// The same, with another list of packets.
    BalancerOfNat,
    /// The same, with another one, of IPv6.
    BalancerOfSix,
    /// A balancer of its own, for flows that are all new.
    BalancerOfNew,
    /// The balancer that writes a trace record of each packet.
    Traced,
}

impl Subject {
    pub const ALL: [Self; 10] = [
        Self::Floor(Floor::Drop),
        Self::Floor(Floor::Tx),
        Self::Floor(Floor::Parse),
        Self::Floor(Floor::Balancer),
        Self::FloorInC,
        Self::Balancer,
        Self::BalancerOfNat,
        Self::BalancerOfSix,
        Self::BalancerOfNew,
        Self::Traced,
    ];
}

/// Where packets come from; the program that only drops is fed likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feeding {
    Clients,
    /// A list.
    List,
    /// IPv6 clients.
    Six,
    /// A list, IPv6.
    SixList,
    /// Clients in a VLAN.
    Tagged,
}

impl Feeding {
    /// The scenario of what the feeder takes.
    pub fn drop(self) -> &'static str {
        match self {
            Self::Clients => DROP,
            Self::List => DROP_LISTED,
            Self::Six => DROP_SIX,
            Self::SixList => DROP_SIX_LISTED,
            Self::Tagged => DROP_TAGGED,
        }
    }
}

/// What a packet is counted as when it took the way that the scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To a backend of this service.
    To(Vip),
    /// From a backend of this service to a client.
    Back(Vip),
    /// Not sent.
    Not(Reason),
    /// Sent by the smallest balancer.
    Floor,
    /// Nobody counts.
    Uncounted,
}

/// XDP codes, as `BPF_PROG_TEST_RUN` returns them.
mod code {
    pub const DROP: u32 = 1;
    pub const PASS: u32 = 2;
    pub const TX: u32 = 3;
}

/// A program, and the packets that come to it.
pub struct Scenario {
    pub name: String,
    pub subject: Subject,
    pub way: Way,
    /// The XDP code that each packet ends with.
    pub code: u32,
    pub feeding: Feeding,
    pub numbers: Numbers,
    traffic: Box<dyn Fn(u32) -> Traffic>,
}

impl Scenario {
    fn new(
        name: impl Into<String>,
        subject: Subject,
        code: u32,
        way: Way,
        traffic: impl Fn(u32) -> Traffic + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            subject,
            way,
            code,
            feeding: Feeding::Clients,
            numbers: Numbers::All,
            traffic: Box::new(traffic),
        }
    }

    fn listed(self) -> Self {
        Self {
            feeding: Feeding::List,
            ..self
        }
    }

    fn six(self) -> Self {
        Self {
            feeding: Feeding::Six,
            ..self
        }
    }

    fn six_listed(self) -> Self {
        Self {
            feeding: Feeding::SixList,
            ..self
        }
    }

    fn tagged(self) -> Self {
        Self {
            feeding: Feeding::Tagged,
            ..self
        }
    }

    fn few(self) -> Self {
        Self {
            numbers: Numbers::Few,
            ..self
        }
    }

    /// Its packets, of that many flows.
    pub fn traffic(&self, flows: u32) -> Traffic {
        (self.traffic)(flows)
    }

    pub fn is_floor(&self) -> bool {
        matches!(self.subject, Subject::Floor(_) | Subject::FloorInC)
    }

    /// Whether it is measured at that number of flows, of which `most` is the largest.
    pub fn has(&self, flows: u32, most: u32) -> bool {
        match self.numbers {
            Numbers::All => true,
            Numbers::Few => flows == 1 || flows == FEW,
            Numbers::New => flows == most,
        }
    }

    /// Packets of a sample, and before it, where that many are asked for.
    pub fn packets(&self, packets: u32, warm_up: u32) -> (u32, u32) {
        match self.numbers {
            Numbers::All | Numbers::Few => (packets, warm_up),
            Numbers::New => (packets.min(NEW), 0),
        }
    }
}

/// At which numbers of flows a scenario is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    All,
    /// One, and [`FEW`].
    Few,
    /// Each packet opens a flow; named by the number that the table is made for.
    New,
}

/// New flows of a sample: they all stay.
pub const NEW: u32 = 1 << 15;

/// Where not every number of flows is measured: one, and this.
pub const FEW: u32 = 65_536;

/// Names of the floors' scenarios.
pub const DROP: &str = "floor/drop";
pub const DROP_LISTED: &str = "floor/drop-listed";
pub const DROP_SIX: &str = "floor/drop-ipv6";
pub const DROP_SIX_LISTED: &str = "floor/drop-listed-ipv6";
pub const DROP_TAGGED: &str = "floor/drop-tagged";
pub const FLOOR: &str = "floor/balancer";
pub const FLOOR_IN_C: &str = "floor/balancer-in-c";

/// The service of the smallest balancer.
pub fn floor_vip() -> SocketAddrV4 {
    world::door(Mode::Ipip)
}

/// All of them, floors first.
pub fn all() -> Vec<Scenario> {
    let mut all = floors();
    for mode in world::MODES {
        for kind in Kind::ALL {
            let name = format!("{}/{}", model::mode_name(mode), kind.name());
            let way = Way::To(world::vip(mode, kind.protocol()));
            let traffic = move |flows| world::traffic(mode, kind, Flows::Random(flows));
            let scenario = Scenario::new(name, Subject::Balancer, code::TX, way, traffic);
            all.push(match kind {
                Kind::Established => scenario,
                Kind::Syn | Kind::Udp => scenario.few(),
            });
        }
    }
    for service in six::SERVICES {
        let name = format!("{}/{}", model::mode_name(service.mode), service.name);
        let traffic = move |flows| service.traffic(Kind::Established, Flows::Random(flows));
        let scenario = Scenario::new(name, Subject::Balancer, code::TX, Way::To(service.vip()), traffic).few();
        all.push(if service.is_ipv6() { scenario.six() } else { scenario });
    }
    for mode in vlan::MODES {
        let name = format!("{}/tagged", model::mode_name(mode));
        let way = Way::To(vlan::vip(mode));
        let traffic = move |flows| vlan::traffic(mode, Flows::Random(flows));
        all.push(
            Scenario::new(name, Subject::Balancer, code::TX, way, traffic)
                .few()
                .tagged(),
        );
    }
    let balancer =
        |name: &str, code, way, traffic: fn(u32) -> Traffic| Scenario::new(name, Subject::Balancer, code, way, traffic);
    all.extend([
        balancer(
            "fullnat/back",
            code::TX,
            Way::Back(world::vip(Mode::Fullnat, Protocol::Tcp)),
            world::answers_of_fullnat,
        )
        .listed(),
        back_six("fullnat/back-ipv6", Subject::BalancerOfSix, six::FULLNAT),
        Scenario::new(
            "nat/back",
            Subject::BalancerOfNat,
            code::TX,
            Way::Back(world::vip(Mode::Nat, Protocol::Tcp)),
            world::answers_of_nat,
        )
        .listed(),
        back_six("nat/back-ipv6", Subject::BalancerOfNat, six::NAT),
        Scenario {
            numbers: Numbers::New,
            ..Scenario::new(
                "fullnat/new-flow",
                Subject::BalancerOfNew,
                code::TX,
                Way::To(world::vip(Mode::Fullnat, Protocol::Tcp)),
                |_| world::traffic(Mode::Fullnat, Kind::Syn, Flows::New),
            )
        },
        balancer("pass/not-ours", code::PASS, Way::Not(Reason::NoService), |flows| {
            world::not_ours(Flows::Random(flows))
        }),
        balancer(
            "pass/not-ours-alike",
            code::PASS,
            Way::Not(Reason::NoService),
            |flows| world::not_ours_alike(Flows::Random(flows)),
        )
        .few(),
        balancer("drop/fragment", code::DROP, Way::Not(Reason::Fragment), |flows| {
            world::fragments(Flows::Random(flows))
        })
        .few(),
        Scenario::new(
            "ipip/established+trace",
            Subject::Traced,
            code::TX,
            Way::To(world::vip(Mode::Ipip, Protocol::Tcp)),
            |flows| world::traffic(Mode::Ipip, Kind::Established, Flows::Random(flows)),
        )
        .few(),
    ]);
    all
}

fn back_six(name: &str, subject: Subject, service: six::Service) -> Scenario {
    let way = Way::Back(service.vip());
    Scenario::new(name, subject, code::TX, way, move |packets| service.answers(packets))
        .six_listed()
        .few()
}

fn floors() -> Vec<Scenario> {
    let ipip = |flows| world::traffic(Mode::Ipip, Kind::Established, Flows::Random(flows));
    let floor = |name: &str, floor, code| Scenario::new(name, Subject::Floor(floor), code, Way::Uncounted, ipip);
    vec![
        floor(DROP, Floor::Drop, code::DROP),
        Scenario::new(
            DROP_LISTED,
            Subject::Floor(Floor::Drop),
            code::DROP,
            Way::Uncounted,
            world::answers_of_fullnat,
        )
        .listed(),
        Scenario::new(
            DROP_SIX,
            Subject::Floor(Floor::Drop),
            code::DROP,
            Way::Uncounted,
            |flows| six::SERVICES[0].traffic(Kind::Established, Flows::Random(flows)),
        )
        .six()
        .few(),
        Scenario::new(
            DROP_SIX_LISTED,
            Subject::Floor(Floor::Drop),
            code::DROP,
            Way::Uncounted,
            |packets| six::FULLNAT.answers(packets),
        )
        .six_listed()
        .few(),
        Scenario::new(
            DROP_TAGGED,
            Subject::Floor(Floor::Drop),
            code::DROP,
            Way::Uncounted,
            |flows| vlan::traffic(Mode::Ipip, Flows::Random(flows)),
        )
        .tagged()
        .few(),
        floor("floor/tx", Floor::Tx, code::TX).few(),
        floor("floor/parse", Floor::Parse, code::DROP).few(),
        Scenario::new(FLOOR, Subject::Floor(Floor::Balancer), code::TX, Way::Floor, ipip),
        Scenario::new(FLOOR_IN_C, Subject::FloorInC, code::TX, Way::Floor, ipip),
        Scenario::new(
            "floor/not-ours",
            Subject::Floor(Floor::Balancer),
            code::PASS,
            Way::Uncounted,
            |flows| world::not_ours(Flows::Random(flows)),
        )
        .few(),
    ]
}
