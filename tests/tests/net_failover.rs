//! Servers that die, fall sick, come back, or change their hardware address.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_lab::client::LoadReport;
use lb_lab::{Lab, Load, Mode, Plan, Server, program};
use lb_tests::net::{PATIENCE, SWIFT_CHECK, look, none_failed};
use lb_tests::{needs_flow_table, needs_lab};

const REQUESTS: usize = 500;

#[test]
fn no_request_fails_once_a_killed_server_is_down_in_fullnat() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    killed_and_started_again(Mode::Fullnat)
}

#[test]
fn no_request_fails_once_a_killed_server_is_down_in_l2() -> Result<()> {
    needs_lab!();
    killed_and_started_again(Mode::L2)
}

fn killed_and_started_again(mode: Mode) -> Result<()> {
    let mut lab = standing(mode)?;
    lab.servers[0].kill9()?;
    look::wait_for_health(&lab.balancer, "web/server-1", "down")?;
    let report = requests(&lab)?;
    none_failed(&report)?;
    ensure!(report.per_server().len() == 2, "{:?}", report.per_server());
    say_how_long_it_took(&lab)?;

    lab.servers[0].start()?;
    look::wait_for_health(&lab.balancer, "web/server-1", "up")?;
    let report = requests(&lab)?;
    none_failed(&report)?;
    ensure!(report.per_server().len() == 3, "{:?}", report.per_server());
    Ok(())
}

/// A figure for people; what passes does not hang on it.
fn say_how_long_it_took(lab: &Lab) -> Result<()> {
    let line = look::wait_for_line(&lab.balancer, 0, "web/server-1 is down")?;
    let figure = line.rsplit(": ").next().unwrap_or(&line);
    println!("{}: from the verdict to the last slot: {figure}", lab.mode().as_str());
    Ok(())
}

#[test]
fn a_server_whose_check_answers_with_another_status_gets_no_requests() -> Result<()> {
    needs_lab!();
    let lab = standing(Mode::usual())?;
    lab.servers[1].be_sick(true)?;
    let shown = look::wait_for_health(&lab.balancer, "web/server-2", "down")?;
    assert_eq!(shown["last_check"]["code"], "L7STS", "{shown}");
    assert_eq!(shown["last_check"]["detail"], "status 503", "{shown}");
    let report = requests(&lab)?;
    none_failed(&report)?;
    ensure!(!report.per_server().contains_key("server-2"));

    lab.servers[1].be_sick(false)?;
    look::wait_for_health(&lab.balancer, "web/server-2", "up")?;
    let report = requests(&lab)?;
    none_failed(&report)?;
    ensure!(report.per_server().contains_key("server-2"));
    Ok(())
}

#[test]
fn a_status_that_nobody_answers_with_takes_all_down() -> Result<()> {
    needs_lab!();
    let lab = standing(Mode::usual())?;
    let check = format!("{SWIFT_CHECK},status=204");
    lab.balancer.lb_ok(&["service", "set", "web", "--check", &check])?;
    look::wait_for(&lab.balancer, "web", "is down", |shown| shown["state"] == "down")?;
    let check = format!("{SWIFT_CHECK},status=200-299");
    lab.balancer.lb_ok(&["service", "set", "web", "--check", &check])?;
    look::wait_for(&lab.balancer, "web", "is ok", |shown| shown["state"] == "ok")?;
    none_failed(&requests(&lab)?)
}

#[test]
fn when_all_are_down_packets_are_dropped_or_all_are_used() -> Result<()> {
    needs_lab!();
    let lab = standing(Mode::usual())?;
    for server in &lab.servers {
        server.be_sick(true)?;
    }
    look::wait_for(&lab.balancer, "web", "is down", |shown| shown["state"] == "down")?;
    // Requests that asked whether all servers answer may have come before the first of them was up.
    let dropped_before = look::packets(&lab.balancer, "no_backend")?;
    let few = Load::of(&lab.url("/")).requests(3).connections(3);
    let report = lab.client.load(&few.patience(Duration::from_secs(1)))?;
    assert_eq!(report.failures().len(), 3, "{:?}", report.per_server());
    ensure!(look::packets(&lab.balancer, "no_backend")? >= dropped_before + 3);

    let use_all = ["service", "set", "web", "--when-all-down", "use-all"];
    lab.balancer.lb_ok(&use_all)?;
    let report = requests(&lab)?;
    none_failed(&report)?;
    ensure!(report.per_server().len() == 3, "{:?}", report.per_server());
    let status = look::json(&lab.balancer, &["status"])?;
    assert_eq!(status["backends_down"], 3, "they are used, not well: {status}");

    lab.servers[2].be_sick(false)?;
    look::wait_for_health(&lab.balancer, "web/server-3", "up")?;
    let report = requests(&lab)?;
    none_failed(&report)?;
    ensure!(report.per_server().len() == 1, "{:?}", report.per_server());
    Ok(())
}

#[test]
fn a_server_that_announces_another_mac_goes_on() -> Result<()> {
    const MAC: &str = "02:00:5e:00:53:01";
    needs_lab!();
    let lab = standing(Mode::L2)?;
    let server = &lab.servers[0];
    // The kernel then tells all neighbours by itself.
    server.netns().sysctl(&[("net/ipv4/conf/eth0/arp_notify", "1")])?;
    change_mac(server, MAC)?;
    goes_on_at(&lab, MAC)
}

#[test]
fn a_server_with_another_mac_goes_on_once_it_is_asked() -> Result<()> {
    const MAC: &str = "02:00:5e:00:53:02";
    needs_lab!();
    let lab = standing(Mode::usual())?;
    change_mac(&lab.servers[0], MAC)?;
    forget_neighbours(&lab)?;
    goes_on_at(&lab, MAC)
}

#[test]
fn no_request_fails_while_the_kernel_forgets_its_neighbours() -> Result<()> {
    needs_lab!();
    let lab = standing(Mode::usual())?;
    let log_bytes = lab.balancer.log().len();
    let load = Load::of(&lab.url("/")).connections(4);
    let running = lab.client.start_load(&load)?;
    // One by one and once each, so that none is taken away again before it has answered.
    for server in &lab.servers {
        let mut delete = lab.balancer.netns().command(program::ip()?)?;
        let address = server.address().to_string();
        program::output(delete.args(["neigh", "del", &address, "dev", "eth0"]))?;
        none_failed(&lab.client.load(&Load::of(&lab.url("/")).requests(50))?)?;
    }
    none_failed(&running.stop()?)?;
    let log = lab.balancer.log();
    ensure!(!log[log_bytes..].contains("does not answer ARP"), "{log}");
    Ok(())
}

fn forget_neighbours(lab: &Lab) -> Result<()> {
    let mut flush = lab.balancer.netns().command(program::ip()?)?;
    program::output(flush.args(["neigh", "flush", "dev", "eth0"])).map(drop)
}

fn change_mac(server: &Server, mac: &str) -> Result<()> {
    let mut set = server.netns().command(program::ip()?)?;
    program::output(set.args(["link", "set", "dev", "eth0", "address", mac])).map(drop)
}

/// Waits until the first server's next hop has this MAC, and sees that it gets requests there.
fn goes_on_at(lab: &Lab, mac: &str) -> Result<()> {
    look::wait_for(&lab.balancer, "web/server-1", "is at its new MAC", |shown| {
        let hop = shown["next_hop"].as_str().unwrap_or_default();
        hop.starts_with(mac) && shown["out_because"].is_null()
    })?;
    let report = requests(lab)?;
    none_failed(&report)?;
    ensure!(report.per_server().len() == 3, "{:?}", report.per_server());
    Ok(())
}

/// A lab whose servers all answer, with a check that soon notices when one does not.
fn standing(mode: Mode) -> Result<Lab> {
    let mut lab = Plan::for_mode(mode).build()?;
    lab.balancer.start()?;
    lab.serve("web", SWIFT_CHECK)?;
    lab.wait_until_all_serve(PATIENCE).with_context(|| lab.balancer.log())?;
    look::wait_until_all_take_flows(&lab.balancer, "web")?;
    Ok(lab)
}

fn requests(lab: &Lab) -> Result<LoadReport> {
    let load = Load::of(&lab.url("/")).requests(REQUESTS).connections(10);
    lab.client.load(&load)
}
