//! What a daemon finds pinned when it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use lb_common::abi::{ABI_VERSION, FEATURE_TRACE};
use lb_common::flow::DEFAULT_HASH_KEY;
use lb_common::maps;
use lb_tests::needs_bpf;
use lb_tests::packet::places::{CLIENT_HOP, SERVICE, SOURCES, backend, client};
use lb_tests::packet::world::key;
use lb_tests::packet::{Frame, Setup, World, pool, service};
use lb_userspace::core::image::{Image, Rested};
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::core::observed::{RouteHop, RoutePrefix};
use lb_userspace::core::plan::{self, Wanted};
use lb_userspace::edge::dataplane::run::{INGRESS, Runner};
use lb_userspace::edge::dataplane::testing::set_abi_version;
use lb_userspace::edge::dataplane::{Dataplane, DataplaneError, Options};

/// A directory of pins that goes with the test, however that ends.
struct Pins(PathBuf);

impl Pins {
    fn new(name: &str) -> Self {
        Self(PathBuf::from(format!(
            "/sys/fs/bpf/lb-test-{}-{name}",
            std::process::id()
        )))
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        // What a test removed itself is not there.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Opens what is pinned, or makes it.
fn open(dir: &Path) -> Result<World, DataplaneError> {
    open_with(dir, &Setup::default())
}

fn open_with(dir: &Path, setup: &Setup) -> Result<World, DataplaneError> {
    let (mut dataplane, image) = Dataplane::open(&Options {
        pin_dir: Some(dir.into()),
        limits: setup.limits,
        hash_key: DEFAULT_HASH_KEY,
        features: FEATURE_TRACE,
        ports: Some(setup.ports.clone()),
    })?;
    let runner = Runner::new(&mut dataplane)?;
    let sweep = 0;
    Ok(World {
        dataplane,
        image,
        runner,
        sweep,
    })
}

fn vip(mode: Mode) -> Vip {
    Vip {
        address: *SERVICE.ip(),
        port: SERVICE.port() + mode as u16,
        protocol: if mode == Mode::L2 { Protocol::Udp } else { Protocol::Tcp },
    }
}

fn door(mode: Mode) -> SocketAddrV4 {
    SocketAddrV4::new(*SERVICE.ip(), vip(mode).port)
}

/// A service in each mode; `fullnat` with two sources.
fn services() -> Vec<Wanted> {
    let of = |mode: Mode| {
        let first = mode as u8 * 10;
        let mut wanted = service(vip(mode), mode, pool((first..first + 4).map(backend)));
        wanted.backends[0].weight = 0;
        wanted.backends[0].alive = false;
        if mode == Mode::Fullnat {
            wanted.sources = SOURCES.to_vec();
        }
        wanted
    };
    [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip].map(of).to_vec()
}

fn fill(world: &mut World) {
    for wanted in services() {
        world.serve(&wanted);
    }
    let prefix = |address: [u8; 4], length| RoutePrefix {
        address: Ipv4Addr::from(address),
        length,
    };
    let routes = [
        (prefix([0; 4], 0), RouteHop::Via(CLIENT_HOP)),
        (prefix([10, 9, 0, 0], 16), RouteHop::AskKernel),
    ];
    let ops = plan::routes(&mut world.image, &routes.into());
    world.apply(&ops);
    let ops = plan::interfaces(&mut world.image, &[INGRESS].into());
    world.apply(&ops);
}

/// A packet of the `n`th flow through each service.
fn packets(n: u16) -> [Vec<u8>; 4] {
    let tcp = |mode| Frame::tcp(client(n), door(mode)).syn().bytes();
    let udp = Frame::udp(client(n), door(Mode::L2)).payload(b"question").bytes();
    [tcp(Mode::Fullnat), tcp(Mode::Nat), udp, tcp(Mode::Ipip)]
}

/// The account but for what it is built from, and in what order numbers come next.
fn said(image: &Image) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for (vip, placed) in &image.services {
        let (id, base, size, mode) = (placed.id, placed.base, placed.size, placed.mode);
        let what = format!("{id} {base} {size} {mode:?} {:?} {:?}", placed.owners, placed.backends);
        said.insert(vip.to_string(), what);
    }
    let mut note = |name: &str, what: String| said.insert(name.into(), what);
    note("sources", format!("{:?}", image.sources));
    note("interfaces", format!("{:?}", image.egress));
    note("ways back", format!("{:?}", image.backs));
    note("routes", format!("{:?}", image.routes));
    note("regions", format!("{:?}", image.regions));
    note(
        "room",
        format!("{} {}", image.service_ids.room(), image.backend_ids.room()),
    );
    note("limits", format!("{:?}", image.limits));
    said
}

#[test]
fn what_is_pinned_is_adopted() {
    needs_bpf!();
    let pins = Pins::new("adopted");
    // Make: flows through every service.
    let flows: Vec<Vec<u8>> = (0..50).flat_map(packets).collect();
    // Set up: a daemon fills the maps, and ends.
    let mut first = open(&pins.0).expect("it is made");
    assert!(!first.dataplane.adopted());
    fill(&mut first);
    let sent: Vec<Vec<u8>> = flows.iter().map(|packet| first.sent("first", packet)).collect();
    first.not_sent(
        "counted",
        &Frame::udp(client(0), door(Mode::Nat)).bytes(),
        lb_common::reason::Reason::NoService,
    );
    let (reasons, before, meta) = (first.reasons(), said(&first.image), *first.dataplane.meta());
    let counters = |world: &World| {
        let of = |mode| {
            world
                .dataplane
                .service_counters(world.placed(vip(mode)).id)
                .expect("counters")
        };
        [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip].map(of)
    };
    let counted = counters(&first);
    drop(first);
    // The next one asks for other limits and another key: those of the maps hold.
    let mut other = Setup::default();
    other.limits.flows *= 2;
    other.limits.services += 1;
    let mut second = open_with(&pins.0, &other).expect("it is adopted");
    // Check.
    assert!(second.dataplane.adopted());
    assert_eq!(*second.dataplane.meta(), meta);
    assert_eq!(said(&second.image), before);
    assert!(second.image.retired.is_empty());
    assert_eq!(second.reasons(), reasons);
    assert_eq!(counters(&second), counted);
    for (packet, sent) in flows.iter().zip(&sent) {
        assert_eq!(second.sent("second", packet), *sent, "a flow goes where it went");
    }
    // A plan for what is wanted anyway has nothing to write.
    for wanted in services() {
        assert_eq!(plan::service(&mut second.image, &wanted, 0).expect("room"), []);
    }
}

#[test]
fn another_version_is_refused_and_left_alone() {
    needs_bpf!();
    let pins = Pins::new("version");
    // Make, set up.
    let mut first = open(&pins.0).expect("it is made");
    fill(&mut first);
    let before = (said(&first.image), pins.names());
    drop(first);
    set_abi_version(&pins.0, ABI_VERSION + 1).expect("META is pinned");
    // Check.
    let Err(error) = open(&pins.0) else {
        panic!("it was adopted")
    };
    let said_so = error.to_string();
    let dir = pins.0.display();
    let (other, own) = (ABI_VERSION + 1, ABI_VERSION);
    let wanted = format!(
        "the data plane pinned in {dir} has ABI version {other}, this lb has {own}; start the lb that made it, or \
         remove it with: rm -r {dir} (its packets stop being balanced)"
    );
    assert_eq!(said_so, wanted);
    assert_eq!(pins.names(), before.1);
    set_abi_version(&pins.0, ABI_VERSION).expect("META is pinned");
    let again = open(&pins.0).expect("it is adopted");
    assert!(again.dataplane.adopted());
    assert_eq!(said(&again.image), before.0);
}

/// A daemon that died before its data plane was complete left pins that nobody uses.
#[test]
fn a_start_that_was_cut_short_is_begun_anew() {
    needs_bpf!();
    for (name, break_off) in [
        (
            "unfinished",
            (|dir| set_abi_version(dir, 0).expect("META is pinned")) as fn(&Path),
        ),
        ("no-meta", |dir| {
            std::fs::remove_file(dir.join(maps::META)).expect("META is pinned")
        }),
    ] {
        let pins = Pins::new(name);
        // Make, set up.
        let mut first = open(&pins.0).expect("it is made");
        fill(&mut first);
        let names = pins.names();
        drop(first);
        break_off(&pins.0);
        // Check.
        let mut second = open(&pins.0).expect("it is made anew");
        assert!(!second.dataplane.adopted(), "{name}");
        assert!(second.image.services.is_empty(), "{name}");
        assert_eq!(pins.names(), names, "{name}");
        second.not_sent(name, &packets(0)[1], lb_common::reason::Reason::NoService);
        fill(&mut second);
        second.sent(name, &packets(0)[1]);
        drop(second);
        assert!(open(&pins.0).expect("it is adopted").dataplane.adopted(), "{name}");
    }
}

/// What the daemon before had retired rests for the next one too.
#[test]
fn what_was_retired_rests_on() {
    needs_bpf!();
    let pins = Pins::new("retired");
    // Make, set up: a service, and a backend of another one, are taken out.
    let mut first = open(&pins.0).expect("it is made");
    fill(&mut first);
    let service_id = first.placed(vip(Mode::Nat)).id;
    let mut resting: BTreeSet<u32> = first
        .placed(vip(Mode::Nat))
        .backends
        .values()
        .map(|there| there.id)
        .collect();
    first.remove(vip(Mode::Nat));
    let [mut fullnat, ..] = <[Wanted; 4]>::try_from(services()).expect("four modes");
    fullnat.backends.pop();
    let gone = first.id(fullnat.vip, backend(Mode::Fullnat as u8 * 10 + 3));
    first.serve(&fullnat);
    drop(first);
    // Check: nobody gets their numbers before two sweeps.
    let mut second = open(&pins.0).expect("it is adopted");
    second.serve(&fullnat);
    resting.insert(gone);
    let retired = second.image.retired.iter().map(|(_, what)| *what);
    let of_backends: BTreeSet<u32> = retired
        .clone()
        .filter_map(|what| if let Rested::Backend(id) = what { Some(id) } else { None })
        .collect();
    assert_eq!(of_backends, resting);
    assert!(retired.clone().any(|what| what == Rested::Service(service_id)));
    second.serve(&services()[1]);
    let placed = second.placed(vip(Mode::Nat));
    assert_ne!(placed.id, service_id);
    assert!(placed.backends.values().all(|there| !resting.contains(&there.id)));
}

/// A backend that was removed and came back has two entries until the old one has rested. The one that the slots name is it.
#[test]
fn a_backend_that_came_back_is_found_under_its_new_number() {
    needs_bpf!();
    let pins = Pins::new("came-back");
    // Make: numbers 1 to 3.
    let mut setup = Setup::default();
    setup.limits.backends = 4;
    let of = |numbers: &[u8]| service(vip(Mode::Ipip), Mode::Ipip, pool(numbers.iter().map(|n| backend(*n))));
    // Set up: number 2 comes free, the backend with number 3 goes and comes back with it.
    let mut first = open_with(&pins.0, &setup).expect("it is made");
    first.serve(&of(&[1, 2, 3]));
    first.serve(&of(&[1, 3]));
    let ops = plan::collect(&mut first.image, 2, &Default::default());
    first.apply(&ops);
    first.sweep = 2;
    first.serve(&of(&[1]));
    first.serve(&of(&[1, 3]));
    assert_eq!(first.id(vip(Mode::Ipip), backend(3)), 2);
    let before = first.placed(vip(Mode::Ipip)).clone();
    drop(first);
    // Check.
    let mut second = open_with(&pins.0, &setup).expect("it is adopted");
    let placed = second.placed(vip(Mode::Ipip));
    assert_eq!(placed.owners, before.owners);
    assert_eq!(placed.backends[&key(backend(3))].id, 2);
    assert_eq!(second.image.retired, [(0, Rested::Backend(3))]);
    assert_eq!(second.image.backend_ids.room(), 0);
    assert_eq!(plan::service(&mut second.image, &of(&[1, 3]), 0).expect("room"), []);
}

#[test]
fn removal_leaves_nothing() {
    needs_bpf!();
    let pins = Pins::new("removal");
    // Make, set up.
    let mut world = open(&pins.0).expect("it is made");
    fill(&mut world);
    assert_eq!(
        pins.names(),
        maps::BALANCER.iter().map(|name| (*name).to_owned()).collect()
    );
    // Check.
    world.dataplane.remove().expect("it can be removed");
    assert!(!pins.0.exists());
    world.sent("the maps live on here", &packets(0)[1]);
    drop(world);
    assert!(!open(&pins.0).expect("it is made").dataplane.adopted());
}

/// A directory elsewhere is refused, and not left behind.
#[test]
fn pins_belong_on_the_bpf_file_system() {
    needs_bpf!();
    // Make, set up.
    let elsewhere = tempfile::tempdir().expect("a directory");
    let dir = elsewhere.path().join("pins");
    // Check.
    let Err(error) = open(&dir) else { panic!("it was made") };
    let wanted = format!(
        "{}: not on a BPF file system; choose a directory below /sys/fs/bpf (--pin-dir)",
        dir.display()
    );
    assert_eq!(error.to_string(), wanted);
    assert!(!dir.exists());
}
