//! The rows: what stands between the client and the servers, each in a laboratory of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_lab::server::{Content, ServerKind};
use lb_lab::{Lab, Mode, Plan, program};

use super::cpu::{self, Clocks};
use super::rivals;

/// How long the servers may take until all answer through the balancer.
const SERVE_LIMIT: Duration = Duration::from_secs(30);

/// Source addresses of `fullnat`: one has ports for some 36,000 flows, and a port rests for ten seconds after its flow.
const SOURCES: [Ipv4Addr; 4] = [
    Ipv4Addr::new(10, 1, 0, 101),
    Ipv4Addr::new(10, 1, 0, 102),
    Ipv4Addr::new(10, 1, 0, 103),
    Ipv4Addr::new(10, 1, 0, 104),
];

/// What is between client and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing: the client talks to the servers' own addresses.
    Direct,
    Lb(Mode),
    Haproxy,
    NginxStream,
    NftDnat,
}

impl Subject {
    pub const ALL: [Self; 9] = [
        Self::Direct,
        Self::Lb(Mode::Fullnat),
        Self::Lb(Mode::Nat),
        Self::Lb(Mode::L2),
        Self::Lb(Mode::Ipip),
        Self::Lb(Mode::Gue),
        Self::NftDnat,
        Self::Haproxy,
        Self::NginxStream,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Lb(Mode::Fullnat) => "lb-fullnat",
            Self::Lb(Mode::Nat) => "lb-nat",
            Self::Lb(Mode::L2) => "lb-l2",
            Self::Lb(Mode::Ipip) => "lb-ipip",
            Self::Lb(Mode::Gue) => "lb-gue",
            Self::Haproxy => "haproxy",
            Self::NginxStream => "nginx-stream",
            Self::NftDnat => "nft-dnat",
        }
    }

    /// The Debian package that is to be installed first.
    pub fn missing(self) -> Option<&'static str> {
        let (is_here, package) = match self {
            Self::Direct | Self::Lb(_) => return None,
            Self::Haproxy => (program::find("haproxy").is_some(), "haproxy"),
            Self::NginxStream => (Path::new(rivals::NGINX_STREAM_MODULE).exists(), "libnginx-mod-stream"),
            Self::NftDnat => (program::find("nft").is_some(), "nftables"),
        };
        (!is_here).then_some(package)
    }

    /// Whether the balancer is a program of its own, with connections of its own.
    pub fn is_proxy(self) -> bool {
        matches!(self, Self::Haproxy | Self::NginxStream)
    }

    fn plan(self) -> Plan {
        match self {
            Self::Direct | Self::Haproxy | Self::NginxStream => Plan::for_mode(Mode::Fullnat).without_programs(),
            Self::Lb(mode) => Plan::for_mode(mode),
            Self::NftDnat => Plan::for_mode(Mode::Nat).without_programs(),
        }
    }
}

/// On which CPUs all of it runs.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub client: usize,
    /// The servers', and the program's that balances.
    pub servers: usize,
}

/// A laboratory with a balancer that serves.
pub struct Row {
    pub subject: Subject,
    /// Whom the client asks.
    pub targets: Vec<SocketAddr>,
    /// CPU time of the servers.
    pub servers: Clocks,
    /// CPU time of the program that balances: the daemon where that is `lb`.
    pub balancer: Clocks,
    pub lab: Lab,
}

impl Row {
    /// Builds it, and waits until all servers answer.
    ///
    /// # Errors
    ///
    /// Something does not start, or does not serve.
    pub fn build(subject: Subject, servers: u8, places: Places) -> Result<Self> {
        Self::try_build(subject, servers, places).with_context(|| format!("setting up {}", subject.name()))
    }

    fn try_build(subject: Subject, servers: u8, places: Places) -> Result<Self> {
        let content = Content {
            big_bytes: 1,
            ..Content::default()
        };
        let plan = subject.plan().server_kind(ServerKind::Nginx).content(content);
        let mut lab = plan.servers(servers).build()?;
        for netns in [lab.client.netns(), lab.balancer.netns()] {
            // Whoever connects has the ports for it, also for those of connections that were over just now.
            netns.sysctl(&[
                ("net/ipv4/ip_local_port_range", "1024 65535"),
                ("net/ipv4/tcp_tw_reuse", "1"),
            ])?;
        }
        start(subject, &mut lab)?;
        let targets: Vec<SocketAddr> = match subject {
            Subject::Direct => {
                let servers = lab.servers.iter();
                servers
                    .map(|server| SocketAddr::new(server.address().into(), 80))
                    .collect()
            }
            _ => {
                lab.wait_until_all_serve(SERVE_LIMIT)?;
                vec![lab.vip()]
            }
        };
        let of_servers: Vec<u32> = lab.servers.iter().filter_map(|server| server.process_id()).collect();
        let balancer: Vec<u32> = lab
            .balancer
            .daemon_id()
            .or(lab.balancer.other_id())
            .into_iter()
            .collect();
        for process in of_servers.iter().chain(&balancer) {
            cpu::put_first_on(*process, places.servers)?;
        }
        Ok(Self {
            subject,
            targets,
            servers: Clocks::of_processes(&of_servers)?,
            balancer: Clocks::of_processes(&balancer)?,
            lab,
        })
    }

    pub fn debug(&self) -> Result<()> {
        let servers = self.lab.servers.iter().map(|server| server.netns());
        let hosts = [self.lab.client.netns(), self.lab.balancer.netns(), self.lab.fabric()]
            .into_iter()
            .chain(servers);
        for host in hosts {
            let text = host.run(|| Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?))?;
            for line in text.lines().skip(2) {
                let f: Vec<&str> = line.split_whitespace().collect();
                if f[3] != "0" || f[4] != "0" || f[11] != "0" || f[12] != "0" {
                    eprintln!("DROPS {} {line}", host.name());
                }
            }
        }
        eprintln!(
            "LOG {}",
            std::fs::read_to_string(self.lab.balancer.dir().join("other.log")).unwrap_or_default()
        );
        let mut c = self.lab.balancer.netns().command("sh")?;
        eprintln!("SS {}", program::output(c.args(["-c", "ss -tan | awk '{print $1, ($4 ~ /:80$/)}' | sort | uniq -c; cat /proc/net/sockstat; ls /proc/$(pidof -s haproxy)/fd | wc -l; cat /proc/$(pidof -s haproxy)/limits | grep files; sysctl net.ipv4.tcp_max_tw_buckets net.ipv4.ip_local_port_range"]))?);
        if self.lab.balancer.daemon_id().is_some() {
            eprintln!("{}", self.lab.balancer.lb_ok(&["drops"])?);
        }
        let servers = self.lab.servers.iter().map(|server| server.netns());
        let hosts = [self.lab.client.netns(), self.lab.balancer.netns()]
            .into_iter()
            .chain(servers);
        for host in hosts {
            let text = host.run(|| {
                Ok(std::fs::read_to_string("/proc/thread-self/net/netstat")?
                    + &std::fs::read_to_string("/proc/thread-self/net/snmp")?)
            })?;
            let lines: Vec<&str> = text.lines().collect();
            let mut said = String::new();
            for pair in lines.chunks(2) {
                for (n, v) in pair[0].split(' ').zip(pair[1].split(' ')).skip(1) {
                    if v != "0" && pair[0].starts_with("Tcp") {
                        said += &format!("{n}={v} ");
                    }
                }
            }
            eprintln!("{}: {said}", host.name());
        }
        Ok(())
    }

    /// Segments that had to be sent again so far, by whichever of the hosts.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub fn retransmitted(&self) -> Result<u64> {
        let servers = self.lab.servers.iter().map(|server| server.netns());
        let hosts = [self.lab.client.netns(), self.lab.balancer.netns()]
            .into_iter()
            .chain(servers);
        hosts.map(|host| host.run(retransmitted_here)).sum()
    }
}

/// Has the balancer serve.
fn start(subject: Subject, lab: &mut Lab) -> Result<()> {
    match subject {
        Subject::Direct => Ok(()),
        Subject::Lb(mode) => {
            let source = match mode {
                Mode::Fullnat => {
                    for source in SOURCES {
                        rivals::add_address(lab, source.into(), "eth0")?;
                    }
                    format!("source = {{ ipv4 = {:?} }}\n", SOURCES.map(|source| source.to_string()))
                }
                Mode::Nat | Mode::L2 | Mode::Ipip | Mode::Gue => String::new(),
            };
            lab.balancer
                .start_with(&format!("version = 1\n\n[node]\nname = \"balancer\"\n{source}"))?;
            lab.serve("web", "http,path=/healthz,rise=1")
        }
        Subject::Haproxy => rivals::start_haproxy(lab),
        Subject::NginxStream => rivals::start_nginx_stream(lab),
        Subject::NftDnat => rivals::load_nft_dnat(lab),
    }
}

/// `RetransSegs` of this thread's namespace.
fn retransmitted_here() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp")?;
    retransmitted_of(&text).context("the kernel counts no retransmissions")
}

fn retransmitted_of(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split(' ').zip(values.split(' '));
    pairs.find(|(name, _)| *name == "RetransSegs")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_table_of_tcp() {
        let table = "Ip: A\nIp: 1\nTcp: RtoMin InSegs OutSegs RetransSegs InErrs\nTcp: 200 5 6 7 0\nUdp: X\nUdp: 0\n";
        assert_eq!(retransmitted_of(table), Some(7));
        assert_eq!(retransmitted_of("Tcp: A\nTcp: 1\n"), None);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = Subject::ALL.map(Subject::name).into_iter().collect();
        assert_eq!(names.len(), Subject::ALL.len());
    }
}
