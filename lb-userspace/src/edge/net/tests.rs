//! Against a real kernel, in network namespaces of their own: a host with one interface, `near`, and a neighbour behind it.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc as blocking;
use std::time::Duration;

use super::*;
use crate::core::model::NextHop;
use crate::core::observed::ResolvedHop;

/// Longer than any change should take to be told.
const PATIENCE: Duration = Duration::from_secs(20);

const NEAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Another router, known by an entry of the operator's.
const STATIC: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const REMOTE: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);

const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const STATIC_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Says that a test did not run: on the terminal, and in the file that collects it.
fn skip(name: &str, reason: &str) {
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

/// Moves the calling thread into a network namespace of its own.
fn unshare() -> std::io::Result<()> {
    // SAFETY: only the namespace of sockets and interfaces changes, not what files or memory mean to this thread, and the
    // thread ends with the test.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }?;
    Ok(())
}

/// The neighbour's namespace, kept by a thread.
struct Lab {
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
        lab.far("ip address add 10.0.0.1/24 dev far");
        lab.far("ip link set far up");
        lab.near("ip address add 10.0.0.11/24 dev near");
        lab.near("ip link set near up");
        lab.near(&format!(
            "ip neighbour replace {STATIC} lladdr 02:00:00:00:00:02 dev near nud permanent"
        ));
        lab
    }

    /// Runs a command on the host.
    fn near(&self, command: &str) -> String {
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
    fn far(&self, command: &str) {
        self.near(&format!("nsenter --net={} {command}", self.far));
    }
}

/// Runs a test in a namespace of its own, on a thread of its own.
fn in_lab(name: &'static str, test: impl AsyncFnOnce(Lab, Seen) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        return skip(name, "needs root");
    }
    if Command::new("ip").arg("-V").output().is_err() || Command::new("nsenter").arg("-V").output().is_err() {
        return skip(name, "needs ip (iproute2) and nsenter (util-linux)");
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
            let (tx, events) = mpsc::channel(16);
            let watcher = NetWatcher::start(tx).unwrap();
            test(
                lab,
                Seen {
                    watcher,
                    events,
                    hops: HashMap::new(),
                    routes: BTreeMap::new(),
                    links: Vec::new(),
                },
            )
            .await;
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// What was told so far.
struct Seen {
    watcher: NetWatcher,
    events: mpsc::Receiver<NetEvent>,
    hops: HashMap<HopTarget, HopState>,
    routes: BTreeMap<RoutePrefix, RouteHop>,
    links: Vec<Link>,
}

impl Seen {
    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
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
    async fn until_hop(&mut self, target: HopTarget, mac: [u8; 6]) -> ResolvedHop {
        let is = |seen: &Self| seen.hops.get(&target).and_then(|hop| hop.clone().ok());
        self.until(&format!("{target:?} with {mac:x?}"), |seen| {
            is(seen).is_some_and(|hop| hop.destination_mac == mac)
        })
        .await;
        is(self).unwrap()
    }

    /// Waits until a target's next hop is missing for this reason.
    async fn until_missing(&mut self, target: HopTarget, why: &str) {
        self.until(why, |seen| seen.hops.get(&target) == Some(&Err(why.into())))
            .await;
    }
}

fn by_route(address: Ipv4Addr) -> HopTarget {
    HopTarget { address, via: None }
}

#[test]
fn a_neighbour_is_asked_for_and_followed() {
    in_lab("a_neighbour_is_asked_for_and_followed", async |lab, mut seen| {
        let silent = by_route(Ipv4Addr::new(10, 0, 0, 200));
        seen.watcher.set_targets([by_route(FAR), by_route(NEAR), silent].into());
        let hop = seen.until_hop(by_route(FAR), FAR_MAC).await;
        assert_eq!((hop.source_mac, hop.source, hop.mtu), (NEAR_MAC, NEAR, 1500));
        seen.until_missing(silent, "neighbour 10.0.0.200 on near does not answer ARP; is it up?")
            .await;
        let local = "route to 10.0.0.11 leads to lo: this host itself; set the address of another host";
        seen.until_missing(by_route(NEAR), local).await;
        // It has another network card now, and the kernel was made to forget the old one.
        lab.far("ip link set far address 02:00:00:00:00:99");
        lab.near("ip neighbour flush dev near");
        seen.until_hop(by_route(FAR), [2, 0, 0, 0, 0, 0x99]).await;
        // The silent one comes up.
        lab.far("ip address add 10.0.0.200/24 dev far");
        seen.until_hop(silent, [2, 0, 0, 0, 0, 0x99]).await;
        // It goes down, and does not answer any more when it is asked again.
        lab.far("ip address del 10.0.0.200/24 dev far");
        lab.near("ip neighbour change 10.0.0.200 dev near nud probe");
        seen.until_missing(silent, "neighbour 10.0.0.200 on near does not answer ARP; is it up?")
            .await;
    });
}

#[test]
fn routes_are_followed() {
    in_lab("routes_are_followed", async |lab, mut seen| {
        let fixed = HopTarget {
            address: REMOTE,
            via: Some(NextHop::Address(FAR)),
        };
        seen.watcher.set_targets([by_route(REMOTE), fixed].into());
        seen.until_missing(by_route(REMOTE), "no route to 10.9.9.9; add a route, or set next_hop")
            .await;
        seen.until_hop(fixed, FAR_MAC).await;
        lab.near("ip route add 10.9.0.0/16 via 10.0.0.1");
        seen.until_hop(by_route(REMOTE), FAR_MAC).await;
        lab.near("ip route replace 10.9.0.0/16 via 10.0.0.2");
        assert_eq!(seen.until_hop(by_route(REMOTE), STATIC_MAC).await.mtu, 1500);
        lab.near("ip route replace 10.9.0.0/16 via 10.0.0.2 mtu 1400");
        seen.until("an MTU of 1400", |seen| {
            seen.hops[&by_route(REMOTE)].as_ref().is_ok_and(|hop| hop.mtu == 1400)
        })
        .await;
        // The operator's own entry is still the operator's.
        assert!(lab.near("ip neighbour show 10.0.0.2").contains("PERMANENT"));
        lab.near("ip route replace unreachable 10.9.0.0/16");
        let refused = "the route to 10.9.9.9 refuses packets; change the route, or set next_hop";
        seen.until_missing(by_route(REMOTE), refused).await;
        // Another table by a rule, as the kernel itself would look it up.
        lab.near("ip route add default via 10.0.0.1 table 100");
        lab.near("ip rule add to 10.9.0.0/16 table 100");
        seen.until_hop(by_route(REMOTE), FAR_MAC).await;
        // A fixed MAC address asks nobody, and a target that comes back is told again.
        let mac = HopTarget {
            address: REMOTE,
            via: Some(NextHop::Mac([6; 6])),
        };
        seen.watcher.set_targets([mac].into());
        seen.until_hop(mac, [6; 6]).await;
        seen.hops.clear();
        seen.watcher.set_targets(HashSet::new());
        seen.watcher.set_targets([mac].into());
        seen.until_hop(mac, [6; 6]).await;
    });
}

#[test]
fn a_link_that_goes_down_is_told_and_comes_back() {
    in_lab("a_link_that_goes_down_is_told_and_comes_back", async |lab, mut seen| {
        seen.watcher.set_targets([by_route(FAR)].into());
        seen.until_hop(by_route(FAR), FAR_MAC).await;
        let near = |seen: &Seen| seen.links.iter().find(|link| link.name == "near").cloned().unwrap();
        let link = near(&seen);
        assert_eq!(
            (link.kind.as_str(), link.mac, link.mtu, link.up),
            ("veth", NEAR_MAC, 1500, true)
        );
        assert_eq!(
            (link.addresses.as_slice(), link.xdp_program),
            ([(NEAR, 24)].as_slice(), None)
        );
        assert_eq!(links_once().await.unwrap(), seen.links);
        let down = "interface near is down; set it up, or see whether it is plugged in";
        lab.near("ip link set near down");
        seen.until_missing(by_route(FAR), down).await;
        assert!(!near(&seen).up);
        lab.near("ip link set near up");
        seen.until_hop(by_route(FAR), FAR_MAC).await;
        // The other end of the cable.
        lab.far("ip link set far down");
        seen.until_missing(by_route(FAR), down).await;
        lab.far("ip link set far up");
        seen.until_hop(by_route(FAR), FAR_MAC).await;
        lab.near("ip link set near mtu 9000");
        seen.until("an MTU of 9000", |seen| near(seen).mtu == 9000).await;
        seen.until("a hop with it", |seen| {
            seen.hops[&by_route(FAR)].as_ref().is_ok_and(|hop| hop.mtu == 9000)
        })
        .await;
    });
}

#[test]
fn routes_to_clients_are_mirrored() {
    in_lab("routes_to_clients_are_mirrored", async |lab, mut seen| {
        let prefix = |address: [u8; 4], length| RoutePrefix {
            address: address.into(),
            length,
        };
        let (all, network) = (prefix([0, 0, 0, 0], 0), prefix([10, 0, 0, 0], 24));
        let (router, other) = (prefix([10, 0, 0, 1], 32), prefix([10, 0, 0, 2], 32));
        let goes_to = |seen: &Seen, prefix: RoutePrefix, mac: [u8; 6]| matches!(seen.routes.get(&prefix), Some(RouteHop::Via(hop)) if hop.destination_mac == mac);
        seen.until("the network", |seen| seen.routes.contains_key(&network))
            .await;
        assert_eq!(
            (seen.routes[&all], seen.routes[&network]),
            (RouteHop::AskKernel, RouteHop::AskKernel)
        );
        assert!(goes_to(&seen, other, STATIC_MAC));
        // Nobody but the mirror asks for the router.
        lab.near("ip route add default via 10.0.0.1");
        seen.until("the default route", |seen| {
            goes_to(seen, all, FAR_MAC) && goes_to(seen, router, FAR_MAC)
        })
        .await;
        lab.near("ip route add 10.5.0.0/16 nexthop via 10.0.0.1 nexthop via 10.0.0.2");
        lab.near("ip route add blackhole 10.6.0.0/16");
        lab.near("ip route add 10.7.0.0/16 via 10.0.0.2");
        seen.until("three routes", |seen| {
            goes_to(seen, prefix([10, 7, 0, 0], 16), STATIC_MAC)
        })
        .await;
        for left_to_the_kernel in [prefix([10, 5, 0, 0], 16), prefix([10, 6, 0, 0], 16)] {
            assert_eq!(seen.routes[&left_to_the_kernel], RouteHop::AskKernel);
        }
        assert_eq!(seen.routes.len(), 7);
        let everything = BTreeMap::from([(all, RouteHop::AskKernel)]);
        lab.near("ip rule add from 10.0.0.11 table 100");
        seen.until("the rule", |seen| seen.routes == everything).await;
        lab.near("ip rule del from 10.0.0.11 table 100");
        seen.until("the mirror again", |seen| seen.routes.len() == 7).await;
        lab.near("ip link set near down");
        seen.until("no route", |seen| {
            seen.routes.values().all(|hop| *hop == RouteHop::AskKernel)
        })
        .await;
    });
}

/// More happens than the socket's buffer holds while nobody reads: what was lost is read anew.
#[test]
fn lost_news_are_made_up_for() {
    in_lab("lost_news_are_made_up_for", async |lab, mut seen| {
        lab.near("ip route add 10.9.0.0/16 via 10.0.0.2");
        seen.watcher.set_targets([by_route(REMOTE)].into());
        seen.until_hop(by_route(REMOTE), STATIC_MAC).await;
        let routes: String = (0..20_000u32)
            .map(|i| {
                format!(
                    "route add {}/30 via 10.0.0.1\n",
                    Ipv4Addr::from_bits(0x0b00_0000 + (i << 2))
                )
            })
            .collect();
        let batch = std::env::temp_dir().join(format!("lb-routes-{}", std::process::id()));
        std::fs::write(&batch, routes).unwrap();
        lab.near(&format!("ip -batch {}", batch.display()));
        lab.near("ip neighbour replace 10.0.0.2 lladdr 02:00:00:00:00:77 dev near nud permanent");
        std::fs::remove_file(&batch).unwrap();
        let sockets = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
        let lost = |line: &str| {
            line.split_whitespace()
                .nth(8)
                .and_then(|drops| drops.parse::<u32>().ok())
        };
        assert!(
            sockets.lines().filter_map(lost).any(|drops| drops > 0),
            "nothing was lost: {sockets}"
        );
        seen.until_hop(by_route(REMOTE), [2, 0, 0, 0, 0, 0x77]).await;
        seen.until("all routes", |seen| seen.routes.len() > 20_000).await;
    });
}
