//! The ways to servers and to clients change: routes, links, and who is at the other end of them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_lab::client::RunningLoad;
use lb_lab::{Lab, Load, Mode, Netns, Plan, program, wait_until};
use lb_tests::net::{PATIENCE, SWIFT_CHECK, look, none_failed};
use lb_tests::{needs_flow_table, needs_lab};
use serde_json::Value;

const REQUESTS: usize = 300;

/// Addresses of clients that are behind a router.
const FAR_CLIENT: &str = "198.51.100.7";
const FAR_CLIENTS: &str = "198.51.100.0/24";

#[test]
fn a_server_moves_behind_a_router_and_back_in_fullnat() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    a_server_moves_behind_a_router_and_back(Mode::Fullnat)
}

#[test]
fn a_server_moves_behind_a_router_and_back_in_ipip() -> Result<()> {
    needs_lab!();
    a_server_moves_behind_a_router_and_back(Mode::Ipip)
}

/// Both ways are good all the time, so no request may fail in between.
fn a_server_moves_behind_a_router_and_back(mode: Mode) -> Result<()> {
    let lab = standing(Plan::for_mode(mode))?;
    let (router, server) = (&lab.servers[0], &lab.servers[2]);
    forward(router.netns())?;
    let running = requests_without_end(&lab)?;
    let direct = hop_of(&lab, "web/server-3")?;
    let route = format!("{} via {}", server.address(), router.address());

    ip(lab.balancer.netns(), &format!("route add {route}"))?;
    wait_for_hop(&lab, "web/server-3", &hop_of(&lab, "web/server-1")?)?;
    let before = forwarded(router.netns())?;
    all_answer(&lab)?;
    ensure!(forwarded(router.netns())? > before, "nothing went through the router");

    ip(lab.balancer.netns(), &format!("route del {route}"))?;
    wait_for_hop(&lab, "web/server-3", &direct)?;
    let before = forwarded(router.netns())?;
    all_answer(&lab)?;
    assert_eq!(forwarded(router.netns())?, before, "the router is out of the way");
    none_failed(&running.stop()?)
}

#[test]
fn a_server_that_no_route_leads_to_gets_no_requests() -> Result<()> {
    needs_lab!();
    let lab = standing(Plan::for_mode(Mode::usual()))?;
    let route = format!("route add unreachable {}", lab.servers[1].address());
    ip(lab.balancer.netns(), &route)?;
    let shown = look::wait_for(&lab.balancer, "web/server-2", "is not reachable", |shown| {
        shown["next_hop_resolved"] == false && shown["out_because"].is_string()
    })?;
    let why = shown["next_hop"].as_str().unwrap_or_default();
    ensure!(why.contains("10.1.0.12") && why.contains("route"), "{shown}");
    let report = lab.client.load(&load(&lab))?;
    none_failed(&report)?;
    ensure!(!report.per_server().contains_key("server-2"));

    ip(lab.balancer.netns(), &route.replace("add", "del"))?;
    all_answer(&lab)
}

#[test]
fn clients_move_behind_another_router() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    let lab = standing(Plan::for_mode(Mode::Fullnat))?;
    let (client, router) = (lab.client.netns(), &lab.servers[0]);
    forward(router.netns())?;
    ip(client, &format!("addr add {FAR_CLIENT}/32 dev lo"))?;
    let near = format!("{FAR_CLIENTS} via {}", lab.client.address());
    for netns in [lab.balancer.netns(), router.netns()] {
        ip(netns, &format!("route add {near}"))?;
    }
    ip(
        client,
        &format!(
            "route replace {} via {} src {FAR_CLIENT}",
            lab.vip().ip(),
            lab.balancer_address()
        ),
    )?;
    all_answer(&lab)?;
    let running = requests_without_end(&lab)?;
    let before = forwarded(router.netns())?;

    let through_router = format!("{FAR_CLIENTS} via {}", router.address());
    ip(lab.balancer.netns(), &format!("route replace {through_router}"))?;
    let is_used = || Ok((forwarded(router.netns())? > before).then_some(()));
    wait_until("answers go through the other router", PATIENCE, is_used)?;
    none_failed(&lab.client.load(&load(&lab))?)?;

    ip(lab.balancer.netns(), &format!("route replace {near}"))?;
    none_failed(&lab.client.load(&load(&lab))?)?;
    none_failed(&running.stop()?)
}

#[test]
fn a_client_with_another_mac_goes_on_in_fullnat() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    a_client_with_another_mac_goes_on(Mode::Fullnat)
}

#[test]
fn a_client_with_another_mac_goes_on_in_nat() -> Result<()> {
    needs_lab!();
    a_client_with_another_mac_goes_on(Mode::Nat)
}

fn a_client_with_another_mac_goes_on(mode: Mode) -> Result<()> {
    let lab = standing(Plan::for_mode(mode))?;
    let client = lab.client.netns();
    // The kernel then tells all neighbours by itself.
    client.sysctl(&[("net/ipv4/conf/eth0/arp_notify", "1")])?;
    ip(client, "link set dev eth0 address 02:00:5e:00:53:03")?;
    all_answer(&lab)
}

#[test]
fn the_link_to_the_servers_goes_down_and_comes_back() -> Result<()> {
    needs_lab!();
    let lab = standing(Plan::for_mode(Mode::Nat))?;
    ip(lab.balancer.netns(), "link set dev eth1 down")?;
    look::wait_for(&lab.balancer, "web", "has nobody", |shown| shown["state"] == "down")?;
    ip(lab.balancer.netns(), "link set dev eth1 up")?;
    all_answer(&lab)
}

#[test]
fn the_link_to_the_clients_goes_down_and_comes_back() -> Result<()> {
    needs_lab!();
    let lab = standing(Plan::for_mode(Mode::Nat))?;
    ip(lab.balancer.netns(), "link set dev eth0 down")?;
    ensure!(lab.client.get(&lab.url("/")).is_err());
    ip(lab.balancer.netns(), "link set dev eth0 up")?;
    all_answer(&lab)
}

#[test]
fn a_server_whose_cable_is_cut_gets_no_requests_until_it_is_mended() -> Result<()> {
    needs_lab!();
    let lab = standing(Plan::for_mode(Mode::usual()))?;
    ip(lab.fabric(), "link set dev server-2 down")?;
    look::wait_for(&lab.balancer, "web/server-2", "is out", |shown| shown["slots"] == 0)?;
    let report = lab.client.load(&load(&lab))?;
    none_failed(&report)?;
    ensure!(!report.per_server().contains_key("server-2"));
    ip(lab.fabric(), "link set dev server-2 up")?;
    all_answer(&lab)
}

/// A lab whose servers all answer, with a check that soon notices when one does not.
fn standing(plan: Plan) -> Result<Lab> {
    let mut lab = plan.build()?;
    lab.balancer.start()?;
    lab.serve("web", SWIFT_CHECK)?;
    look::wait_until_all_take_flows(&lab.balancer, "web")?;
    lab.wait_until_all_serve(PATIENCE).with_context(|| lab.balancer.log())?;
    Ok(lab)
}

/// Waits until all servers answer; from then on no request fails, and each of them gets some.
fn all_answer(lab: &Lab) -> Result<()> {
    look::wait_until_all_take_flows(&lab.balancer, "web")?;
    lab.wait_until_all_serve(PATIENCE).with_context(|| lab.balancer.log())?;
    let report = lab.client.load(&load(lab))?;
    none_failed(&report)?;
    ensure!(
        report.per_server().len() == lab.servers.len(),
        "{:?}",
        report.per_server()
    );
    Ok(())
}

fn load(lab: &Lab) -> Load {
    Load::of(&lab.url("/")).requests(REQUESTS).connections(10)
}

fn requests_without_end(lab: &Lab) -> Result<RunningLoad> {
    let load = Load::of(&lab.url("/")).connections(4).pause(Duration::from_millis(2));
    lab.client.start_load(&load)
}

/// A backend's next hop, as `lb show` has it.
fn hop_of(lab: &Lab, backend: &str) -> Result<String> {
    let shown = look::json(&lab.balancer, &["show", backend])?;
    let hop = shown["next_hop"]
        .as_str()
        .filter(|_| shown["next_hop_resolved"] == true);
    Ok(hop.with_context(|| shown.to_string())?.to_owned())
}

fn wait_for_hop(lab: &Lab, backend: &str, hop: &str) -> Result<Value> {
    look::wait_for(&lab.balancer, backend, &format!("goes by {hop}"), |shown| {
        shown["next_hop"] == hop
    })
}

/// Makes a host a router that does not tell others of better ones.
fn forward(netns: &Netns) -> Result<()> {
    netns.sysctl(&[
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv4/conf/all/send_redirects", "0"),
        ("net/ipv4/conf/eth0/send_redirects", "0"),
    ])
}

/// How many packets a host has forwarded.
fn forwarded(netns: &Netns) -> Result<u64> {
    let text = netns.run(|| Ok(std::fs::read_to_string("/proc/thread-self/net/snmp")?))?;
    let mut rows = text
        .lines()
        .filter(|line| line.starts_with("Ip: "))
        .map(|line| line.split(' '));
    let (names, numbers) = (rows.next().context("no names")?, rows.next().context("no numbers")?);
    let mut columns = names.zip(numbers);
    let (_, number) = columns
        .find(|(name, _)| *name == "ForwDatagrams")
        .context("nothing of forwarding")?;
    Ok(number.parse()?)
}

/// Runs `ip` in a namespace.
fn ip(netns: &Netns, words: &str) -> Result<()> {
    let mut command = netns.command(program::ip()?)?;
    program::output(command.args(words.split(' '))).map(drop)
}
