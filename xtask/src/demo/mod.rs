//! `cargo xtask demo`: the whole of it, with real traffic, on this machine alone.
//!
//! # Layout
//!
//! - [`scenes`]: what is shown, one after the other; a scene fails when what it shows does not happen
//! - [`chart`]: bars and lines of time for the terminal
//! - [`stage`]: saying things, and running `lb` where it can be seen

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lb_lab::server::Content;
use lb_lab::{Lab, Mode, Plan, ServerKind, program};

use crate::{build, setup, shell};

mod chart;
mod scenes;
mod stage;

/// How long `/big` is: long enough for a daemon to die and come back meanwhile.
const BIG_BYTES: u64 = 64 << 20;

/// Sets up what is needed, and plays every scene.
pub fn run(is_kept: bool) -> Result<()> {
    ensure!(
        shell::is_root(),
        "the demo makes network namespaces and loads XDP programs: run it as root, \
         as by `sudo --preserve-env=PATH,HOME cargo xtask demo`"
    );
    program::ip()?;
    let started = Instant::now();
    setup::for_running()?;
    build::dev()?;
    lb_lab::clear_kept();
    lb_lab::clear_when_interrupted()?;

    let mut lab = shell::step("laying out the hosts", || build_lab(is_kept))?;
    let played = play(&mut lab);
    if is_kept {
        stage::how_to_enter(&lab)?;
    } else if played.is_ok() {
        scenes::nothing_is_left(&mut lab)?;
    }
    drop(lab);
    played?;
    println!("\nAll of it happened, in {:.0} s.", started.elapsed().as_secs_f64());
    Ok(())
}

fn build_lab(is_kept: bool) -> Result<Lab> {
    let content = Content {
        big_bytes: BIG_BYTES,
        ..Content::default()
    };
    let plan = Plan::for_mode(Mode::Fullnat).content(content);
    if is_kept { plan.kept() } else { plan }.build()
}

fn play(lab: &mut Lab) -> Result<()> {
    let kind = match ServerKind::best() {
        ServerKind::Nginx => "nginx",
        ServerKind::Embedded => "a small HTTP server of the lab's own, as nginx is not installed",
    };
    stage::title("A client, a balancer and three servers, each in a network namespace of its own");
    println!(
        "  client {} --- balancer {}",
        lab.client.address(),
        lab.balancer_address()
    );
    for server in &lab.servers {
        println!(
            "                             +--- {} {}",
            server.name(),
            server.address()
        );
    }
    println!("  The servers run {kind}.");

    scenes::first_light(lab)?;
    scenes::spread(lab)?;
    scenes::look(lab)?;
    scenes::a_server_dies(lab)?;
    scenes::the_daemon_dies(lab)
}

/// How long a change of health may take to show, with some patience for a busy machine.
const HEALTH_LIMIT: Duration = Duration::from_secs(15);
