//! A second opinion: the same packets' way with packets of another generator, `xdp-trafficgen` of xdp-tools.
//!
//! It sends UDP over IPv6 and nothing else, so of all that is measured only the program that sends everything back takes it.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lb_lab::process::Process;
use lb_lab::{interrupt, program, wait_until};

use super::hosts::{BALANCER_MAC, Hosts, text};
use super::subject::Subject;
use super::world::{Load, World};
use crate::bpf::floors::Floor;
use crate::bpf::traffic::Count;
use crate::measure::{Samples, pin_thread};

/// What its packets are sent through.
const SUBJECT: Subject = Subject::Floor(Floor::Tx);
/// Ports that its packets are sent to, in turn.
const PORTS: &str = "4096";
/// How long it may take to load its programs.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Packets after which it is at work: interfaces that are new say some things of themselves.
const BEGUN: u64 = 10_000;

/// Packets per second, in the same rounds.
pub struct Compared {
    pub theirs: Samples,
    pub ours: Samples,
}

/// Measures in turn with our packets and theirs, or says why not.
///
/// # Errors
///
/// Ours do not get through, or a signal asked us to end.
pub fn measure(world: &mut World, rounds: usize, count: Count, time: Duration) -> Result<Result<Compared, String>> {
    let Some(program) = program::find("xdp-trafficgen") else {
        return Ok(Err(
            "there is no `xdp-trafficgen` here; install the package xdp-tools".into()
        ));
    };
    let load = Load {
        subject: SUBJECT,
        bytes: 64,
        flows: 4096,
    };
    let (mut theirs, mut ours) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        ours.push(1e9 / world.send(load, false, count)?.nanoseconds);
        match their_rate(&program, world, time) {
            Ok(rate) => theirs.push(rate),
            Err(error) => match interrupt::caught() {
                Some(interrupted) => return Err(interrupted.into()),
                None => return Ok(Err(format!("{error:#}"))),
            },
        }
    }
    Ok(Ok(Compared { theirs, ours }))
}

/// Starts it, counts what arrives for a while, and ends it.
fn their_rate(program: &Path, world: &World, time: Duration) -> Result<f64> {
    let log = world.hosts.scratch().dir().join("xdp-trafficgen.log");
    let mut process = start(program, world, &log)?;
    let others = || Result::<u64>::Ok(world.traffic.arrived()?.others);
    let before = others()?;
    let started = wait_until("it sends packets", START_LIMIT, || {
        ensure!(process.ended()?.is_none(), "it has ended");
        Ok((others()? > before + BEGUN).then_some(()))
    });
    started.with_context(|| {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        format!("xdp-trafficgen said `{}`", last.unwrap_or_default().trim())
    })?;
    let (first, begin) = (others()?, Instant::now());
    std::thread::sleep(time);
    let (last, end) = (others()?, Instant::now());
    ensure!(
        process.ended()?.is_none(),
        "xdp-trafficgen has ended while it was looked at"
    );
    process.kill9()?;
    Ok((last - first) as f64 / (end - begin).as_secs_f64())
}

fn start(program: &Path, world: &World, log: &Path) -> Result<Process> {
    let exit = world.exit(SUBJECT)?;
    let log = File::create(log)?;
    let mut command = world.hosts.sender().command(program)?;
    command
        .args(["udp", "--threads", "1", "--dst-port", "1", "--dyn-ports", PORTS])
        .args(["--dst-mac", &text(BALANCER_MAC), &Hosts::port(exit)])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    // Its one thread binds itself to the first CPU.
    let bind = || pin_thread(None, 0);
    // SAFETY: between fork and exec the closure makes two system calls, and neither allocates nor locks.
    unsafe { command.pre_exec(bind) };
    Process::spawn(command, false)
}
