//! A signal ends what waits. This is a process of its own: what it catches, it catches for all its threads.

use std::time::{Duration, Instant};

use anyhow::Result;
use lb_lab::interrupt::{self, Interrupted};
use lb_lab::wait_until;
use rustix::process::{Signal, getpid, kill_process};

#[test]
fn a_signal_ends_what_waits_until_that_is_over() -> Result<()> {
    interrupt::catch()?;
    assert_eq!(interrupt::caught(), None);
    kill_process(getpid(), Signal::TERM)?;
    let started = Instant::now();
    let minute = Duration::from_secs(60);
    let given_up = wait_until("never", minute, || Ok(None::<()>)).unwrap_err();
    assert!(started.elapsed() < minute);
    let Some(interrupted) = given_up.downcast_ref::<Interrupted>() else {
        panic!("{given_up:#}");
    };
    assert_eq!(interrupted.to_string(), "interrupted by SIGTERM");
    assert_eq!(interrupt::caught(), Some(*interrupted));

    interrupt::heed_no_more();
    let mut looks = 0;
    wait_until("a third look", minute, || {
        looks += 1;
        Ok((looks == 3).then_some(()))
    })
}
