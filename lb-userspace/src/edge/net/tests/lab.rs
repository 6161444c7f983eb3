//! A host with one interface, `near`, and a neighbour behind it, in network namespaces of their own.

use std::net::IpAddr;
use std::process::Command;
use std::sync::mpsc as blocking;
use std::time::Duration;

use super::super::family::Family;
use super::super::*;
use crate::core::observed::ResolvedHop;

/// Longer than any change should take to be told.
const PATIENCE: Duration = Duration::from_secs(20);

pub const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
pub const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const FIXED_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The network between the two, in one family.
pub struct Net {
    pub family: Family,
    /// What `ip` calls it.
    pub ip: &'static str,
    /// The host.
    pub near: &'static str,
    /// The neighbour, which is a router.
    pub far: &'static str,
    /// Another router, known by an entry of the operator's.
    pub fixed: &'static str,
    /// Nobody has this address at first.
    pub silent: &'static str,
    pub network: &'static str,
    /// A host elsewhere.
    pub remote: &'static str,
    /// Its network.
    pub remote_network: &'static str,
    /// Networks elsewhere.
    pub others: [&'static str; 3],
}

pub static V4: Net = Net {
    family: Family::V4,
    ip: "ip -4",
    near: "10.0.0.11",
    far: "10.0.0.1",
    fixed: "10.0.0.2",
    silent: "10.0.0.200",
    network: "10.0.0.0/24",
    remote: "10.9.9.9",
    remote_network: "10.9.0.0/16",
    others: ["10.5.0.0/16", "10.6.0.0/16", "10.7.0.0/16"],
};

pub static V6: Net = Net {
    family: Family::V6,
    ip: "ip -6",
    near: "2001:db8::11",
    far: "2001:db8::1",
    fixed: "2001:db8::2",
    silent: "2001:db8::200",
    network: "2001:db8::/64",
    remote: "2001:db8:9::9",
    remote_network: "2001:db8:9::/48",
    others: ["2001:db8:5::/48", "2001:db8:6::/48", "2001:db8:7::/48"],
};

/// What the neighbour is called on the link, as a router says it of itself.
pub const FAR_LINK_LOCAL: &str = "fe80::1";

/// What the kernel calls the host there.
pub const NEAR_LINK_LOCAL: &str = "fe80::ff:fe00:11";

impl Net {
    /// An address of the network with its length.
    pub fn with_length(&self, address: &str) -> String {
        let (_, length) = self.network.split_once('/').unwrap();
        format!("{address}/{length}")
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix {
        address: ip(address),
        length: length.parse().unwrap(),
    }
}

/// The prefix of an address alone.
pub fn alone(address: &str) -> Prefix {
    let address = ip(address);
    let length = Family::of(address).bits();
    Prefix { address, length }
}

pub fn by_route(address: &str) -> HopTarget {
    HopTarget {
        address: ip(address),
        via: None,
    }
}

/// Says that a test did not run: on the terminal, and in the file that collects it.
pub fn skip(name: &str, reason: &str) {
    use std::io::Write;
    println!("SKIP {name}: {reason}");
    if let Some(path) = std::env::var_os("LB_SKIP_FILE") {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        writeln!(file, "{name}\t{reason}").unwrap();
    }
}

/// Whether this kernel has IPv6.
fn has_ipv6() -> bool {
    std::path::Path::new("/proc/sys/net/ipv6/conf/default").exists()
}

/// Moves the calling thread into a network namespace of its own. IPv6 addresses are there at once, and stay when their link
/// goes down, as IPv4's do.
fn unshare() -> std::io::Result<()> {
    // SAFETY: only the namespace of sockets and interfaces changes, not what files or memory mean to this thread, and the
    // thread ends with the test.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }?;
    if has_ipv6() {
        std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0")?;
        std::fs::write("/proc/sys/net/ipv6/conf/default/keep_addr_on_down", "1")?;
    }
    Ok(())
}

/// The neighbour's namespace, kept by a thread.
pub struct Lab {
    far: String,
    _keep: blocking::Sender<()>,
}

impl Lab {
    fn new() -> Self {
        let (keep, kept) = blocking::channel();
        let (tell, told) = blocking::channel();
        std::thread::spawn(move || {
            unshare().unwrap();
            let thread = rustix::thread::gettid().as_raw_nonzero();
            tell.send(format!("/proc/{}/task/{thread}/ns/net", std::process::id()))
                .unwrap();
            let _ = kept.recv();
        });
        let lab = Self {
            far: told.recv().unwrap(),
            _keep: keep,
        };
        lab.near("ip link set lo up");
        lab.near(&format!(
            "ip link add near address 02:00:00:00:00:11 type veth peer name far netns {}",
            lab.far
        ));
        lab.far("ip link set far address 02:00:00:00:00:01");
        lab.far("ip link set far up");
        lab.near("ip link set near up");
        for net in nets() {
            lab.far(&format!("ip address add {} dev far", net.with_length(net.far)));
            lab.near(&format!("ip address add {} dev near", net.with_length(net.near)));
            lab.near(&format!(
                "ip neighbour replace {} lladdr 02:00:00:00:00:02 dev near nud permanent",
                net.fixed
            ));
        }
        if has_ipv6() {
            lab.far(&format!("ip address add {FAR_LINK_LOCAL}/64 dev far"));
        }
        lab
    }

    /// Runs a command on the host.
    pub fn near(&self, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        assert!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command on the neighbour.
    pub fn far(&self, command: &str) {
        self.near(&format!("nsenter --net={} {command}", self.far));
    }
}

/// The families of this kernel.
pub fn nets() -> Vec<&'static Net> {
    if has_ipv6() { vec![&V4, &V6] } else { vec![&V4] }
}

/// Runs a test for each family, see [`in_lab_of`].
pub fn in_lab(name: &'static str, test: impl AsyncFn(&Lab, &mut Seen, &'static Net) + Copy + Send + 'static) {
    in_lab_of(&V4, name, test);
    in_lab_of(&V6, name, test);
}

/// Runs a test in a namespace of its own, on a thread of its own.
pub fn in_lab_of(
    net: &'static Net,
    name: &'static str,
    test: impl AsyncFnOnce(&Lab, &mut Seen, &'static Net) + Send + 'static,
) {
    if !rustix::process::geteuid().is_root() {
        return skip(name, "needs root");
    }
    if Command::new("ip").arg("-V").output().is_err() || Command::new("nsenter").arg("-V").output().is_err() {
        return skip(name, "needs ip (iproute2) and nsenter (util-linux)");
    }
    if net.family == Family::V6 && !has_ipv6() {
        return skip(name, "in part: needs a kernel with IPv6");
    }
    let thread = std::thread::spawn(move || {
        if let Err(error) = unshare() {
            return skip(name, &format!("no network namespace to be had: {error}"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let lab = Lab::new();
            let mut seen = Seen::start();
            test(&lab, &mut seen, net).await;
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// What was told so far.
pub struct Seen {
    pub watcher: NetWatcher,
    events: mpsc::Receiver<NetEvent>,
    pub hops: HashMap<HopTarget, HopState>,
    pub routes: BTreeMap<Prefix, RouteHop>,
    pub links: Vec<Link>,
}

impl Seen {
    fn start() -> Self {
        let (tx, events) = mpsc::channel(16);
        Self {
            watcher: NetWatcher::start(tx).unwrap(),
            events,
            hops: HashMap::new(),
            routes: BTreeMap::new(),
            links: Vec::new(),
        }
    }

    pub async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while !done(self) {
            let Ok(event) = tokio::time::timeout_at(end, self.events.recv()).await else {
                panic!(
                    "{what} is not seen: {:#?} {:#?} {:#?}",
                    self.hops, self.routes, self.links
                );
            };
            match event.unwrap() {
                NetEvent::Hops(hops) => self.hops.extend(hops),
                NetEvent::Routes(routes) => self.routes = routes,
                NetEvent::Links(links) => self.links = links,
                NetEvent::Trouble(error) => panic!("{error}"),
            }
        }
    }

    /// Waits until a target's next hop has this MAC address.
    pub async fn until_hop(&mut self, target: HopTarget, mac: [u8; 6]) -> ResolvedHop {
        let is = |seen: &Self| seen.hops.get(&target).and_then(|hop| hop.clone().ok());
        self.until(&format!("{target:?} with {mac:x?}"), |seen| {
            is(seen).is_some_and(|hop| hop.destination_mac == mac)
        })
        .await;
        is(self).unwrap()
    }

    /// Waits until a target's next hop is missing for this reason.
    pub async fn until_missing(&mut self, target: HopTarget, why: &str) {
        self.until(why, |seen| seen.hops.get(&target) == Some(&Err(why.into())))
            .await;
    }

    /// Waits until a target's next hop has this MTU, in bytes.
    pub async fn until_mtu(&mut self, target: HopTarget, mtu: u16) {
        self.until(&format!("{target:?} with an MTU of {mtu}"), |seen| {
            seen.hops[&target].as_ref().is_ok_and(|hop| hop.mtu == mtu)
        })
        .await;
    }

    /// Whether the mirror sends a prefix to this MAC address.
    pub fn goes_to(&self, prefix: Prefix, mac: [u8; 6]) -> bool {
        matches!(self.routes.get(&prefix), Some(RouteHop::Via(hop)) if hop.destination_mac == mac)
    }

    /// The mirror of one family, and that of the other one.
    pub fn mirrors(&self, net: &Net) -> [BTreeMap<Prefix, RouteHop>; 2] {
        let (own, other) = self
            .routes
            .iter()
            .map(|(prefix, hop)| (*prefix, *hop))
            .partition(|(prefix, _)| Family::of(prefix.address) == net.family);
        [own, other]
    }
}
