//! What a daemon finds pinned when it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use lb_common::flow::DEFAULT_HASH_KEY;
use lb_tests::packet::objects::possible;
use lb_tests::packet::places::{self, CLIENT_HOP, SERVICE, SOURCES, backend, client};
use lb_tests::packet::{Frame, Setup, World, pool, service};
use lb_userspace::core::image::Image;
use lb_userspace::core::model::{Mode, Protocol, Vip};
use lb_userspace::core::observed::RouteHop;
use lb_userspace::core::plan::{self, Wanted};
use lb_userspace::core::prefix::Prefix;
use lb_userspace::edge::dataplane::run::{INGRESS, Runner};
use lb_userspace::edge::dataplane::{Dataplane, DataplaneError, Options};

mod account;
mod counters;
mod pins;

const MODES: [Mode; 5] = [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue];

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
        traced: true,
        flow_table: setup.flow_table,
        ports: Some(setup.ports.clone()),
    })?;
    let runner = Runner::new(&mut dataplane)?;
    let sweep = 0;
    Ok(World {
        dataplane: dataplane.into(),
        image,
        runner,
        sweep,
    })
}

fn vip(mode: Mode) -> Vip {
    let protocol = if mode == Mode::L2 { Protocol::Udp } else { Protocol::Tcp };
    let port = SERVICE.port() + mode as u16;
    let one = places::vip(protocol).at(port);
    match mode {
        // One has a range of ports, one a prefix of addresses.
        Mode::Gue => Vip {
            last_port: port + 9,
            ..one
        },
        Mode::Ipip => Vip {
            address: [192, 0, 2, 0].into(),
            length: 24,
            ..one
        },
        _ => one,
    }
}

fn door(mode: Mode) -> SocketAddrV4 {
    SocketAddrV4::new(*SERVICE.ip(), vip(mode).port)
}

/// The service in this mode; `fullnat` with two sources.
fn of(mode: Mode) -> Wanted {
    let first = mode as u8 * 10;
    let mut wanted = service(vip(mode), mode, pool((first..first + 4).map(backend)));
    wanted.backends[0].weight = 0;
    wanted.backends[0].alive = false;
    if mode == Mode::Fullnat {
        wanted.sources = SOURCES.map(Into::into).to_vec();
    }
    wanted
}

fn fill(world: &mut World) {
    fill_with(world, &possible(&MODES));
}

/// A service in each of these modes, and what else a daemon writes.
fn fill_with(world: &mut World, modes: &[Mode]) {
    for mode in modes {
        world.serve(&of(*mode));
    }
    let prefix = |address: [u8; 4], length| Prefix {
        address: address.into(),
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

/// The first packet of the `n`th flow through the service in this mode.
fn packet(mode: Mode, n: u16) -> Vec<u8> {
    match mode {
        Mode::L2 => Frame::udp(client(n), door(mode)).payload(b"question").bytes(),
        Mode::Fullnat | Mode::Nat | Mode::Ipip | Mode::Gue => Frame::tcp(client(n), door(mode)).syn().bytes(),
    }
}

/// Packets of fifty flows through each of these services.
fn packets(modes: &[Mode]) -> Vec<Vec<u8>> {
    (0..50)
        .flat_map(|n| modes.iter().map(move |mode| packet(*mode, n)))
        .collect()
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
