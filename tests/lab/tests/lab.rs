//! The lab without a balancer: the client speaks to the servers directly.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use lb_lab::client::Load;
use lb_lab::server::Content;
use lb_lab::{Lab, Layout, Mode, Plan, ServerKind, needs, needs_root, program, wait_until, what_is_left};

const BIG_BYTES: u64 = 3_000_001;

fn lab(kind: ServerKind) -> Result<Lab> {
    let content = Content {
        big_bytes: BIG_BYTES,
        ..Content::default()
    };
    let plan = Plan::for_mode(Mode::Fullnat).servers(2).server_kind(kind);
    plan.content(content).without_programs().build()
}

fn everything_works(kind: ServerKind) -> Result<()> {
    let mut lab = lab(kind)?;
    let first = lab.servers[0].address();
    for server in &lab.servers {
        let url = format!("http://{}:8080/", server.address());
        assert_eq!(lab.client.get(&url)?, server.name());
    }
    let load = Load::of(&format!("http://{first}/"));
    let report = lab.client.load(&load.requests(200).connections(10))?;
    assert_eq!(report.per_server()["server-1"], 200);
    assert!(report.failures().is_empty(), "{report:?}");

    let big = format!("http://{first}/big");
    lab.client.download(&big, BIG_BYTES)?;
    let too_short = lab.client.download(&big, BIG_BYTES + 1).unwrap_err();
    assert!(format!("{too_short:#}").contains("ended after"), "{too_short:#}");

    let mut held = lab.client.hold(SocketAddr::new(first.into(), 80), 20)?;
    for _ in 0..2 {
        for answer in held.exchange() {
            assert_eq!(answer?, "server-1");
        }
    }
    let slow = lab.client.start_download(&big, BIG_BYTES, Some(BIG_BYTES / 6))?;
    let some = || Ok((slow.received() > 0).then_some(()));
    wait_until("the download moves", Duration::from_secs(10), some)?;
    lab.servers[0].kill9()?;
    assert!(held.exchange().iter().all(Result::is_err));
    assert!(lab.client.get(&format!("http://{first}/")).is_err());
    let broken = format!("{:#}", slow.finish().unwrap_err());
    assert!(broken.contains("after"), "{broken}");
    lab.servers[0].start()?;
    assert_eq!(lab.client.get(&format!("http://{first}/"))?, "server-1");
    Ok(())
}

#[test]
fn with_our_own_servers() -> Result<()> {
    needs_root!();
    needs!(program::ip().is_ok(), "needs iproute2");
    everything_works(ServerKind::Embedded)
}

#[test]
fn with_nginx() -> Result<()> {
    needs_root!();
    needs!(program::ip().is_ok(), "needs iproute2");
    needs!(program::find("nginx").is_some(), "needs nginx");
    everything_works(ServerKind::Nginx)
}

#[test]
fn two_arms_are_joined_by_the_balancer() -> Result<()> {
    needs_root!();
    needs!(program::ip().is_ok(), "needs iproute2");
    let plan = Plan::for_mode(Mode::Nat).server_kind(ServerKind::Embedded);
    let lab = plan.servers(1).without_programs().build()?;
    let server = Layout::TwoArmed.server(1);
    let route = lb_lab::program::ip()?;
    let mut add = lab.client.netns().command(route)?;
    add.args(["route", "add", "10.2.0.0/24", "via", "10.1.0.1"]);
    program::output(&mut add)?;
    assert_eq!(lab.client.get(&format!("http://{server}/"))?, "server-1");
    Ok(())
}

#[test]
fn nothing_is_left_of_a_lab() -> Result<()> {
    needs_root!();
    needs!(program::ip().is_ok(), "needs iproute2");
    let lab = lab(ServerKind::Embedded)?;
    let name = lab.name().to_owned();
    assert!(lab.client.netns().path().exists());
    // A namespace for each host and the bridge, and directories for files and pins.
    assert_eq!(what_is_left(&name).len(), 5 + 2);
    drop(lab);
    assert!(what_is_left(&name).is_empty(), "{:?}", what_is_left(&name));
    Ok(())
}

#[test]
fn a_lab_that_is_kept_goes_when_it_is_removed() -> Result<()> {
    needs_root!();
    needs!(program::ip().is_ok(), "needs iproute2");
    let plan = Plan::for_mode(Mode::Fullnat).server_kind(ServerKind::Embedded);
    let lab = plan.servers(1).without_programs().kept().build()?;
    let name = lab.name().to_owned();
    lab.remove();
    assert!(what_is_left(&name).is_empty(), "{:?}", what_is_left(&name));
    Ok(())
}
