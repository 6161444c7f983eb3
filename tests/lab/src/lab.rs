//! A whole lab: planned, built, and taken down.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::balancer::Balancer;
use crate::client::Client;
use crate::layout::{Cabling, Family, Hosts, Layout, VIP};
use crate::mode::Mode;
use crate::netns::Netns;
use crate::scratch::{self, Scratch};
use crate::server::{Content, Server, ServerKind};
use crate::wait::wait_until;
use crate::{bpffs, is_root, program};

/// The port of the service.
const SERVICE_PORT: u16 = 80;

/// What a lab is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    mode: Mode,
    layout: Layout,
    /// Of the service, and of its backends.
    families: (Family, Family),
    servers: u8,
    server_kind: ServerKind,
    content: Content,
    has_programs: bool,
    has_room: bool,
    has_tunnel_devices: bool,
    is_kept: bool,
}

impl Plan {
    /// A lab in which `mode` works: `nat` needs the balancer between client and servers, the others one bridge.
    pub fn for_mode(mode: Mode) -> Self {
        let layout = match mode {
            Mode::Nat => Layout::TwoArmed,
            Mode::Fullnat | Mode::L2 | Mode::Ipip | Mode::Gue => Layout::OneArmed,
        };
        Self {
            mode,
            layout,
            families: (Family::V4, Family::V4),
            servers: 3,
            server_kind: ServerKind::best(),
            content: Content::default(),
            has_programs: true,
            has_room: true,
            has_tunnel_devices: false,
            is_kept: false,
        }
    }

    /// Another layout than the mode's usual one.
    pub fn layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Addresses of the service and of its backends; IPv4 if not said.
    pub fn families(self, service: Family, backends: Family) -> Self {
        let families = (service, backends);
        Self { families, ..self }
    }

    /// How many servers; 3 if not said.
    pub fn servers(self, servers: u8) -> Self {
        Self { servers, ..self }
    }

    /// Which program serves; nginx where it is installed, if not said.
    pub fn server_kind(self, server_kind: ServerKind) -> Self {
        Self { server_kind, ..self }
    }

    /// What the servers serve.
    pub fn content(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// Neither `lb pass` nor `lb decap` anywhere: hosts, cables and servers alone. XDP frames do not arrive here.
    pub fn without_programs(self) -> Self {
        Self {
            has_programs: false,
            ..self
        }
    }

    /// All links carry the same, so that a client's full packet with an outer header fits none.
    pub fn without_room(self) -> Self {
        Self {
            has_room: false,
            ..self
        }
    }

    /// Servers of tunnels have devices of Linux's for them, instead of `lb decap`.
    pub fn with_tunnel_devices(self) -> Self {
        Self {
            has_tunnel_devices: true,
            ..self
        }
    }

    /// The lab stays when it is dropped, and when this process ends; the next one with [`crate::clear_kept`] removes it.
    pub fn kept(self) -> Self {
        Self { is_kept: true, ..self }
    }

    /// Builds it: hosts, cables, programs, and servers that answer. The balancer's daemon is for the caller to start.
    pub fn build(self) -> Result<Lab> {
        ensure!(is_root(), "network namespaces need root");
        bpffs::mount()?;
        let scratch = Scratch::new(self.is_kept)?;
        let name = scratch.name().to_owned();
        let lab = self.build_in(scratch);
        if lab.is_err() {
            // What is meant to be kept does not go by itself, and half a lab is of no use.
            scratch::remove(&name);
        }
        lab
    }

    fn build_in(self, scratch: Scratch) -> Result<Lab> {
        let host = |role: &str| self.host(scratch.name(), role);
        let (fabric, client, balancer) = (host("fabric")?, host("client")?, host("balancer")?);
        let numbers = 1..=self.servers;
        let servers = numbers.map(|number| host(&format!("server-{number}")));
        let servers = servers.collect::<Result<Vec<_>>>()?;
        let hosts = Hosts {
            fabric: &fabric,
            client: &client,
            balancer: &balancer,
            servers: servers.iter().collect(),
        };
        let cabling = Cabling {
            layout: self.layout,
            mode: self.mode,
            has_room: self.has_room,
            has_tunnel_devices: self.has_tunnel_devices,
        };
        cabling.lay(&hosts)?;
        if self.has_programs {
            self.attach_programs(&cabling, &hosts, &scratch.pins())?;
        }
        let servers = self.start_servers(servers, &scratch)?;
        let devices = self.layout.balancer_devices();
        let places = (scratch.dir(), scratch.pins());
        Ok(Lab {
            balancer: Balancer::new(balancer, places, devices, self.is_kept)?,
            servers,
            client: Client::new(client, self.layout.client()),
            fabric,
            scratch,
            plan: self,
        })
    }

    fn host(&self, lab: &str, role: &str) -> Result<Netns> {
        let mut netns = Netns::create(&format!("{lab}-{role}"))?;
        if self.is_kept {
            netns.keep();
        }
        Ok(netns)
    }

    /// A veth receives what XDP sends only where it has a program of its own: `pass` at the other ends of the balancer's
    /// cables, and nowhere else, for it costs every packet a copy. The servers of tunnels have `decap`.
    fn attach_programs(&self, cabling: &Cabling, hosts: &Hosts, pins: &Path) -> Result<()> {
        let mut attached = Vec::new();
        let mut attach = |netns: &Netns, verb: &str, device: &str| -> Result<()> {
            let pins = pins.join(format!("{}-{device}", netns.name()));
            let mut command = netns.command(program::lb()?)?;
            command.args([verb, "attach", device]);
            command.env("LB_PIN_DIR", pins);
            command.stdout(std::process::Stdio::null());
            command.stderr(std::process::Stdio::piped());
            let shown = format!("in {}: lb {verb} attach {device}", netns.name());
            let child = command.spawn().with_context(|| shown.clone())?;
            attached.push((shown, child));
            Ok(())
        };
        for (netns, device) in cabling.opposite_balancer(hosts) {
            attach(netns, "pass", device)?;
        }
        if self.mode.is_tunnel() && !self.has_tunnel_devices {
            for server in &hosts.servers {
                attach(server, "decap", "eth0")?;
            }
        }
        for (shown, child) in attached {
            let output = child.wait_with_output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{shown}: {}", said.trim());
        }
        Ok(())
    }

    fn start_servers(&self, hosts: Vec<Netns>, scratch: &Scratch) -> Result<Vec<Server>> {
        let lab = scratch.dir();
        let mut servers = Vec::new();
        for (number, netns) in (1..).zip(hosts) {
            let name = format!("server-{number}");
            let host = (name.as_str(), self.layout.server(number), netns);
            let place = (lab.as_path(), self.is_kept);
            let mut server = Server::new(host, self.server_kind, &self.content, place)?;
            server.start()?;
            servers.push(server);
        }
        Ok(servers)
    }
}

/// A lab that stands. Dropped, it is taken down from top to bottom, in the order of its fields.
pub struct Lab {
    pub balancer: Balancer,
    pub servers: Vec<Server>,
    pub client: Client,
    fabric: Netns,
    scratch: Scratch,
    plan: Plan,
}

impl Lab {
    /// Its name, which all its namespaces start with.
    pub fn name(&self) -> &str {
        self.scratch.name()
    }

    /// Takes it down, though it was planned to be kept.
    pub fn remove(self) {
        let name = self.name().to_owned();
        drop(self);
        scratch::remove(&name);
    }

    /// The namespace of the bridge.
    pub fn fabric(&self) -> &Netns {
        &self.fabric
    }

    /// The mode that it was planned for.
    pub fn mode(&self) -> Mode {
        self.plan.mode
    }

    /// The balancer's address towards the client.
    pub fn balancer_address(&self) -> Ipv4Addr {
        self.plan.layout.balancer()
    }

    /// The balancer's interfaces, to all of which it attaches.
    pub fn balancer_devices(&self) -> &'static [&'static str] {
        self.plan.layout.balancer_devices()
    }

    /// Where clients connect.
    pub fn vip(&self) -> SocketAddr {
        self.vip_at(SERVICE_PORT)
    }

    /// The VIP with another port than the service's.
    pub fn vip_at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.plan.families.0.of(VIP), port)
    }

    /// A port of a server as a backend.
    pub fn backend_at(&self, server: &Server, port: u16) -> SocketAddr {
        SocketAddr::new(self.plan.families.1.of(server.address()), port)
    }

    /// The URL of `path` at the VIP.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.vip())
    }

    /// How long `/big` is.
    pub fn big_bytes(&self) -> u64 {
        self.plan.content.big_bytes
    }

    /// The port of the backends: another than the service's where the mode can change it.
    pub fn backend_port(&self) -> u16 {
        match self.plan.mode {
            Mode::Fullnat | Mode::Nat => 8080,
            Mode::L2 | Mode::Ipip | Mode::Gue => SERVICE_PORT,
        }
    }

    /// Adds a service at the VIP and all servers as its backends, named as they are, through the command line.
    pub fn serve(&self, service: &str, check: &str) -> Result<()> {
        for command in self.serve_commands(service, check) {
            let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            self.balancer.lb_ok(&arguments)?;
        }
        Ok(())
    }

    /// The commands, without the leading `lb`, by which [`Lab::serve`] does it.
    pub fn serve_commands(&self, service: &str, check: &str) -> Vec<Vec<String>> {
        let vip = format!("{}/tcp", self.vip());
        let mode = self.plan.mode.as_str();
        let add = ["service", "add", service, "--vip", &vip];
        let add = [&add[..], &["--mode", mode, "--check", check]].concat();
        let backends = self.servers.iter().map(|server| {
            let name = format!("{service}/{}", server.name());
            let address = self.backend_at(server, self.backend_port());
            vec!["backend".into(), "add".into(), name, address.to_string()]
        });
        let mut commands = vec![add.into_iter().map(str::to_owned).collect()];
        commands.extend(backends);
        commands
    }

    /// Sends requests until every server has answered one; those that fail on the way do not count.
    pub fn wait_until_all_serve(&self, limit: Duration) -> Result<()> {
        let mut silent: BTreeSet<&str> = self.servers.iter().map(Server::name).collect();
        let url = self.url("/");
        let mut last_error = None;
        let waited = wait_until("every server answers at the VIP", limit, || {
            match self.client.get(&url) {
                Ok(server) => {
                    silent.remove(server.as_str());
                }
                Err(error) => last_error = Some(error),
            }
            Ok(silent.is_empty().then_some(()))
        });
        waited.with_context(|| match last_error {
            Some(error) => format!("silent: {silent:?}; the last request that failed: {error:#}"),
            None => format!("silent: {silent:?}"),
        })
    }
}
