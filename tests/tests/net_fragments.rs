//! Datagrams that are larger than any link, end to end: cut by a kernel, forwarded in fragments, and put together by another.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_lab::Family::{self, V4, V6};
use lb_lab::{Lab, Mode, Plan, amount, wait_until};
use lb_tests::net::echo::{self, Echo, UdpClient};
use lb_tests::net::{PATIENCE, STEADY_CHECK, look};
use lb_tests::{needs_flow_table, needs_lab};

/// Port of the service, and of the servers where it has to be the same.
const PORT: u16 = 5300;

/// Bytes of the datagrams: in one packet, in one that is nearly full, in two, in seven, and in as many as there can be.
const LENGTHS: [usize; 5] = [10, 1400, 1600, 9000, 65_000];

#[test]
fn fragments_through_ipip() -> Result<()> {
    needs_lab!();
    there_and_back(Mode::Ipip, V4, V4)
}

#[test]
fn fragments_through_ipip_over_ipv6() -> Result<()> {
    needs_lab!();
    there_and_back(Mode::Ipip, V6, V6)
}

#[test]
fn fragments_through_gue() -> Result<()> {
    needs_lab!();
    there_and_back(Mode::Gue, V4, V6)
}

#[test]
fn fragments_through_nat() -> Result<()> {
    needs_lab!();
    there_and_back(Mode::Nat, V4, V4)
}

#[test]
fn fragments_through_nat_over_ipv6() -> Result<()> {
    needs_lab!();
    there_and_back(Mode::Nat, V6, V6)
}

#[test]
fn fragments_through_fullnat() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    there_and_back(Mode::Fullnat, V4, V4)
}

#[test]
fn fragments_through_fullnat_over_ipv6() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    there_and_back(Mode::Fullnat, V6, V6)
}

#[test]
fn fragments_through_fullnat_from_ipv4_to_ipv6() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    there_and_back(Mode::Fullnat, V4, V6)
}

#[test]
fn fragments_through_fullnat_from_ipv6_to_ipv4() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    there_and_back(Mode::Fullnat, V6, V4)
}

/// Clients ask, and get what they sent. All links carry 1,500 bytes: through a tunnel, or with a header of IPv6 instead of IPv4's, the first
/// fragments do not fit, whose sender is told so and cuts its next datagram smaller. From then on nothing is dropped.
fn there_and_back(mode: Mode, service: Family, backends: Family) -> Result<()> {
    let plan = Plan::for_mode(mode).families(service, backends).without_room();
    // Where answers grow, each server would have to be told.
    let servers = if service == V6 && backends == V4 { 1 } else { 2 };
    let (lab, _services) = served(plan.servers(servers))?;
    let grows = matches!(mode, Mode::Ipip | Mode::Gue) || service != backends;
    if grows {
        let client = UdpClient::open(lab.client.netns(), lab.vip_at(PORT))?;
        client.wait_at_most(Duration::from_secs(1))?;
        let large = content(9000, 0);
        wait_until("a datagram comes back", PATIENCE, || Ok(client.ask(&large).ok()))?;
    }
    let is_told = look::packets(&lab.balancer, "too_big_answered")? > 0;
    assert_eq!(is_told, grows);
    let dropped_before = look::dropped(&lab.balancer)?;
    for number in 0..amount(50, 5) {
        let client = UdpClient::open(lab.client.netns(), lab.vip_at(PORT))?;
        let first = client.ask(b"who are you")?;
        for length in LENGTHS {
            let asked = client.ask(&content(length, number));
            let server = asked.with_context(|| format!("client {number}, {length} bytes"))?;
            assert_eq!(server, first, "client {number}, {length} bytes");
        }
    }
    assert_eq!(look::dropped(&lab.balancer)?, dropped_before);
    Ok(())
}

fn content(length: usize, number: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 / 3 + number) as u8).collect()
}

/// A lab with a service over UDP, whose servers send back what they get for as long as what is given is kept.
fn served(plan: Plan) -> Result<(Lab, Vec<Echo>)> {
    let mut lab = plan.build()?;
    lab.balancer.start()?;
    let (mode, target) = (lab.mode(), lab.vip_at(PORT));
    let check = format!("{STEADY_CHECK},port=80");
    let add = [
        "service",
        "add",
        "echo",
        "--vip",
        &format!("{target}/udp"),
        "--mode",
        mode.as_str(),
    ];
    lab.balancer.lb_ok(&[&add[..], &["--check", &check]].concat())?;
    let mut services = Vec::new();
    for server in &lab.servers {
        let backend = lab.backend_at(server, PORT);
        // Who gets packets for the service's address has to answer from it.
        let own = match mode {
            Mode::Nat | Mode::Fullnat => backend,
            Mode::L2 | Mode::Ipip | Mode::Gue => target,
        };
        services.push(echo::serve_udp_at(server.netns(), own, server.name())?);
        let name = format!("echo/{}", server.name());
        lab.balancer.lb_ok(&["backend", "add", &name, &backend.to_string()])?;
    }
    look::wait_until_all_take_flows(&lab.balancer, "echo")?;
    Ok((lab, services))
}
