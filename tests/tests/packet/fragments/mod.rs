//! Fragments: the first one of a datagram takes the way of a whole packet, later ones go where it went.

use std::net::SocketAddr;

use etherparse::{Ipv4Header, Ipv6Header, UdpHeader, ip_number};
use lb_common::reason::Reason;
use lb_tests::needs_bpf;
use lb_tests::packet::fragment::{cut, joined, put_in_front};
use lb_tests::packet::objects::{modes_with, objects};
use lb_tests::packet::places::{BACKEND_MAC, BALANCER_MAC, CLIENT_HOP, Family, GATEWAY_MAC, TUNNEL_PORT};
use lb_tests::packet::tag::{customer, tagged};
use lb_tests::packet::world::key;
use lb_tests::packet::{Frame, Setup, World, assert_same, bad_checksum, service};
use lb_userspace::core::model::{Mode, Protocol};
use lb_userspace::core::observed::RouteHop;
use lb_userspace::core::plan::{Wanted, WantedBackend};
use lb_userspace::core::prefix::Prefix;
use lb_userspace::edge::dataplane::run::Verdict;
use lb_userspace::edge::dataplane::single::Tunnels;
use lb_userspace::edge::dataplane::testing::Unpacker;

mod not_followed;

const MODES: [Mode; 5] = [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue];

/// Of the frames that are cut: what they have, too, where they are put together again.
const IDENTIFICATION: u32 = 0x1d0f;
/// Bytes of a datagram in each fragment, so that there is room for every outer header.
const MOST: usize = 1400;
/// The first port that a flow of `fullnat` gets in a world of the default making.
const FIRST_PORT: u16 = 20000;

/// A service over UDP and TCP, and who serves it.
#[derive(Clone, Copy, Debug)]
struct Case {
    mode: Mode,
    service: Family,
    backend: Family,
    flow_table: bool,
}

impl Case {
    /// Each mode in each family, `fullnat` and tunnels also between them, through each object.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for flow_table in objects() {
            for mode in modes_with(flow_table, &MODES) {
                for (service, backend) in Family::BOTH.into_iter().flat_map(|a| Family::BOTH.map(|b| (a, b))) {
                    if service == backend || mode.is_tunnel() || mode == Mode::Fullnat {
                        all.push(Self {
                            mode,
                            service,
                            backend,
                            flow_table,
                        });
                    }
                }
            }
        }
        all
    }

    /// Those whose way back leads through the balancer.
    fn translating() -> Vec<Self> {
        let translates = |case: &Self| case.mode.translates();
        Self::all().into_iter().filter(translates).collect()
    }

    /// A world with these backends.
    fn world_of(&self, backends: &[u8]) -> World {
        let mut world = World::new(&Setup {
            flow_table: self.flow_table,
            ..Setup::default()
        });
        self.serve(&mut world, backends);
        world
    }

    fn world(&self) -> World {
        self.world_of(&[1])
    }

    fn serve(&self, world: &mut World, backends: &[u8]) {
        let alive = |number: &u8| WantedBackend {
            key: key(self.backend.backend(*number)),
            weight: 1,
            alive: true,
            hop: Some(self.backend.hop()),
        };
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            world.serve(&Wanted {
                sources: vec![self.backend.source()],
                ..service(
                    self.service.vip(protocol),
                    self.mode,
                    backends.iter().map(alive).collect(),
                )
            });
        }
    }

    /// A client's datagram of so many bytes, as it comes in.
    fn datagram(&self, bytes: usize) -> Frame {
        let payload: Vec<u8> = (0..bytes).map(|at| (at * 31 / 7) as u8).collect();
        Frame::udp(self.service.client(0), self.service.service()).payload(&payload)
    }

    /// A client's packet of this flow as the backend's next hop gets it, but for an outer header.
    fn there(&self, frame: &Frame, flow: u16) -> Frame {
        let frame = frame.clone().forwarded().macs(BALANCER_MAC, BACKEND_MAC);
        match self.mode {
            Mode::Fullnat => {
                let peer = SocketAddr::new(self.backend.source(), FIRST_PORT + flow);
                self.rewritten(frame, peer, self.backend.backend(1))
            }
            Mode::Nat => frame.to(self.backend.backend(1)),
            Mode::L2 | Mode::Ipip | Mode::Gue => frame,
        }
    }

    /// A frame, to be put together from what leaves, from and to somebody else.
    fn rewritten(&self, frame: Frame, from: SocketAddr, to: SocketAddr) -> Frame {
        match self.service == self.backend {
            true => frame.from(from).to(to),
            false => frame.across(from, to).identified(IDENTIFICATION as u16, false),
        }
    }

    /// Whom the backend sees the client's first flow come from.
    fn peer(&self) -> SocketAddr {
        match self.mode {
            Mode::Fullnat => SocketAddr::new(self.backend.source(), FIRST_PORT),
            _ => self.service.client(0),
        }
    }

    /// A backend's answer of so many bytes, as it comes in.
    fn answer(&self, bytes: usize) -> Frame {
        let answer = Frame::udp(self.backend.backend(1), self.peer()).payload(&self.datagram(bytes).payload);
        answer.macs(BACKEND_MAC, BALANCER_MAC)
    }

    /// As the client's next hop gets it.
    fn back(&self, answer: &Frame) -> Frame {
        let answer = self.rewritten(answer.clone(), self.service.service(), self.service.client(0));
        answer.forwarded().macs(BALANCER_MAC, GATEWAY_MAC)
    }

    /// The frame without its outer header, whose sums and lengths are right; and what flows are spread by in it.
    fn behind_outer(&self, frame: &[u8]) -> (Vec<u8>, Option<(u16, u32)>) {
        if !self.mode.is_tunnel() {
            return (frame.to_vec(), None);
        }
        let (inside, label) = match self.backend {
            Family::V4 => {
                let (ip, rest) = Ipv4Header::from_slice(&frame[14..]).expect("an outer header");
                assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                assert_eq!(usize::from(ip.payload_len().expect("a length")), rest.len());
                (rest, 0)
            }
            Family::V6 => {
                let (ip, rest) = Ipv6Header::from_slice(&frame[14..]).expect("an outer header");
                assert_eq!(usize::from(ip.payload_length), rest.len());
                (rest, ip.flow_label.value())
            }
        };
        let (inside, port) = match self.mode {
            Mode::Gue => {
                let (udp, rest) = UdpHeader::from_slice(inside).expect("a UDP header");
                assert_eq!(usize::from(udp.length), inside.len());
                assert_eq!(udp.destination_port, TUNNEL_PORT);
                // Nobody knows the sum of a part of a datagram without looking at all of it (RFC 6935).
                assert_eq!(udp.checksum, 0);
                (rest, udp.source_port)
            }
            _ => (inside, 0),
        };
        let ethertype: &[u8] = if self.service == Family::V6 {
            &[0x86, 0xdd]
        } else {
            &[8, 0]
        };
        ([&frame[..12], ethertype, inside].concat(), Some((port, label)))
    }
}

/// What the balancer makes of fragments, put together again.
fn through(world: &mut World, what: &str, case: &Case, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut sent = Vec::new();
    let mut spread = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let out = world.sent(&format!("{case:?}: {what}: fragment {number}"), part);
        let (frame, by) = case.behind_outer(&out);
        sent.push(frame);
        spread.extend(by);
    }
    assert!(spread.windows(2).all(|pair| pair[0] == pair[1]), "one flow: {spread:?}");
    joined(&sent)
}

#[test]
fn a_datagram_gets_to_its_backend() {
    needs_bpf!();
    for case in Case::all() {
        // Make: the last fragment has no whole unit of 8 bytes.
        let datagram = case.datagram(9001);
        let parts = cut(&datagram.bytes(), IDENTIFICATION, MOST);
        assert_eq!(parts.len(), 7);
        // Set up.
        let mut world = case.world();
        // Check.
        let whole = through(&mut world, "9001 bytes", &case, &parts);
        assert_eq!(bad_checksum(&whole), None, "{case:?}");
        assert_same("put together", &whole, &case.there(&datagram, 0).bytes());
        let counters = world.counted(case.service.vip(Protocol::Udp));
        let bytes: usize = parts.iter().map(Vec::len).sum();
        assert_eq!((counters.packets, counters.bytes), (7, bytes as u64), "{case:?}");
        assert_eq!(counters.new_flows, u64::from(case.mode == Mode::Fullnat), "{case:?}");
    }
}

#[test]
fn a_datagram_gets_back_to_its_client() {
    needs_bpf!();
    for case in Case::translating() {
        // Make.
        let answer = case.answer(9001);
        let parts = cut(&answer.bytes(), IDENTIFICATION, MOST);
        // Set up: the client has asked.
        let mut world = case.world();
        world.sent("the question", &case.datagram(10).bytes());
        // Check.
        let whole = through(&mut world, "an answer", &case, &parts);
        assert_eq!(bad_checksum(&whole), None, "{case:?}");
        assert_same("put together", &whole, &case.back(&answer).bytes());
        let counters = world.counted(case.service.vip(Protocol::Udp));
        assert_eq!((counters.packets, counters.back_packets), (1, 7), "{case:?}");
    }
}

/// A backend's kernel gets the fragments as the client sent them.
#[test]
fn decap_unpacks_each_of_them() {
    needs_bpf!();
    for case in Case::all().into_iter().filter(|case| case.mode.is_tunnel()) {
        // Make.
        let datagram = case.datagram(9001);
        // Set up.
        let mut world = case.world();
        let local = [case.backend.backend(1).ip()];
        let from: &[Prefix] = &[];
        let gue_port = TUNNEL_PORT;
        let mut unpacker = Unpacker::new(Tunnels {
            local: &local,
            from,
            gue_port,
        })
        .expect("decap loads");
        // Check.
        let unpacked = cut(&datagram.bytes(), IDENTIFICATION, MOST).into_iter().map(|part| {
            let packed = world.sent("a fragment", &part);
            let (verdict, after) = unpacker.run(&packed).expect("it runs");
            assert_eq!(verdict, Verdict::Pass, "{case:?}");
            after.to_vec()
        });
        let whole = joined(&unpacked.collect::<Vec<_>>());
        assert_same("put together", &whole, &case.there(&datagram, 0).bytes());
    }
}

/// All that can be different about them.
#[test]
fn fragments_of_all_sorts_go_together() {
    needs_bpf!();
    for case in Case::all() {
        // Make.
        let datagram = case.datagram(4000);
        let tcp = Frame::tcp(case.service.client(0), case.service.service()).syn();
        let tcp = tcp.payload(&[0x5a; 3000]);
        let tags = [customer(0x6064)];
        let parts = cut(&datagram.bytes(), IDENTIFICATION, MOST);
        let in_vlan = parts.iter().map(|part| tagged(part, &tags)).collect();
        // The flow's number in `fullnat`, too.
        let mut rows = vec![
            ("a little", &datagram, 0, cut(&datagram.bytes(), IDENTIFICATION, 8)),
            ("a TCP segment", &tcp, 1, cut(&tcp.bytes(), IDENTIFICATION, MOST)),
            ("in a VLAN", &datagram, 0, in_vlan),
        ];
        let is_across = case.mode == Mode::Fullnat && case.service != case.backend;
        if case.service == Family::V6 {
            let mut behind_chain = cut(&datagram.bytes(), IDENTIFICATION, 1200);
            for part in &mut behind_chain {
                put_in_front(part, ip_number::IPV6_DESTINATION_OPTIONS);
                put_in_front(part, ip_number::IPV6_ROUTE_HEADER);
                put_in_front(part, ip_number::IPV6_HEADER_HOP_BY_HOP);
            }
            rows.push(("behind a chain of headers", &datagram, 0, behind_chain));
            let options = [0, 0, 1, 4, 0, 0, 0, 0];
            let with_options = datagram
                .clone()
                .extension(ip_number::IPV6_DESTINATION_OPTIONS, &options);
            let mut parts = cut(&with_options.bytes(), IDENTIFICATION, 1200);
            // What follows a later one's header does not count (RFC 8200, section 4.5).
            parts[1][54] = ip_number::UDP.0;
            // IPv4 has no such options.
            if !is_across {
                rows.push(("with options in it", &datagram, 0, parts));
            }
        }
        // Set up.
        let mut world = case.world();
        for (what, frame, flow, parts) in rows {
            // Check.
            let whole = through(&mut world, what, &case, &parts);
            assert_eq!(bad_checksum(&whole), None, "{case:?}: {what}");
            if what != "with options in it" {
                assert_same(what, &whole, &case.there(frame, flow).bytes());
            }
        }
        // Later ones in any order, as long as the first is before them.
        let swapped = [0, 2, 1].map(|number| case.behind_outer(&world.sent("swapped", &parts[number])).0);
        let [first, last, later] = swapped;
        let whole = joined(&[first, later, last]);
        assert_same("swapped", &whole, &case.there(&datagram, 0).bytes());
    }
}

/// Where the mirror of the routes does not know the way, the kernel gets all of them with the service's address on them.
#[test]
fn the_kernel_routes_all_of_them_or_none() {
    needs_bpf!();
    for case in Case::translating() {
        for hop in [None, Some(RouteHop::AskKernel)] {
            // Make.
            let answer = case.answer(4000);
            // Set up.
            let mut world = case.world();
            world.sent("the question", &case.datagram(10).bytes());
            world.route_clients(hop);
            // Check.
            let passed = cut(&answer.bytes(), IDENTIFICATION, MOST).into_iter().map(|part| {
                let outcome = world.not_sent("no route", &part, Reason::KernelRoutes);
                assert_eq!(outcome.verdict, Verdict::Pass, "{case:?}");
                outcome.packet
            });
            let whole = joined(&passed.collect::<Vec<_>>());
            let wanted = case.rewritten(answer.clone(), case.service.service(), case.service.client(0));
            assert_same("for the kernel", &whole, &wanted.bytes());
            // And on once there is a way.
            world.route_clients(Some(RouteHop::Via(CLIENT_HOP)));
            world.sent("a later one", &cut(&answer.bytes(), IDENTIFICATION, MOST)[1]);
        }
    }
}
