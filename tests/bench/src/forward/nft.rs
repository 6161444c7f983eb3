//! The same job by nftables: one service's packets to one of its backends, by a hash of the flow.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use lb_lab::{Netns, program};

use super::hosts::{BACKEND_MAC, BALANCER_MAC, DEVICE, text};

/// A way to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruleset {
    /// Destination NAT, each flow followed.
    Conntrack,
    /// The destination rewritten before routing, no flow followed.
    Stateless,
    /// The destination and both MACs rewritten before the stack, and sent on from there.
    Ingress,
}

/// Why rules cannot be set here, if so.
pub fn missing() -> Option<&'static str> {
    match program::find("nft") {
        Some(_) => None,
        None => Some("there is no `nft` here; install the package nftables"),
    }
}

/// Sets the rules in a namespace.
///
/// # Errors
///
/// What `nft` says: a kernel without one of the expressions, for one.
pub fn set(netns: &Netns, ruleset: Ruleset, vip: SocketAddrV4, backends: &[Ipv4Addr]) -> Result<()> {
    let nft = program::find("nft").context("there is no `nft` here")?;
    let mut child = netns
        .command(nft)?
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run nft")?;
    let rules = rules(ruleset, vip, backends);
    let mut stdin = child.stdin.take().context("nft has no input")?;
    stdin.write_all(rules.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "nft: {}",
        said.lines().next().unwrap_or("failed and said nothing")
    );
    if ruleset == Ruleset::Conntrack {
        // The packets are of one direction only, and the flows are not to go between two rounds.
        netns.sysctl(&[("net/netfilter/nf_conntrack_udp_timeout", "3600")])?;
    }
    Ok(())
}

fn rules(ruleset: Ruleset, vip: SocketAddrV4, backends: &[Ipv4Addr]) -> String {
    let (address, port, count) = (vip.ip(), vip.port(), backends.len());
    let ours = format!("ip daddr {address} udp dport {port}");
    let mut map = String::new();
    for (number, backend) in backends.iter().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        let _ = write!(map, "{comma}{number} : {backend}");
    }
    let chosen = format!("jhash ip saddr . udp sport mod {count} map {{ {map} }}");
    let (family, hook, rule) = match ruleset {
        Ruleset::Conntrack => (
            "ip",
            "type nat hook prerouting priority dstnat".to_owned(),
            format!("{ours} dnat to {chosen}"),
        ),
        Ruleset::Stateless => (
            "ip",
            "type filter hook prerouting priority raw".to_owned(),
            format!("{ours} notrack ip daddr set {chosen}"),
        ),
        Ruleset::Ingress => {
            let [backend, balancer] = [BACKEND_MAC, BALANCER_MAC].map(text);
            (
                "netdev",
                format!("type filter hook ingress device \"{DEVICE}\" priority 0"),
                format!(
                    "{ours} ip daddr set {chosen} ether daddr set {backend} ether saddr set {balancer} fwd to \"{DEVICE}\""
                ),
            )
        }
    };
    format!("table {family} bench {{\n  chain way {{\n    {hook};\n    {rule}\n  }}\n}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_as_one_would_write_them() {
        let vip = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 80);
        let backends = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        assert_eq!(
            rules(Ruleset::Conntrack, vip, &backends),
            "table ip bench {\n  chain way {\n    type nat hook prerouting priority dstnat;\n    \
             ip daddr 192.0.2.1 udp dport 80 dnat to jhash ip saddr . udp sport mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }\n  }\n}\n"
        );
        let ingress = rules(Ruleset::Ingress, vip, &backends);
        assert!(ingress.contains("ether daddr set 02:00:00:00:00:cc") && ingress.contains("fwd to \"eth0\""));
    }
}
