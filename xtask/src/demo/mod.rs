//! `cargo xtask demo`: the whole of it, with real traffic, on this machine alone.
//!
//! # Layout
//!
//! - [`scenes`]: what is shown, one after the other; a scene fails when what it shows does not happen
//! - [`deaths`]: the scenes in which something is killed
//! - [`chart`]: bars and lines of time for the terminal
//! - [`stage`]: saying things, and running `lb` where it can be seen

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lb_lab::server::Content;
use lb_lab::{Lab, Mode, Plan, interrupt, program};

use crate::{build, setup, shell};

mod chart;
mod deaths;
mod scenes;
mod stage;

/// How long `/big` is: long enough for a daemon to die and come back meanwhile.
const BIG_BYTES: u64 = 64 << 20;

/// How long a change of health may take to show, with some patience for a busy machine.
const HEALTH_LIMIT: Duration = Duration::from_secs(15);

/// Sets up what is needed, plays every scene, and takes all of it down again, unless it `is_kept`.
pub fn run(is_kept: bool) -> Result<()> {
    needs_root()?;
    program::ip()?;
    setup::for_running()?;
    build::dev()?;
    for lab in lb_lab::clear_kept() {
        eprintln!("==> removed {lab}, which an earlier demo had left");
    }

    let started = Instant::now();
    interrupt::catch()?;
    let mut lab = match shell::step("laying out the hosts", || build_lab(is_kept)) {
        Ok(lab) => lab,
        Err(error) => return Err(interrupted_or(error)),
    };
    let played = play(&mut lab, is_kept);
    interrupt::heed_no_more();
    let proved = match played {
        Ok(proved) => proved,
        Err(error) => return Err(clean_up_after(error, lab, is_kept)),
    };
    if is_kept {
        stage::summary(&proved, started.elapsed());
        return stage::how_to_enter(&lab);
    }
    take_down(lab)?;
    stage::summary(&proved, started.elapsed());
    Ok(())
}

/// Removes what `--keep` has left.
pub fn clear() -> Result<()> {
    needs_root()?;
    let removed = lb_lab::clear_kept();
    if removed.is_empty() {
        println!("No demo stands.");
    }
    for lab in removed {
        println!("Removed {lab}.");
    }
    Ok(())
}

fn needs_root() -> Result<()> {
    ensure!(
        shell::is_root(),
        "the demo makes network namespaces and loads XDP programs: run it as root, \
         as by `sudo --preserve-env=PATH,HOME cargo xtask demo`"
    );
    Ok(())
}

fn build_lab(is_kept: bool) -> Result<Lab> {
    let content = Content {
        big_bytes: BIG_BYTES,
        ..Content::default()
    };
    let plan = Plan::for_mode(Mode::usual()).content(content);
    if is_kept { plan.kept() } else { plan }.build()
}

/// Plays all scenes; what they have proved.
fn play(lab: &mut Lab, is_kept: bool) -> Result<Vec<String>> {
    let servers = lab.servers.len();
    let hosts = format!("A client, a balancer and {servers} servers, each in a network namespace of its own");
    let mut proved = Vec::new();
    stage::scene(&hosts, || scenes::hosts(lab))?;
    stage::scene("The daemon starts, and a service is made by the command line", || {
        scenes::first_light(lab)
    })?;
    let spread = "2,000 requests, 20 at a time, each on a connection of its own";
    proved.push(stage::scene(spread, || scenes::spread(lab))?);
    stage::scene("What the operator sees", || scenes::look(lab))?;
    let server_dies = "A server is killed and comes back, while requests go on";
    proved.push(stage::scene(server_dies, || deaths::of_a_server(lab))?);
    let daemon_dies = "The daemon is killed during a download, and started again";
    proved.push(stage::scene(daemon_dies, || deaths::of_the_daemon(lab))?);
    if !is_kept {
        proved.push(stage::scene("Taking it down", || scenes::nothing_is_left(lab))?);
    }
    Ok(proved)
}

/// Removes the lab, and looks whether it is gone.
fn take_down(lab: Lab) -> Result<()> {
    let name = lab.name().to_owned();
    drop(lab);
    let left = lb_lab::what_is_left(&name);
    ensure!(left.is_empty(), "the demo has left {left:?}");
    Ok(())
}

/// After a scene that failed: a lab that is to be kept stays to be looked at, unless it was interrupted.
fn clean_up_after(error: anyhow::Error, lab: Lab, is_kept: bool) -> anyhow::Error {
    let error = interrupted_or(error);
    if error.is::<interrupt::Interrupted>() {
        eprintln!("\n{error}: taking everything down");
        lab.remove();
        return error;
    }
    let log = lab.balancer.log();
    let lines: Vec<&str> = log.lines().collect();
    eprintln!("\nThe last lines of the daemon's log:");
    for line in lines.iter().skip(lines.len().saturating_sub(10)) {
        eprintln!("  {line}");
    }
    eprintln!();
    if is_kept {
        if let Err(error) = stage::how_to_enter(&lab) {
            eprintln!("{error:#}");
        }
        return error;
    }
    match take_down(lab) {
        Ok(()) => error,
        Err(also) => Err::<(), _>(error)
            .context(format!("{also:#}; and before that"))
            .unwrap_err(),
    }
}

/// What an interrupt breaks is not worth telling.
fn interrupted_or(error: anyhow::Error) -> anyhow::Error {
    match interrupt::caught() {
        Some(interrupted) => interrupted.into(),
        None => error,
    }
}
