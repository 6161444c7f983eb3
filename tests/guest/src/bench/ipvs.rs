//! IPVS, the kernel's own load balancer, on the balancer's host.

use anyhow::{Context as _, Result};
use lb_lab::program;

use super::cable::{Cable, backend};
use super::{BACKENDS, PORT, VIP};

/// How a packet reaches its backend.
pub struct Method {
    /// As IPVS's documents call it.
    pub name: &'static str,
    /// As ipvsadm has it.
    option: &'static str,
}

/// Each does what one of lb's modes does: `l2`, `ipip`, `nat`.
pub const METHODS: [&Method; 3] = [
    &Method {
        name: "dr",
        option: "--gatewaying",
    },
    &Method {
        name: "tun",
        option: "--ipip",
    },
    &Method {
        name: "nat",
        option: "--masquerading",
    },
];

/// IPVS with a service; it has no process.
pub struct Running<'a> {
    cable: &'a Cable,
}

/// Adds the service, with Maglev's table and every port a client of its own, as lb does it.
pub fn start<'a>(cable: &'a Cable, method: &Method) -> Result<Running<'a>> {
    let service = format!("{VIP}:{PORT}");
    ipvsadm(
        cable,
        &[
            "--add-service",
            "--udp-service",
            &service,
            "--scheduler",
            "mh",
            "--sched-flags",
            "mh-port",
        ],
    )?;
    for octet in BACKENDS {
        let server = format!("{}:{PORT}", backend(octet));
        ipvsadm(
            cable,
            &[
                "--add-server",
                "--udp-service",
                &service,
                "--real-server",
                &server,
                method.option,
            ],
        )?;
    }
    Ok(Running { cable })
}

impl Running<'_> {
    /// Packets that IPVS has taken for its own so far.
    pub fn taken(&self) -> Result<u64> {
        let stats = self.cable.balancer().run(|| {
            let path = "/proc/thread-self/net/ip_vs_stats";
            std::fs::read_to_string(path).with_context(|| format!("reading {path}"))
        })?;
        incoming(&stats).with_context(|| format!("IPVS says of itself: {stats}"))
    }

    /// Takes the service out.
    pub fn stop(self) -> Result<()> {
        ipvsadm(self.cable, &["--clear"])
    }
}

fn ipvsadm(cable: &Cable, arguments: &[&str]) -> Result<()> {
    let mut command = cable.balancer().command("/sbin/ipvsadm")?;
    program::output(command.args(arguments)).map(drop)
}

/// Incoming packets: in hexadecimal, the second number below two lines of headings.
fn incoming(stats: &str) -> Option<u64> {
    let counts = stats.lines().nth(2)?;
    u64::from_str_radix(counts.split_whitespace().nth(1)?, 16).ok()
}
