//! The lab with the real balancer: in each mode, what the plan builds is what the mode needs.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_lab::client::Load;
use lb_lab::server::Content;
use lb_lab::{Mode, Plan, needs, needs_root, program, what_is_left};

/// Many full-sized packets, so that a link too narrow for an outer header shows.
const BIG_BYTES: u64 = 3_000_001;

const LIMIT: Duration = Duration::from_secs(20);

fn serves(mode: Mode) -> Result<()> {
    let content = Content {
        big_bytes: BIG_BYTES,
        ..Content::default()
    };
    let mut lab = Plan::for_mode(mode).content(content).build()?;
    lab.balancer.start()?;
    lab.serve("web", "http,path=/healthz,interval=200ms,timeout=150ms,rise=1,fall=2")?;
    lab.wait_until_all_serve(LIMIT)?;
    let load = Load::of(&lab.url("/")).requests(50).connections(5);
    let report = lab.client.load(&load)?;
    assert_eq!(report.samples.len(), 50);
    assert!(report.failures().is_empty(), "{:?}", report.failures_by_text());
    lab.client.download(&lab.url("/big"), BIG_BYTES).context("a download")?;

    let with_xdp = lab.balancer.interfaces_with_xdp()?;
    assert_eq!(with_xdp.len(), lab.balancer_devices().len(), "{with_xdp:?}");
    let name = lab.name().to_owned();
    drop(lab);
    assert_eq!(what_is_left(&name), Vec::<std::path::PathBuf>::new());
    Ok(())
}

#[test]
fn fullnat() -> Result<()> {
    needs_root!();
    needs!(program::ip().is_ok(), "needs iproute2");
    needs!(program::lb().is_ok(), "needs lb, which `cargo build` builds");
    needs!(Mode::usual() == Mode::Fullnat, "needs a kernel from 5.12 on");
    serves(Mode::Fullnat)
}

#[test]
fn nat() -> Result<()> {
    needs_root!();
    needs!(program::ip().is_ok(), "needs iproute2");
    needs!(program::lb().is_ok(), "needs lb, which `cargo build` builds");
    serves(Mode::Nat)
}

#[test]
fn l2() -> Result<()> {
    needs_root!();
    needs!(program::ip().is_ok(), "needs iproute2");
    needs!(program::lb().is_ok(), "needs lb, which `cargo build` builds");
    serves(Mode::L2)
}

#[test]
fn ipip() -> Result<()> {
    needs_root!();
    needs!(program::ip().is_ok(), "needs iproute2");
    needs!(program::lb().is_ok(), "needs lb, which `cargo build` builds");
    serves(Mode::Ipip)
}
