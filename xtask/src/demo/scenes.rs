//! What is shown, one after the other. A scene fails when what it shows does not happen.

use anyhow::{Result, ensure};
use lb_lab::{Lab, Load, LoadReport, ServerKind};

use super::chart::{self, thousands};
use super::stage::{lb, say, say_apart, show_command};
use super::{HEALTH_LIMIT, deaths};

/// Who is there.
pub fn hosts(lab: &Lab) -> Result<String> {
    let client = format!("client {}", lab.client.address());
    let balancer = format!("balancer {}", lab.balancer_address());
    let vip = format!("serves {}", lab.vip());
    let width = balancer.len().max(vip.len());
    let middle = (lab.servers.len() - 1) / 2;
    for (row, server) in lab.servers.iter().enumerate() {
        let left = if row == middle { client.as_str() } else { "" };
        let arrow = if row == middle { "-->" } else { "" };
        let between = match row.checked_sub(middle) {
            Some(0) => balancer.as_str(),
            Some(1) => vip.as_str(),
            _ => "",
        };
        let (gap, name, address) = (client.len(), server.name(), server.address());
        say(&format!(
            "{left:gap$}  {arrow:3}  {between:width$}  -->  {name} {address}"
        ));
    }
    let kind = match ServerKind::best() {
        ServerKind::Nginx => "nginx",
        ServerKind::Embedded => "a small HTTP server of this repository, as nginx is not installed",
    };
    say_apart(&format!("The servers run {kind}."));
    say("One bridge joins all hosts.");
    Ok(String::new())
}

/// The daemon starts, and a service with its backends is made by the command line.
pub fn first_light(lab: &mut Lab) -> Result<String> {
    let daemon = lab.balancer.daemon_command();
    show_command(&daemon.iter().map(String::as_str).collect::<Vec<_>>());
    lab.balancer.start()?;
    for command in lab.serve_commands("web", &deaths::check()) {
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        lb(lab, &arguments)?;
    }
    lab.wait_until_all_serve(HEALTH_LIMIT)?;
    say_apart(&format!("Every server answers at {}.", lab.url("/")));
    Ok(String::new())
}

/// Requests spread over the servers, and none fails.
pub fn spread(lab: &Lab) -> Result<String> {
    let load = Load::of(&lab.url("/")).requests(2000).connections(20);
    let report = lab.client.load(&load)?;
    let counts = report.per_server();
    for bar in chart::bars(&counts) {
        say(&bar);
    }
    none_failed(&report)?;
    let servers = counts.len();
    ensure!(servers == lab.servers.len(), "only {servers} servers answered");
    let requests = thousands(report.samples.len());
    let rate = thousands(report.rate() as usize);
    say_apart(&format!("None failed. {rate} requests a second."));
    Ok(format!(
        "{requests} requests spread over {servers} servers; none failed"
    ))
}

/// What the operator sees.
pub fn look(lab: &Lab) -> Result<String> {
    lb(lab, &["status"])?;
    lb(lab, &["list"])?;
    lb(lab, &["show", "web"])?;
    Ok(String::new())
}

/// The data plane is taken down, and nothing is left of it.
pub fn nothing_is_left(lab: &mut Lab) -> Result<String> {
    let before = lab.balancer.interfaces_with_xdp()?;
    ensure!(!before.is_empty(), "no interface of the balancer holds an XDP program");
    lb(lab, &["detach", "--all"])?;
    lab.balancer.stop()?;
    let with_xdp = lab.balancer.interfaces_with_xdp()?;
    ensure!(with_xdp.is_empty(), "{with_xdp:?} still hold an XDP program");
    let pins = lab.balancer.pins();
    let left = std::fs::read_dir(pins).map_or(0, Iterator::count);
    ensure!(left == 0, "{left} pins are left in {}", pins.display());
    say_apart("The daemon has ended. No interface holds a program, and nothing is pinned any more.");
    Ok("`lb detach --all`: no interface holds a program, and nothing is pinned".to_owned())
}

pub fn none_failed(report: &LoadReport) -> Result<()> {
    let failed = report.failures().len();
    ensure!(
        failed == 0,
        "{failed} of {} requests failed: {:?}",
        report.samples.len(),
        report.failures_by_text()
    );
    Ok(())
}
