//! On a kernel whose BPF has no compare-exchange: what the daemon says, and what it refuses.

use anyhow::{Context as _, Result, ensure};
use lb_lab::{Lab, Mode, Plan};
use lb_tests::needs_lab;
use lb_tests::net::look;
use lb_tests::net::refused::Refused;
use lb_tests::net::run::{self, Second, changes};
use lb_tests::packet::objects::has_flow_table;

const REFUSED: i32 = 1;
const LACKS: &str = "no atomic compare-exchange in BPF (needs 5.12)";
const REMEDY: &str = "use mode gue, ipip, l2 or nat, or a kernel from 5.12 on";

/// A service without a mode.
const BY_DEFAULT: &str = "version = 1\n\n[[service]]\nname = \"web\"\naddress = \"10.9.0.1\"\nport = 80\n";

/// Skips the test it stands in where the kernel is a newer one.
macro_rules! needs_old_kernel {
    () => {
        needs_lab!();
        lb_lab::needs!(!has_flow_table(), "needs a kernel before 5.12")
    };
}

/// A balancer alone, with a daemon that has no service.
fn alone() -> Result<Lab> {
    let mut lab = Plan::for_mode(Mode::L2).servers(0).without_programs().build()?;
    lab.balancer.start()?;
    Ok(lab)
}

#[test]
fn what_is_missing_is_said_at_the_start_and_in_the_status() -> Result<()> {
    needs_old_kernel!();
    let lab = alone()?;
    let said = format!("{LACKS}: mode fullnat is not available");
    let log = lab.balancer.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&said)).collect();
    ensure!(lines.len() == 1 && lines[0].contains(" WARN kernel "), "{log}");
    let status = look::json(&lab.balancer, &["status"])?;
    let warnings = status["warnings"].as_array().context("no warnings")?;
    let is_it = |warning: &serde_json::Value| warning.as_str().is_some_and(|text| text.ends_with(&said));
    ensure!(
        warnings.iter().filter(|warning| is_it(warning)).count() == 1,
        "{status}"
    );
    Ok(())
}

#[test]
fn a_service_in_fullnat_is_refused_and_others_are_not() -> Result<()> {
    needs_old_kernel!();
    let lab = alone()?;
    let balancer = &lab.balancer;
    changes(
        balancer,
        "service add dns --vip 10.9.0.2:53/udp --mode nat --check none",
    )?;
    let file = run::file(balancer, "fullnat.toml", BY_DEFAULT)?;
    let (apply, dry_run) = (format!("apply {file}"), format!("apply {file} --dry-run"));
    let (by_name, by_default) = (
        "mode fullnat is not available",
        "mode fullnat, the default, is not available",
    );
    for (command, service, why) in [
        ("service add web --vip 10.9.0.1:80", "service web", by_default),
        (
            "service add web --vip 10.9.0.1:80 --mode fullnat",
            "service web",
            by_name,
        ),
        ("service set dns --mode fullnat", "service dns", by_name),
        ("service set dns --mode fullnat --dry-run", "service dns", by_name),
        (&apply, "service web", by_default),
        (&dry_run, "service web", by_default),
    ] {
        let words: &[&str] = &command.split(' ').collect::<Vec<_>>();
        let (code, says): (_, &[&str]) = (REFUSED, &[service, why, LACKS, REMEDY]);
        Refused { words, code, says }.check(balancer)?;
    }
    for (mode, port) in [("ipip", 81), ("l2", 82), ("nat", 83)] {
        changes(
            balancer,
            &format!("service add {mode} --vip 10.9.0.1:{port} --mode {mode}"),
        )?;
    }
    Ok(())
}

#[test]
fn a_daemon_whose_file_has_a_service_in_fullnat_does_not_start() -> Result<()> {
    needs_old_kernel!();
    let lab = alone()?;
    lab.balancer.configure(BY_DEFAULT)?;
    let output = Second::beside(&lab.balancer).run(&lab.balancer, &[], &[])?;
    assert_eq!(output.code, Some(REFUSED), "{}", output.stderr);
    for said in [
        "lb.toml:3:1: error: service web: mode fullnat, the default,",
        LACKS,
        REMEDY,
    ] {
        ensure!(output.stderr.contains(said), "{said} is not in: {}", output.stderr);
    }
    Ok(())
}
