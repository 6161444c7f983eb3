//! What a real daemon refuses: one line that names the remedy, the code of its kind, and nothing changes.

use anyhow::{Context as _, Result, ensure};
use lb_lab::{Balancer, Lab, Mode, Plan, program};
use lb_tests::needs_lab;
use lb_tests::net::look;
use lb_tests::net::refused::{Refused, one_line, state};
use lb_tests::net::run::{self, Second};

const REFUSED: i32 = 1;
const WRONG_USAGE: i32 = 2;
const NOT_REACHABLE: i32 = 3;

/// A balancer alone, with a service of one backend.
fn standing() -> Result<Lab> {
    let mut lab = Plan::for_mode(Mode::Fullnat).servers(0).without_programs().build()?;
    lab.balancer.start()?;
    for command in [
        "service add web --vip 10.9.0.1:80 --mode nat --check none",
        "backend add web/web-1 10.1.0.11:8080",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        lab.balancer.lb_ok(&words)?;
    }
    Ok(lab)
}

fn refuses(balancer: &Balancer, code: i32, command: &str, says: &[&str]) -> Result<()> {
    let words: &[&str] = &command.split(' ').collect::<Vec<_>>();
    Refused { words, code, says }.check(balancer)
}

#[test]
fn values_that_cannot_be() -> Result<()> {
    needs_lab!();
    let lab = standing()?;
    let cases: [(&str, &[&str]); 6] = [
        ("backend add web 10.0.0.300:80", &["10.0.0.300", "255", "ADDR[:PORT]"]),
        ("backend add web 10.1.0.13:0", &["port 0", "1 to 65535"]),
        ("service add new --vip 10.9.0.2:0", &["port 0", "1 to 65535"]),
        ("backend add web 10.1.0.13 --weight -1", &["-1", "negative", "give 0"]),
        ("backend set web/web-1 --weight -1", &["-1", "negative", "give 0"]),
        ("weight web/web-1 -5", &["-5", "negative", "give 0"]),
    ];
    for (command, says) in cases {
        refuses(&lab.balancer, WRONG_USAGE, command, says)?;
    }
    Ok(())
}

#[test]
fn names_that_are_unknown_or_taken() -> Result<()> {
    needs_lab!();
    let lab = standing()?;
    let no_service: &[&str] = &["no service \"wbe\"", "web"];
    for command in [
        "show wbe",
        "backend add wbe 10.1.0.13:80",
        "service set wbe --mode nat",
        "service remove wbe",
        "maint wbe/web-1",
    ] {
        refuses(&lab.balancer, REFUSED, command, no_service)?;
    }
    let cases: [(&str, &[&str]); 6] = [
        ("ready web/web-9", &["no backend \"web-9\"", "web-1"]),
        (
            "service add web --vip 10.9.0.2:80",
            &["service web is there already", "lb service set web"],
        ),
        (
            "service add new --vip 10.9.0.1:80 --mode nat",
            &["10.9.0.1:80/tcp", "taken by service web", "another port"],
        ),
        (
            "backend add web/web-1 10.1.0.12:8080",
            &["web/web-1 is there already", "lb backend set web/web-1"],
        ),
        (
            "backend add web/web-2 10.1.0.11:8080",
            &["10.1.0.11:8080", "web-1", "remove one of them"],
        ),
        ("detach eth9", &["not attached to \"eth9\"", "eth0"]),
    ];
    for (command, says) in cases {
        refuses(&lab.balancer, REFUSED, command, says)?;
    }
    Ok(())
}

#[test]
fn a_file_with_an_unknown_key_is_shown_at_its_place() -> Result<()> {
    needs_lab!();
    let lab = standing()?;
    let saved = lab.balancer.lb_ok(&["save"])?;
    // Half of it is right: a file is applied as a whole or not at all.
    let wrong = saved.replace("[service.check]", "moed = \"nat\"\n\n[service.check]");
    let wrong = wrong.replace("web-1", "web-7");
    let line = wrong.lines().position(|line| line.starts_with("moed"));
    let line = line.context("the file has a service.check")? + 1;
    let file = run::file(&lab.balancer, "bad.toml", &wrong)?;

    let before = state(&lab.balancer)?;
    for words in [
        ["apply", &file].as_slice(),
        &["apply", &file, "--dry-run"],
        &["config", "check", &file],
    ] {
        let output = lab.balancer.lb(words)?;
        assert_eq!((output.code, output.stdout.as_str()), (Some(REFUSED), ""), "{words:?}");
        let lines: Vec<&str> = output.stderr.lines().collect();
        ensure!(lines.len() == 4, "{words:?}: {}", output.stderr);
        let place = format!("{file}:{line}:1: error: ");
        ensure!(lines[0].starts_with(&place), "{place} is not in: {}", lines[0]);
        ensure!(lines[0].contains("unknown key \"moed\""), "{}", lines[0]);
        ensure!(lines[1].ends_with("| moed = \"nat\""), "{}", lines[1]);
        ensure!(lines[2].ends_with("| ^^^^"), "{}", lines[2]);
        ensure!(lines[3].contains("did you mean \"mode\"?"), "{}", lines[3]);
    }
    assert_eq!(state(&lab.balancer)?, before);
    Ok(())
}

#[test]
fn files_that_say_nothing() -> Result<()> {
    needs_lab!();
    let lab = standing()?;
    let empty = run::file(&lab.balancer, "empty.toml", "")?;
    let words = &["apply", empty.as_str()];
    let says = &["is empty", "nothing was changed", "version = 1"];
    let code = REFUSED;
    Refused { words, code, says }.check(&lab.balancer)?;
    refuses(
        &lab.balancer,
        REFUSED,
        "apply /nonexistent.toml",
        &["/nonexistent.toml", "No such file"],
    )
}

#[test]
fn a_socket_without_a_daemon() -> Result<()> {
    needs_lab!();
    let mut lab = standing()?;
    refuses(
        &lab.balancer,
        NOT_REACHABLE,
        "--socket /nonexistent/lb.sock list",
        &["/nonexistent/lb.sock", "lb daemon", "--socket"],
    )?;

    let before = state(&lab.balancer)?;
    // SIGTERM takes the socket's file along, SIGKILL leaves it.
    for is_killed in [false, true] {
        match is_killed {
            false => lab.balancer.stop()?,
            true => lab.balancer.kill9()?,
        }
        for words in [["status"].as_slice(), &["service", "remove", "web"]] {
            let code = NOT_REACHABLE;
            let says = &["not reachable", "lb.sock", "start it with: lb daemon"];
            Refused { words, code, says }.check_output(&lab.balancer.lb(words)?)?;
        }
        lab.balancer.restart()?;
        assert_eq!(state(&lab.balancer)?, before);
    }
    Ok(())
}

#[test]
fn interfaces_that_cannot_be_attached_to() -> Result<()> {
    needs_lab!();
    let lab = standing()?;
    let ip = |command: &str| run::ip(&lab.balancer, &command.split(' ').collect::<Vec<_>>());
    ip("link add name veth0 type veth peer name veth1")?;
    ip("link add name bridge0 type bridge")?;

    refuses(
        &lab.balancer,
        REFUSED,
        "attach eth9",
        &["eth9", "no such interface", "lb interfaces"],
    )?;

    let mut pass = lab.balancer.netns().command(program::lb()?)?;
    pass.args(["pass", "attach", "veth0"]);
    pass.env("LB_PIN_DIR", lab.balancer.pins().with_file_name("balancer-veth0"));
    program::output(&mut pass)?;
    let other = ["another XDP program", "remove it", "xdp off"];
    refuses(&lab.balancer, REFUSED, "attach veth0", &other)?;

    let not_native = ["bridge0", "no native XDP", "--xdp generic"];
    refuses(&lab.balancer, REFUSED, "attach bridge0", &not_native)?;
    refuses(&lab.balancer, REFUSED, "attach bridge0 --xdp native", &not_native)?;

    let interfaces = look::json(&lab.balancer, &["interfaces"])?;
    let interfaces = interfaces.as_array().context("lb interfaces gives no list")?;
    for interface in interfaces {
        let is_ours = interface["name"] == "eth0";
        ensure!(interface["attached"].is_null() != is_ours, "{interface}");
        let is_others = interface["name"] == "veth0";
        ensure!(interface["other_program"].is_null() != is_others, "{interface}");
    }
    // The remedy works.
    lab.balancer.lb_ok(&["attach", "bridge0", "--xdp", "generic"])?;
    Ok(())
}

#[test]
fn a_daemon_told_to_attach_where_it_cannot() -> Result<()> {
    needs_lab!();
    let lab = standing()?;
    let before = state(&lab.balancer)?;
    let output = Second::beside(&lab.balancer).run(&lab.balancer, &[], &["--attach", "eth9"])?;
    assert_eq!(output.code, Some(REFUSED), "{}", output.stderr);
    // The lines before are its log.
    let last = output.stderr.lines().last().unwrap_or_default();
    one_line(last, &["eth9", "no such interface", "lb interfaces"]).context(output.stderr.clone())?;
    assert_eq!(state(&lab.balancer)?, before);
    Ok(())
}

#[test]
fn a_daemon_without_the_capability() -> Result<()> {
    needs_lab!();
    let setpriv = program::find("setpriv");
    lb_lab::needs!(setpriv.is_some(), "needs setpriv of util-linux");
    let lab = standing()?;
    let before = state(&lab.balancer)?;
    // CAP_SYS_ADMIN comprises CAP_BPF.
    let without = ["setpriv", "--bounding-set", "-bpf,-sys_admin"];
    let output = Second::beside(&lab.balancer).run(&lab.balancer, &without, &[])?;
    assert_eq!((output.code, output.stdout.as_str()), (Some(REFUSED), ""));
    one_line(&output.stderr, &["CAP_BPF", "CAP_NET_ADMIN", "setcap", "root"]).context(output.stderr.clone())?;
    assert_eq!(state(&lab.balancer)?, before);
    Ok(())
}

#[test]
fn a_dry_run_changes_nothing() -> Result<()> {
    needs_lab!();
    let lab = standing()?;
    let before = state(&lab.balancer)?;
    let shown = look::json(&lab.balancer, &["show", "web/web-1"])?;
    let file = run::file(&lab.balancer, "none.toml", "version = 1\n")?;
    let apply = format!("apply {file}");
    for (command, plan) in [
        ("service add new --vip 10.9.0.2:80 --mode nat", "+ service new"),
        ("service remove web", "- service web"),
        ("backend add web/web-2 10.1.0.12:80", "+ backend web/web-2"),
        ("maint web/web-1", "ready -> maint"),
        ("weight web/web-1 50%", "web/web-1"),
        ("detach eth0", "- interface eth0"),
        (apply.as_str(), "- service web"),
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--dry-run"]).collect();
        let said = lab.balancer.lb_ok(&words)?;
        ensure!(said.contains(plan), "{words:?}: {said}");
        ensure!(said.contains("nothing was changed"), "{words:?}: {said}");
        assert_eq!(state(&lab.balancer)?, before, "{words:?}");
    }
    let again = look::json(&lab.balancer, &["show", "web/web-1"])?;
    for field in ["state", "weight", "set_by"] {
        assert_eq!(again[field], shown[field], "{field}");
    }
    let attached = look::json(&lab.balancer, &["status"])?;
    assert_eq!(attached["interfaces"][0]["name"], "eth0", "{attached}");
    Ok(())
}

#[test]
fn a_change_made_for_another_revision() -> Result<()> {
    needs_lab!();
    let lab = standing()?;
    let (_, revision) = state(&lab.balancer)?;
    let (old, now) = ((revision - 1).to_string(), revision.to_string());
    let words = &["service", "remove", "web", "--if-revision", old.as_str()];
    let says = &["revision", old.as_str(), now.as_str(), "try again"];
    let code = REFUSED;
    Refused { words, code, says }.check(&lab.balancer)?;
    lab.balancer
        .lb_ok(&["service", "remove", "web", "--if-revision", &now])?;
    assert_eq!(state(&lab.balancer)?.1, revision + 1);
    Ok(())
}

#[test]
fn what_is_so_already_is_left_unchanged() -> Result<()> {
    needs_lab!();
    let lab = standing()?;
    lab.balancer.lb_ok(&["maint", "web/web-1"])?;
    lab.balancer.lb_ok(&["weight", "web/web-1", "30"])?;
    lab.balancer
        .lb_ok(&["backend", "set", "web/web-1", "--priority", "1"])?;
    let before = state(&lab.balancer)?;
    let file = run::file(&lab.balancer, "saved.toml", &before.0)?;
    let apply = format!("apply {file}");
    for command in [
        "maint web/web-1",
        "weight web/web-1 30",
        "backend set web/web-1 --priority 1",
        "service set web --check none",
        "attach eth0",
        apply.as_str(),
    ] {
        let said = lab.balancer.lb_ok(&command.split(' ').collect::<Vec<_>>())?;
        ensure!(said.contains("unchanged"), "{command}: {said}");
        assert_eq!(state(&lab.balancer)?, before, "{command}");
    }
    Ok(())
}
