//! The generator's host and the balancer's, and the cable between them.

use anyhow::{Context as _, Result};
use lb_lab::Netns;
use lb_lab::link::{Offload, ip, set_offload};
use rustix::net::{AddressFamily, SocketType};

use super::{BACKENDS, VIP};

/// The end of the cable at the generator.
pub const GENERATOR: &str = "gen0";
/// The other end's MAC address.
pub const BALANCER_MAC: &str = "02:00:00:00:00:02";
/// The other end.
pub const BALANCER: &str = "eth0";
const GENERATOR_MAC: &str = "02:00:00:00:00:01";

/// The cable.
pub struct Cable {
    generator: Netns,
    balancer: Netns,
}

/// The address of the backend with that last octet.
pub fn backend(octet: u8) -> String {
    format!("10.0.0.{octet}")
}

impl Cable {
    pub fn lay() -> Result<Self> {
        let (generator, balancer) = (Netns::create("lb-generator")?, Netns::create("lb-balancer")?);
        for host in [&generator, &balancer] {
            host.sysctl(&[
                ("net/ipv4/conf/all/rp_filter", "0"),
                ("net/ipv4/conf/default/rp_filter", "0"),
                ("net/ipv4/ip_forward", "1"),
                // Nothing is to be sent but what is measured.
                ("net/ipv6/conf/default/disable_ipv6", "1"),
            ])?;
        }
        let to = balancer.name();
        ip(
            &generator,
            &[
                format!(
                    "link add name {GENERATOR} address {GENERATOR_MAC} type veth \
                     peer name {BALANCER} address {BALANCER_MAC} netns {to}"
                ),
                format!("link set {GENERATOR} up"),
            ],
        )?;
        let mut lines = vec![
            "link set lo up".to_owned(),
            format!("addr add 10.0.0.1/24 dev {BALANCER}"),
            format!("addr add {VIP}/32 dev lo"),
            format!("link set {BALANCER} up"),
            format!("route add default via {}", backend(*BACKENDS.start())),
        ];
        lines.extend(BACKENDS.map(|octet| {
            let address = backend(octet);
            format!("neigh replace {address} lladdr 02:00:00:00:01:{octet:02x} dev {BALANCER} nud permanent")
        }));
        ip(&balancer, &lines)?;
        set_offload(&generator, GENERATOR, Offload::TransmitChecksum, false)?;
        set_offload(&balancer, BALANCER, Offload::TransmitChecksum, false)?;
        Ok(Self { generator, balancer })
    }

    /// The host that sends packets.
    pub fn generator(&self) -> &Netns {
        &self.generator
    }

    /// The host that balances.
    pub fn balancer(&self) -> &Netns {
        &self.balancer
    }

    /// The number of the end at the generator.
    pub fn generator_index(&self) -> Result<u32> {
        index(&self.generator, GENERATOR)
    }

    /// The number of the end at the balancer.
    pub fn balancer_index(&self) -> Result<u32> {
        index(&self.balancer, BALANCER)
    }

    /// How many packets have come back so far.
    pub fn arrived(&self) -> Result<u64> {
        let table = self.generator.run(|| {
            let path = "/proc/thread-self/net/dev";
            std::fs::read_to_string(path).with_context(|| format!("reading {path}"))
        })?;
        received(&table, GENERATOR).with_context(|| format!("the kernel counts nothing of {GENERATOR}"))
    }
}

fn index(host: &Netns, device: &str) -> Result<u32> {
    host.run(|| {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        let index = rustix::net::netdevice::name_to_index(&socket, device);
        index.with_context(|| format!("the number of {device}"))
    })
}

/// Packets that a device has received, in a table as of `/proc/net/dev`.
fn received(table: &str, device: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|line| line.trim_start().split_once(':'));
    let (_, counts) = lines.find(|(name, _)| *name == device)?;
    counts.split_whitespace().nth(1)?.parse().ok()
}
