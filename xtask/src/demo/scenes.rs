//! What is shown, one after the other. A scene fails when what it shows does not happen.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lb_lab::client::Held;
use lb_lab::{Lab, Load, LoadReport, wait_until};

use super::stage::{lb, say, title};
use super::{HEALTH_LIMIT, chart};

/// Two checks that fail, 200 ms apart, take a server out; two that pass bring it back.
const CHECK: &str = "http,path=/healthz,interval=200ms,fast_interval=200ms,timeout=150ms,rise=2,fall=2";

/// How long after the death of a server requests may fail: fall × interval, a check's timeout, and some patience.
const FAILOVER_LIMIT: Duration = Duration::from_secs(3);

/// For so long nothing has to fail before the trouble counts as over.
const QUIET: Duration = Duration::from_secs(1);

const HELD: usize = 50;

/// The daemon starts, and a service with its backends is made by the command line.
pub fn first_light(lab: &mut Lab) -> Result<()> {
    title("The daemon starts, and a service is made by the command line");
    lab.balancer.start()?;
    for command in lab.serve_commands("web", CHECK) {
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        lb(lab, &arguments)?;
    }
    lab.wait_until_all_serve(HEALTH_LIMIT)?;
    say("");
    say(&format!("Every server answers at {}.", lab.url("/")));
    Ok(())
}

/// Requests spread over the servers, and none fails.
pub fn spread(lab: &Lab) -> Result<()> {
    title("2,000 requests, 20 at a time, each on a connection of its own");
    let load = Load::of(&lab.url("/")).requests(2000).connections(20);
    let report = lab.client.load(&load)?;
    show_bars(&report);
    none_failed(&report)?;
    let servers = report.per_server().len();
    ensure!(servers == lab.servers.len(), "only {servers} servers answered");
    say(&format!("None failed. {:.0} requests a second.", report.rate()));
    Ok(())
}

/// What the operator sees.
pub fn look(lab: &Lab) -> Result<()> {
    title("What the operator sees");
    lb(lab, &["status"])?;
    lb(lab, &["list"])?;
    lb(lab, &["show", "web"])
}

/// A server is killed; after a moment no request fails; it comes back.
pub fn a_server_dies(lab: &mut Lab) -> Result<()> {
    title("A server is killed while requests go on");
    let load = Load::of(&lab.url("/")).connections(8);
    let running = lab.client.start_load(&load.pause(Duration::from_millis(5)))?;
    let flowing = || Ok((running.so_far().samples.len() >= 100).then_some(()));
    wait_until("requests flow", HEALTH_LIMIT, flowing)?;

    let victim = lab.servers.get_mut(1).context("there is a second server")?;
    let name = victim.name().to_owned();
    // Taken first: what it was answering when it died failed because of that.
    let killed = Instant::now();
    victim.kill9()?;
    let quiet = || {
        let trouble = running.so_far().last_failure_after(killed);
        let since = killed.elapsed() - trouble.unwrap_or_default();
        Ok((since >= QUIET && killed.elapsed() >= FAILOVER_LIMIT).then_some(()))
    };
    wait_until("no request fails any more", HEALTH_LIMIT, quiet)?;
    let report = running.stop()?;

    say(&format!(
        "kill -9 of {name}. Each character is 100 ms: . well, x some failed, | the kill"
    ));
    say(&chart::timeline(&report, killed, Duration::from_millis(100)));
    let failed = report.failures().len();
    let trouble = report.last_failure_after(killed).unwrap_or_default();
    say(&format!(
        "{failed} of {} requests failed, the last one sent {:.2} s after the kill. From then on none.",
        report.samples.len(),
        trouble.as_secs_f64()
    ));
    let before = report
        .failures()
        .iter()
        .filter(|s| report.started + s.at + s.took < killed)
        .count();
    ensure!(before == 0, "{before} requests failed before the kill");
    ensure!(
        trouble <= FAILOVER_LIMIT,
        "requests failed for longer than {FAILOVER_LIMIT:?} after the kill"
    );
    lb(lab, &["show", "web"])?;

    let victim = lab.servers.get_mut(1).context("there is a second server")?;
    victim.start()?;
    lab.wait_until_all_serve(HEALTH_LIMIT)?;
    say("");
    say(&format!("{name} was started again, and answers again."));
    Ok(())
}

/// The daemon is killed in the middle of a download; no connection notices.
pub fn the_daemon_dies(lab: &mut Lab) -> Result<()> {
    let bytes = lab.big_bytes();
    let (mib, seconds) = (bytes >> 20, 6);
    title(&format!(
        "The daemon is killed during a download of {mib} MiB, with {HELD} connections open"
    ));
    let mut held = lab.client.hold(lab.vip(), HELD)?;
    all_alive(&mut held, "before the kill")?;
    let url = lab.url("/big");
    let download = lab.client.start_download(&url, bytes, Some(bytes / seconds))?;
    let arrived = |percent: u64| {
        let what = format!("{percent} % of the download are here");
        wait_until(&what, Duration::from_secs(60), || {
            ensure!(!download.is_over(), "the download is over already");
            Ok((download.received() >= bytes / 100 * percent).then_some(()))
        })
    };
    arrived(20)?;
    lab.balancer.kill9()?;
    say(&format!(
        "kill -9 of the daemon after {} MiB.",
        download.received() >> 20
    ));
    all_alive(&mut held, "while the daemon is dead")?;
    let load = Load::of(&lab.url("/")).requests(300).connections(10);
    none_failed(&lab.client.load(&load)?).context("while the daemon is dead")?;
    say(&format!(
        "No daemon: all {HELD} connections live, and 300 new ones came through."
    ));
    arrived(55)?;

    let restarting = Instant::now();
    lab.balancer.restart()?;
    let (took, received) = (restarting.elapsed(), download.received() >> 20);
    say(&format!(
        "The daemon is back after {received} MiB; it took {:.2} s to find what it had left.",
        took.as_secs_f64()
    ));
    all_alive(&mut held, "after the restart")?;
    let took = download.finish()?;
    say(&format!(
        "The download is complete after {:.1} s: {bytes} bytes, every one compared.",
        took.as_secs_f64()
    ));
    none_failed(&lab.client.load(&load)?).context("after the restart")?;
    lb(lab, &["status"])
}

/// The data plane is taken down, and nothing is left of it.
pub fn nothing_is_left(lab: &mut Lab) -> Result<()> {
    title("Taking it down");
    lb(lab, &["detach", "--all"])?;
    lab.balancer.stop()?;
    let pins = lab.balancer.pins();
    let left = match std::fs::read_dir(pins) {
        Ok(entries) => entries.count(),
        Err(_) => 0,
    };
    ensure!(left == 0, "{left} pins are left in {}", pins.display());
    say("");
    say("The daemon has ended, and of programs, links and maps nothing is pinned any more.");
    Ok(())
}

fn all_alive(held: &mut Held, when: &str) -> Result<()> {
    for (number, answer) in held.exchange().into_iter().enumerate() {
        answer.with_context(|| format!("{when}: connection {number} of {HELD} is broken"))?;
    }
    Ok(())
}

fn none_failed(report: &LoadReport) -> Result<()> {
    let failed = report.failures().len();
    ensure!(
        failed == 0,
        "{failed} of {} requests failed: {:?}",
        report.samples.len(),
        report.failures_by_text()
    );
    Ok(())
}

fn show_bars(report: &LoadReport) {
    for bar in chart::bars(&report.per_server()) {
        say(&bar);
    }
}
