//! The scenes in which something is killed while requests go on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lb_lab::client::{Held, RunningDownload, RunningLoad};
use lb_lab::{Lab, Load, wait_until};

use super::HEALTH_LIMIT;
use super::chart::{self, thousands};
use super::scenes::none_failed;
use super::stage::{lb, lb_fails, say, say_apart};
use crate::workspace::json_string;

/// So many checks that fail take a server out.
const FALL: u32 = 2;
const INTERVAL: Duration = Duration::from_millis(200);

/// How long after the death of a server requests may fail: fall × interval, and patience with a busy machine.
const FAILOVER_LIMIT: Duration = Duration::from_secs(3);

/// For so long nothing has to fail before the trouble counts as over.
const QUIET: Duration = Duration::from_millis(1500);

/// How long all goes well before something is killed, and after it is back.
const CALM: Duration = Duration::from_secs(1);

/// How long the daemon stays away.
const ABSENCE: Duration = Duration::from_secs(3);

/// How many connections are held open while the daemon dies.
const HELD: usize = 200;

/// How long the download takes that the daemon's death falls into.
const DOWNLOAD_S: u64 = 8;

/// The time that a character of a timeline stands for.
const STEP: Duration = Duration::from_millis(100);

/// The health check, as the command line takes it.
pub fn check() -> String {
    let ms = INTERVAL.as_millis();
    format!("http,path=/healthz,interval={ms}ms,fast_interval={ms}ms,jitter=0,timeout=1s,rise=2,fall={FALL}")
}

/// A server is killed; after a moment no request fails; it comes back.
pub fn of_a_server(lab: &mut Lab) -> Result<String> {
    let load = Load::of(&lab.url("/")).connections(8).pause(Duration::from_millis(5));
    let running = lab.client.start_load(&load)?;
    stay_calm(&running)?;

    let victim = lab.servers.get_mut(1).context("there is no second server")?;
    let name = victim.name().to_owned();
    let killed = Instant::now();
    victim.kill9()?;
    let quiet = || {
        let trouble = running.so_far().last_failure_after(killed).unwrap_or_default();
        Ok((killed.elapsed() - trouble >= QUIET).then_some(()))
    };
    wait_until("no request fails any more", HEALTH_LIMIT, quiet)?;
    say(&format!("kill -9 of {name}. What the balancer makes of it:"));
    is_out(lab, &name)?;
    lb(lab, &["show", "web"])?;

    let restarted = Instant::now();
    lab.servers[1].start()?;
    lab.wait_until_all_serve(HEALTH_LIMIT)?;
    stay_calm(&running)?;
    let report = running.stop()?;

    say_apart(&format!(
        "{name} was killed at the first | and started again at the second. Each character is {} ms:",
        STEP.as_millis()
    ));
    say(". all requests were answered, x some failed.");
    say_apart(&chart::timeline(&report, &[killed, restarted], STEP));
    let (failed, trouble) = (report.failures().len(), report.last_failure_after(killed));
    let before = report
        .failures()
        .iter()
        .filter(|s| report.started + s.at + s.took < killed)
        .count();
    ensure!(before == 0, "{before} requests failed before the kill");
    let trouble = trouble.unwrap_or_default();
    let requests = thousands(report.samples.len());
    let seconds = trouble.as_secs_f64();
    say_apart(&format!(
        "{failed} of {requests} requests failed, the last of them sent {seconds:.2} s after the kill."
    ));
    say(&format!(
        "{FALL} checks in a row, {} ms apart, have to fail: fall x interval is {:.1} s.",
        INTERVAL.as_millis(),
        (INTERVAL * FALL).as_secs_f64()
    ));
    if let Some(verdict) = verdict(lab, &name) {
        say(&format!("Its log says: {verdict}"));
    }
    ensure!(
        trouble <= FAILOVER_LIMIT,
        "requests failed for longer than {FAILOVER_LIMIT:?} after the kill"
    );
    Ok(format!(
        "a killed server: {seconds:.2} s after the kill no request failed any more"
    ))
}

/// The daemon is killed in the middle of a download, stays away, and comes back; no connection notices.
pub fn of_the_daemon(lab: &mut Lab) -> Result<String> {
    let bytes = lab.big_bytes();
    let mib = bytes >> 20;
    let load = Load::of(&lab.url("/")).connections(4).pause(Duration::from_millis(10));
    let running = lab.client.start_load(&load)?;
    let mut held = lab.client.hold(lab.vip(), HELD)?;
    let download = lab
        .client
        .start_download(&lab.url("/big"), bytes, Some(bytes / DOWNLOAD_S))?;
    say(&format!(
        "A download of {mib} MiB runs, {HELD} connections are held open, and new requests go on."
    ));
    all_alive(&mut held, "before the kill")?;
    stay_calm(&running)?;

    let killed = Instant::now();
    lab.balancer.kill9()?;
    say(&format!("kill -9 of the daemon, {}.", progress(&download, mib)?));
    lb_fails(lab, &["status"], 3)?;
    wait_until("the daemon was away for a while", ABSENCE * 2, || {
        all_alive(&mut held, "while the daemon is dead")?;
        Ok((killed.elapsed() >= ABSENCE).then_some(()))
    })?;

    let restarting = Instant::now();
    let away = restarting - killed;
    lab.balancer.restart()?;
    let took = restarting.elapsed();
    say_apart(&format!(
        "Started again, {:.1} s later, {}; it took {:.2} s to find what it had left.",
        away.as_secs_f64(),
        progress(&download, mib)?,
        took.as_secs_f64()
    ));
    has_adopted(lab)?;
    all_alive(&mut held, "after the restart")?;
    let took = download.finish()?;
    all_alive(&mut held, "after the download")?;
    let report = running.stop()?;

    say(&format!(
        "The download is complete after {:.1} s: {} bytes, every one compared.",
        took.as_secs_f64(),
        thousands(usize::try_from(bytes)?)
    ));
    say(&format!("All {HELD} connections still live. The requests meanwhile:"));
    say_apart(&chart::timeline(&report, &[killed, restarting], STEP));
    none_failed(&report)?;
    let requests = thousands(report.samples.len());
    say_apart(&format!(
        "None of {requests} failed; the slowest took {} ms.",
        report.slowest().as_millis()
    ));
    lb(lab, &["status"])?;
    Ok(format!(
        "{:.1} s without a daemon: {HELD} connections, {requests} requests and a download of {mib} MiB came through",
        away.as_secs_f64()
    ))
}

/// Lets a load run for a moment.
fn stay_calm(running: &RunningLoad) -> Result<()> {
    let (since, before) = (Instant::now(), running.so_far().samples.len());
    wait_until("requests flow", HEALTH_LIMIT, || {
        let answered = running.so_far().samples.len() - before;
        Ok((since.elapsed() >= CALM && answered >= 50).then_some(()))
    })
}

/// The balancer itself says that the server is down, and sends it nothing.
fn is_out(lab: &Lab, server: &str) -> Result<()> {
    let shown = lab.balancer.lb_ok(&["show", &format!("web/{server}"), "-o", "jsonl"])?;
    let health = json_string(&shown, "health").unwrap_or("unknown");
    ensure!(health == "down", "{server} is dead, but its health is `{health}`");
    ensure!(shown.contains("\"slots\":0"), "{server} is dead, but still has slots");
    Ok(())
}

/// What the daemon's log says of a server that went down.
fn verdict(lab: &Lab, server: &str) -> Option<String> {
    let log = lab.balancer.log();
    let down = format!("{server} is down");
    let line = log.lines().rfind(|line| line.contains(&down))?;
    Some(line[line.find("web/")?..].to_owned())
}

/// The daemon found the data plane that its predecessor had left, and did not make another.
fn has_adopted(lab: &Lab) -> Result<()> {
    let status = lab.balancer.lb_ok(&["status", "-o", "jsonl"])?;
    let how = json_string(&status, "data_plane").unwrap_or("unknown");
    ensure!(how == "adopted", "the data plane was {how}, not adopted");
    Ok(())
}

/// How far a download has come, which must still be under way.
fn progress(download: &RunningDownload, mib: u64) -> Result<String> {
    ensure!(!download.is_over(), "the download is over already");
    Ok(format!("{} of {mib} MiB downloaded", download.received() >> 20))
}

fn all_alive(held: &mut Held, when: &str) -> Result<()> {
    for (number, answer) in held.exchange().into_iter().enumerate() {
        answer.with_context(|| format!("{when}: connection {number} of {HELD} is broken"))?;
    }
    Ok(())
}
