//! Chores of the lb workspace.
//!
//! # Layout
//!
//! A file (or directory) per verb, and what the verbs share:
//!
//! - [`setup`]: gets a machine ready to build, and to run what was built
//! - [`build`]: builds `lb`
//! - [`check`]: says what is wrong with the code without running it; [`tidy`] are its house rules
//! - [`mod@test`]: runs the tests and counts
//! - [`demo`]: shows it all, with real traffic
//! - [`vm`]: runs the tests on other kernels, in virtual machines
//! - [`fuzz`]: looks for bytes that a parser does not take well
//! - [`mod@bench`]: measures it, side by side with what it is compared with
//! - [`workspace`]: where things lie
//! - [`shell`]: running programs, and saying how long a step took

use std::process::ExitCode;

mod bench;
mod build;
mod check;
mod demo;
mod fuzz;
mod setup;
mod shell;
mod test;
mod tidy;
mod vm;
mod workspace;

const USAGE: &str = "\
usage: cargo xtask VERB

  setup                     get this machine ready to build lb, and as root to run it
  build [--release]         build lb (with --release: the one file to ship) and print where it is
  check                     format, lints, documentation and house rules
  test [--full] [FILTER]    run every test that this machine can run (with --full: also the long ones)
  demo [--keep]             show it all with real traffic (with --keep: leave it standing)
  demo --clear              remove what --keep has left
  vm test [--kernel VERSION]... [FILTER]
                            run the packet and net tests on other kernels, in virtual machines
  vm bench [--kernel VERSION] [--json FILE] [--against FILE]
                            count instructions per packet in a virtual machine, and say what got worse
  fuzz [TARGET] [--seconds N]
                            look for bytes that a parser does not take well, for 30 seconds each (see tests/fuzz/seeds for the targets)
  bench WHAT [OPTION]...    measure it, side by side with what it is compared with (bench help: what there is)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["setup"] => setup::run().map(|()| true),
        ["build"] => build::run(false).map(|()| true),
        ["build", "--release"] => build::run(true).map(|()| true),
        ["check"] => check::run(),
        ["test", wanted @ ..] => match test::Wanted::parse(wanted) {
            Some(wanted) => test::run(&wanted),
            None => return wrong_usage(),
        },
        ["vm", "test", wanted @ ..] => match vm::Wanted::parse(wanted) {
            Some(wanted) => vm::test(&wanted),
            None => return wrong_usage(),
        },
        ["vm", "bench", wanted @ ..] => match vm::bench::Wanted::parse(wanted) {
            Some(wanted) => vm::bench(&wanted),
            None => return wrong_usage(),
        },
        ["fuzz", wanted @ ..] => match fuzz::Wanted::parse(wanted) {
            Some(wanted) => fuzz::run(&wanted),
            None => return wrong_usage(),
        },
        ["demo"] => demo::run(false).map(|()| true),
        ["demo", "--keep"] => demo::run(true).map(|()| true),
        ["demo", "--clear"] => demo::clear().map(|()| true),
        ["bench", arguments @ ..] => bench::run(arguments).map(|never| match never {}),
        ["help" | "-h" | "--help"] => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => return wrong_usage(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            exit_code(&error)
        }
    }
}

/// A shell expects 128 and the signal's number of what a signal has ended.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    let interrupted = error.downcast_ref::<lb_lab::interrupt::Interrupted>();
    let code = interrupted.and_then(|by| u8::try_from(128 + by.0).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

fn wrong_usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
