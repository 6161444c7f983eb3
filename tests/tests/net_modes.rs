//! Each mode end to end: real clients, the daemon, real servers.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_lab::Family::{V4, V6};
use lb_lab::server::Content;
use lb_lab::{Device, Lab, Layout, Load, Mode, Plan, amount, program};
use lb_tests::net::echo::{self, UdpClient};
use lb_tests::net::{PATIENCE, STEADY_CHECK, digest, look, none_failed, ping};
use lb_tests::{needs_device, needs_flow_table, needs_lab};

const CONNECTIONS: usize = 20;

fn requests() -> usize {
    amount(2000, 60)
}

fn download_bytes() -> u64 {
    amount(200_000_000, 600_000)
}

#[test]
fn fullnat_with_one_arm() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    requests_and_a_download(Plan::for_mode(Mode::Fullnat))
}

#[test]
fn fullnat_with_two_arms() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    requests_and_a_download(Plan::for_mode(Mode::Fullnat).layout(Layout::TwoArmed))
}

#[test]
fn nat() -> Result<()> {
    needs_lab!();
    requests_and_a_download(Plan::for_mode(Mode::Nat))
}

#[test]
fn l2() -> Result<()> {
    needs_lab!();
    requests_and_a_download(Plan::for_mode(Mode::L2))
}

#[test]
fn ipip() -> Result<()> {
    needs_lab!();
    requests_and_a_download(Plan::for_mode(Mode::Ipip))
}

#[test]
fn gue() -> Result<()> {
    needs_lab!();
    requests_and_a_download(Plan::for_mode(Mode::Gue))
}

#[test]
fn gue_over_ipv6() -> Result<()> {
    needs_lab!();
    requests_and_a_download(Plan::for_mode(Mode::Gue).families(V6, V6))
}

#[test]
fn ipv4_in_gue_in_ipv6() -> Result<()> {
    needs_lab!();
    requests_and_a_download(Plan::for_mode(Mode::Gue).families(V4, V6))
}

#[test]
fn fullnat_over_ipv6() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    requests_and_a_download(Plan::for_mode(Mode::Fullnat).families(V6, V6))
}

#[test]
fn fullnat_from_ipv4_to_ipv6() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    requests_and_a_download(Plan::for_mode(Mode::Fullnat).families(V4, V6))
}

#[test]
fn fullnat_from_ipv6_to_ipv4() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    requests_and_a_download(Plan::for_mode(Mode::Fullnat).families(V6, V4).layout(Layout::TwoArmed))
}

#[test]
fn nat_over_ipv6() -> Result<()> {
    needs_lab!();
    requests_and_a_download(Plan::for_mode(Mode::Nat).families(V6, V6))
}

#[test]
fn l2_over_ipv6() -> Result<()> {
    needs_lab!();
    requests_and_a_download(Plan::for_mode(Mode::L2).families(V6, V6))
}

#[test]
fn ipip_over_ipv6() -> Result<()> {
    needs_lab!();
    requests_and_a_download(Plan::for_mode(Mode::Ipip).families(V6, V6))
}

#[test]
fn ipv6_in_ipv4() -> Result<()> {
    needs_lab!();
    requests_and_a_download(Plan::for_mode(Mode::Ipip).families(V6, V4))
}

#[test]
fn ipv4_in_ipv6() -> Result<()> {
    needs_lab!();
    requests_and_a_download(Plan::for_mode(Mode::Ipip).families(V4, V6))
}

#[test]
fn vlans_fullnat() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    needs_device!(Device::Vlan);
    requests_and_a_download(Plan::for_mode(Mode::Fullnat).layout(Layout::Vlans))
}

#[test]
fn vlans_nat() -> Result<()> {
    needs_lab!();
    needs_device!(Device::Vlan);
    requests_and_a_download(Plan::for_mode(Mode::Nat).layout(Layout::Vlans))
}

#[test]
fn vlans_ipip_to_tunnel_devices() -> Result<()> {
    needs_lab!();
    needs_device!(Device::Vlan);
    needs_device!(Device::Ipip);
    let plan = Plan::for_mode(Mode::Ipip).layout(Layout::Vlans);
    requests_and_a_download(plan.with_tunnel_devices())
}

#[test]
fn tunnel_devices_gue() -> Result<()> {
    needs_lab!();
    needs_device!(Device::Fou);
    requests_and_a_download(Plan::for_mode(Mode::Gue).with_tunnel_devices())
}

/// Many requests from 20 connections at a time over the servers, of which none fails, and a download with the right digest.
fn requests_and_a_download(plan: Plan) -> Result<()> {
    let bytes = download_bytes();
    let content = Content {
        big_bytes: bytes,
        ..Content::default()
    };
    let lab = standing(plan.servers(amount(3, 2)).content(content))?;
    let load = Load::of(&lab.url("/")).requests(requests()).connections(CONNECTIONS);
    let report = lab.client.load(&load)?;
    none_failed(&report).with_context(|| format!("drops: {:?}", look::dropped(&lab.balancer)))?;
    each_has_its_share(&lab, &report.per_server())?;
    let url = lab.url("/big");
    match program::find("curl") {
        Some(_) => {
            let arrived = digest::of_download(&lab.client, &url)?;
            assert_eq!(arrived, digest::of_pattern(bytes)?);
        }
        // Ours compares byte for byte.
        None => drop(lab.client.download(&url, bytes)?),
    }
    counted(&lab)
}

/// A lab with a service that all servers answer for.
fn standing(plan: Plan) -> Result<Lab> {
    let mut lab = plan.build()?;
    lab.balancer.start()?;
    lab.serve("web", STEADY_CHECK)?;
    lab.wait_until_all_serve(PATIENCE).with_context(|| lab.balancer.log())?;
    Ok(lab)
}

/// Weights are the same, and clients' ports spread over the slots as dice would: each server gets its part, give or take eight
/// standard deviations, which for 2,000 requests are a fourth of it.
fn each_has_its_share(lab: &Lab, per_server: &BTreeMap<&str, usize>) -> Result<()> {
    let fair = requests() as f64 / lab.servers.len() as f64;
    let deviation = (fair * (1.0 - fair / requests() as f64)).sqrt();
    for server in &lab.servers {
        let answered = per_server.get(server.name()).copied().unwrap_or(0);
        let is_fair = (answered as f64 - fair).abs() <= 8.0 * deviation;
        ensure!(
            is_fair,
            "{} answered {answered} requests: {per_server:?}",
            server.name()
        );
    }
    Ok(())
}

/// The counters saw what went through.
fn counted(lab: &Lab) -> Result<()> {
    let shown = look::json(&lab.balancer, &["show", "web"])?;
    let counter = |name: &str| shown["counters"][name].as_u64().unwrap_or_default();
    let flows = requests() as u64;
    ensure!(counter("new_flows") > flows, "{shown}");
    ensure!(counter("packets") > 4 * flows, "{shown}");
    let back = counter("back_bytes");
    match lab.mode().is_direct_return() {
        true => ensure!(back == 0, "the way back is past the balancer: {shown}"),
        false => ensure!(back > download_bytes(), "{shown}"),
    }
    Ok(())
}

#[test]
fn udp_through_fullnat() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    udp(Plan::for_mode(Mode::Fullnat))
}

#[test]
fn udp_through_nat() -> Result<()> {
    needs_lab!();
    udp(Plan::for_mode(Mode::Nat))
}

#[test]
fn udp_through_fullnat_over_ipv6() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    udp(Plan::for_mode(Mode::Fullnat).families(V6, V6))
}

#[test]
fn udp_through_fullnat_from_ipv4_to_ipv6() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    udp(Plan::for_mode(Mode::Fullnat).families(V4, V6))
}

#[test]
fn udp_through_fullnat_from_ipv6_to_ipv4() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    udp(Plan::for_mode(Mode::Fullnat).families(V6, V4))
}

/// Datagrams of many clients reach servers, each client's the same one, and answers come from the VIP.
fn udp(plan: Plan) -> Result<()> {
    const BACKEND_PORT: u16 = 5300;
    let mut lab = plan.build()?;
    lab.balancer.start()?;
    let mode = lab.mode().as_str();
    let target = lab.vip_at(53);
    let vip = format!("{target}/udp");
    // Health by the servers' HTTP.
    let check = format!("{STEADY_CHECK},port=8080");
    let add = [
        "service", "add", "echo", "--vip", &vip, "--mode", mode, "--check", &check,
    ];
    lab.balancer.lb_ok(&add)?;
    let mut services = Vec::new();
    for server in &lab.servers {
        services.push(echo::serve_udp(server.netns(), BACKEND_PORT, server.name())?);
        let name = format!("echo/{}", server.name());
        let address = lab.backend_at(server, BACKEND_PORT).to_string();
        lab.balancer.lb_ok(&["backend", "add", &name, &address])?;
    }
    look::wait_until_all_take_flows(&lab.balancer, "echo")?;

    let mut per_server = BTreeMap::<String, usize>::new();
    for number in 0..amount(100, 30) {
        let client = UdpClient::open(lab.client.netns(), target)?;
        let first = client.ask(format!("client {number}").as_bytes())?;
        for length in [0, 1, 512, 1400] {
            let content: Vec<u8> = (0..length).map(|i| (i * 7 + number) as u8).collect();
            let server = client.ask(&content)?;
            ensure!(server == first, "client {number} went from {first} to {server}");
        }
        *per_server.entry(first).or_default() += 1;
    }
    assert_eq!(per_server.len(), lab.servers.len(), "{per_server:?}");
    assert_eq!(look::dropped(&lab.balancer)?, []);
    Ok(())
}

#[test]
fn what_is_for_the_balancer_itself_passes_with_one_arm() -> Result<()> {
    needs_lab!();
    own_traffic_passes(Plan::for_mode(Mode::usual()))
}

#[test]
fn what_is_for_the_balancer_itself_passes_with_two_arms() -> Result<()> {
    needs_lab!();
    own_traffic_passes(Plan::for_mode(Mode::Nat))
}

/// ssh, ping and ARP work as if no program were attached, while requests go on.
fn own_traffic_passes(plan: Plan) -> Result<()> {
    const SSH: u16 = 22;
    let lab = standing(plan.servers(2))?;
    // Requests that asked whether all servers answer may have come before the first of them was up.
    let dropped_before = look::dropped(&lab.balancer)?;
    let address = lab.balancer_address();
    let _ssh = echo::serve_tcp(lab.balancer.netns(), SSH)?;
    let load = Load::of(&lab.url("/")).connections(4).pause(Duration::from_millis(2));
    let running = lab.client.start_load(&load)?;

    let target = SocketAddr::from((address, SSH));
    let mut session = lab
        .client
        .netns()
        .run(|| Ok(TcpStream::connect_timeout(&target, PATIENCE)?))?;
    session.set_read_timeout(Some(PATIENCE))?;
    for number in 0..5 {
        typed(&mut session, format!("line {number}").as_bytes())?;
        let content: Vec<u8> = (0..1400).map(|i| (i + number) as u8).collect();
        ping::ping(lab.client.netns(), address, number, &content)?;
        forget_neighbours(&lab)?;
        ping::ping(lab.client.netns(), address, 1000 + number, b"")?;
    }
    let large: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
    let sending = session.try_clone()?;
    let received = std::thread::scope(|scope| -> Result<Vec<u8>> {
        scope.spawn(|| {
            (&sending)
                .write_all(&large)
                .and_then(|()| sending.shutdown(Shutdown::Write))
        });
        let mut received = Vec::new();
        session.read_to_end(&mut received)?;
        Ok(received)
    })?;
    ensure!(received == large, "{} bytes came back other than sent", received.len());

    none_failed(&running.stop()?)?;
    for reason in ["not_ip", "not_tcp_udp", "no_service"] {
        assert!(look::packets(&lab.balancer, reason)? > 0, "{reason}");
    }
    assert_eq!(look::dropped(&lab.balancer)?, dropped_before);
    Ok(())
}

/// A line over a session that sends back what it gets.
fn typed(session: &mut TcpStream, line: &[u8]) -> Result<()> {
    session.write_all(line)?;
    let mut back = vec![0; line.len()];
    session.read_exact(&mut back)?;
    ensure!(back == line, "typed {line:?}, got {back:?}");
    Ok(())
}

/// The client has to ask by ARP again, and the balancer has to answer.
fn forget_neighbours(lab: &Lab) -> Result<()> {
    let mut flush = lab.client.netns().command(program::ip()?)?;
    program::output(flush.args(["neigh", "flush", "dev", "eth0"])).map(drop)
}
