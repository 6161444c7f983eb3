//! The daemon ends, one way or another: traffic does not see it. Only what is detached is gone, and that wholly.

use anyhow::{Context as _, Result, ensure};
use lb_lab::{Balancer, Mode, Plan, wait_until};
use lb_tests::net::kernel::{self, Objects};
use lb_tests::net::traffic::{OPEN_CONNECTIONS, Traffic, standing};
use lb_tests::net::{PATIENCE, look};
use lb_tests::{needs_flow_table, needs_lab};

#[test]
fn a_killed_daemon_breaks_no_connection_of_fullnat() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    killed_and_started_again(Mode::Fullnat)
}

#[test]
fn a_killed_daemon_breaks_no_connection_of_ipip() -> Result<()> {
    needs_lab!();
    killed_and_started_again(Mode::Ipip)
}

fn killed_and_started_again(mode: Mode) -> Result<()> {
    let mut lab = standing(Plan::for_mode(mode))?;
    let mut traffic = Traffic::start(&lab)?;
    let before = Seen::now(&lab.balancer)?;
    assert_eq!(before.data_plane, "created");
    ensure!(before.new_flows > OPEN_CONNECTIONS as u64, "{before:?}");

    lab.balancer.kill9()?;
    traffic.goes_on(&lab, "without the daemon")?;
    lab.balancer.restart()?;
    traffic.goes_on(&lab, "with the daemon back")?;
    all_take_flows(&lab.balancer)?;
    traffic.goes_on(&lab, "with all servers checked again")?;
    Seen::now(&lab.balancer)?.goes_on_from(&before)?;

    // A second time, now on top of what was adopted.
    let before = Seen::now(&lab.balancer)?;
    lab.balancer.kill9()?;
    lab.balancer.restart()?;
    traffic.goes_on(&lab, "after the second time")?;
    Seen::now(&lab.balancer)?.goes_on_from(&before)?;
    traffic.finish()
}

#[test]
fn a_stopped_daemon_leaves_traffic_flowing() -> Result<()> {
    needs_lab!();
    let mut lab = standing(Plan::for_mode(Mode::usual()))?;
    let mut traffic = Traffic::start(&lab)?;
    let before = Seen::now(&lab.balancer)?;
    lab.balancer.stop()?;
    traffic.goes_on(&lab, "without the daemon")?;
    lab.balancer.restart()?;
    traffic.goes_on(&lab, "with the daemon back")?;
    Seen::now(&lab.balancer)?.goes_on_from(&before)?;
    traffic.finish()
}

#[test]
fn nothing_is_left_of_what_is_detached() -> Result<()> {
    needs_lab!();
    let mut lab = standing(Plan::for_mode(Mode::usual()))?;
    ensure!(!kernel::pins(lab.balancer.pins())?.is_empty());
    lab.balancer.lb_ok(&["detach", "--all"])?;
    assert_eq!(kernel::pins(lab.balancer.pins())?, Vec::<std::path::PathBuf>::new());
    let status = look::json(&lab.balancer, &["status"])?;
    assert_eq!(status["interfaces"], serde_json::json!([]), "{status}");
    lab.balancer.stop()?;
    assert_eq!(kernel::pins(lab.balancer.pins())?, Vec::<std::path::PathBuf>::new());
    Ok(())
}

#[test]
fn the_kernel_shows_nothing_of_what_is_detached() -> Result<()> {
    needs_lab!();
    lb_lab::needs!(kernel::has_bpftool(), "needs bpftool");
    let mut lab = standing(Plan::for_mode(Mode::usual()))?;
    let first = Objects::pinned_in(lab.balancer.pins())?;
    lab.balancer.kill9()?;
    lab.balancer.restart()?;
    let second = Objects::pinned_in(lab.balancer.pins())?;
    for objects in [&first, &second] {
        assert_eq!((objects.programs.len(), objects.links.len()), (1, 1), "{objects:?}");
        ensure!(objects.maps.len() > 5, "{objects:?}");
    }
    assert_eq!(first.links, second.links, "an adopted link is the same");
    lab.balancer.lb_ok(&["detach", "--all"])?;
    lab.balancer.stop()?;
    first.and(second).wait_until_gone()
}

/// Waits until the daemon that was started again has checked all servers.
fn all_take_flows(balancer: &Balancer) -> Result<()> {
    let waited = wait_until("all backends are up", PATIENCE, || {
        let status = look::json(balancer, &["status"])?;
        Ok((status["backends_up"] == status["backends"]).then_some(()))
    });
    waited.with_context(|| balancer.log())
}

/// What goes on when the daemon does not.
#[derive(Debug)]
struct Seen {
    data_plane: String,
    data_plane_since: u64,
    revision: u64,
    packets: u64,
    new_flows: u64,
}

impl Seen {
    fn now(balancer: &Balancer) -> Result<Self> {
        let status = look::json(balancer, &["status"])?;
        let shown = look::json(balancer, &["show", "web"])?;
        let number = |value: &serde_json::Value| value.as_u64().with_context(|| format!("{status} {shown}"));
        Ok(Self {
            data_plane: status["data_plane"].as_str().unwrap_or_default().to_owned(),
            data_plane_since: number(&status["data_plane_since"])?,
            revision: number(&status["revision"])?,
            packets: number(&shown["counters"]["packets"])?,
            new_flows: number(&shown["counters"]["new_flows"])?,
        })
    }

    /// Whether this is the same data plane, adopted, and further on.
    fn goes_on_from(&self, before: &Self) -> Result<()> {
        let is_same = (self.revision, self.data_plane_since) == (before.revision, before.data_plane_since);
        let is_further = self.packets > before.packets && self.new_flows > before.new_flows;
        ensure!(
            self.data_plane == "adopted" && is_same && is_further,
            "{before:?} became {self:?}"
        );
        Ok(())
    }
}
