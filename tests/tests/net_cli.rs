//! The life of a service through the command line, and what a real daemon says of itself.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use lb_lab::{Balancer, CliOutput, Lab, Mode, Plan, program};
use lb_tests::net::refused::one_line;
use lb_tests::net::run::{self, Second, changes, does, revision};
use lb_tests::net::{PATIENCE, ask, fields, look};
use lb_tests::{needs_flow_table, needs_lab};
use serde_json::Value;

const METRICS_PORT: u16 = 9747;

/// A configuration that says all by itself: where to attach, where metrics are, and a service of one backend.
fn config(backend: &str) -> String {
    let mode = Mode::usual().as_str();
    format!(
        "version = 1\n\n[node]\nname = \"balancer\"\ninterfaces = [\"eth0\"]\n\n\
         [metrics]\nlisten = \"127.0.0.1:{METRICS_PORT}\"\n\n\
         [[service]]\nname = \"web\"\naddress = \"10.9.0.1\"\nport = 80\nmode = \"{mode}\"\ncheck = {{ type = \"none\" }}\n\n\
         [[service.backend]]\nname = \"server-1\"\naddress = \"{backend}\"\nport = 8080\n"
    )
}

/// A balancer alone, with a daemon that has no service.
fn alone() -> Result<Lab> {
    let mut lab = Plan::for_mode(Mode::usual()).servers(0).without_programs().build()?;
    lab.balancer.start()?;
    Ok(lab)
}

/// A balancer alone, whose daemon is started with [`config`].
fn configured() -> Result<Lab> {
    let mut lab = Plan::for_mode(Mode::usual()).servers(0).without_programs().build()?;
    lab.balancer.start_as_configured(&config("10.1.0.11"))?;
    Ok(lab)
}

/// That what `lb show` says has these values.
fn shows(balancer: &Balancer, target: &str, values: &[(&str, Value)]) -> Result<()> {
    let shown = look::json(balancer, &["show", target])?;
    for (field, value) in values {
        ensure!(shown[*field] == *value, "{target}: {field} is not {value}: {shown}");
    }
    Ok(())
}

#[test]
fn the_life_of_a_service() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    let lab = alone()?;
    let balancer = &lab.balancer;
    changes(balancer, "service add web --vip 10.9.0.1:80 --check none")?;
    shows(balancer, "web", &[("mode", "fullnat".into()), ("state", "down".into())])?;
    changes(balancer, "backend add web/web-1 10.1.0.11:8080")?;
    changes(balancer, "backend add web 10.1.0.12 --weight 50")?;
    assert_eq!(does(balancer, "show web -o name")?, "web/web-1\nweb/10.1.0.12\n");
    // The port is the service's where none is given; a backend has its address for a name, with or without the port.
    let added = [("address", "10.1.0.12:80".into()), ("weight", 50.into())];
    shows(balancer, "web/10.1.0.12:80", &added)?;

    changes(
        balancer,
        "service set web --mode l2 --vip 10.9.0.2:8080 --table-size 251",
    )?;
    shows(
        balancer,
        "10.9.0.2:8080",
        &[
            ("name", "web".into()),
            ("mode", "l2".into()),
            ("vip", "10.9.0.2:8080/tcp".into()),
            ("table_size", 251.into()),
        ],
    )?;
    changes(balancer, "service set web --mode fullnat")?;
    changes(
        balancer,
        "backend set web/web-1 --address 10.1.0.21:81 --weight 7 --priority 1",
    )?;
    shows(
        balancer,
        "web/web-1",
        &[
            ("address", "10.1.0.21:81".into()),
            ("configured_weight", 7.into()),
            ("priority", 1.into()),
        ],
    )?;
    changes(balancer, "backend remove web/10.1.0.12")?;
    assert_eq!(does(balancer, "show web -o name")?, "web/web-1\n");
    changes(balancer, "service remove 10.9.0.2:8080")?;
    assert_eq!(does(balancer, "list -o name")?, "");
    assert_eq!(look::number(balancer, &["status"], "/slots_used")?, 0);
    Ok(())
}

#[test]
fn what_is_set_by_hand_stays() -> Result<()> {
    needs_lab!();
    let mut lab = configured()?;
    changes(&lab.balancer, "backend add web/server-2 10.1.0.12:8080")?;
    let saved = lab.balancer.lb_ok(&["save"])?;
    changes(&lab.balancer, "maint web/server-1")?;
    changes(&lab.balancer, "weight web/server-2 30%")?;
    // Set by hand is not configured.
    assert_eq!(lab.balancer.lb_ok(&["save"])?, saved);

    let in_maintenance = |balancer: &Balancer| {
        shows(
            balancer,
            "web/server-1",
            &[("state", "maint".into()), ("slots", 0.into())],
        )?;
        let weights = [("weight", 30.into()), ("configured_weight", 100.into())];
        shows(balancer, "web/server-2", &weights)?;
        for backend in ["web/server-1", "web/server-2"] {
            let shown = look::json(balancer, &["show", backend])?;
            ensure!(shown["set_by"]["who"] == "root", "{shown}");
            ensure!(shown["set_by"]["at"].as_u64().is_some_and(|at| at > 0), "{shown}");
        }
        Ok(())
    };
    in_maintenance(&lab.balancer)?;
    lab.balancer.stop()?;
    lab.balancer.restart()?;
    in_maintenance(&lab.balancer).context("after a restart")?;
    lab.balancer.kill9()?;
    lab.balancer.restart()?;
    in_maintenance(&lab.balancer).context("after a crash")?;
    let file = run::file(&lab.balancer, "saved.toml", &format!("{saved}priority = 1\n"))?;
    changes(&lab.balancer, &format!("apply {file}"))?;
    in_maintenance(&lab.balancer).context("after lb apply")?;

    changes(&lab.balancer, "ready web/server-1")?;
    changes(&lab.balancer, "weight web/server-2 100%")?;
    shows(&lab.balancer, "web/server-1", &[("state", "ready".into())])?;
    shows(&lab.balancer, "web/server-2", &[("weight", 100.into())])
}

#[test]
fn what_is_saved_can_be_applied() -> Result<()> {
    needs_lab!();
    let lab = configured()?;
    let balancer = &lab.balancer;
    changes(
        balancer,
        "service add dns --vip 10.9.0.3:53/udp --mode l2 --check tcp,port=53",
    )?;
    changes(
        balancer,
        "backend add dns 10.1.0.31 --next-hop 02:00:00:00:00:09 --weight 0",
    )?;
    let (saved, as_json) = (balancer.lb_ok(&["save"])?, balancer.lb_ok(&["save", "-o", "json"])?);
    let toml = run::file(balancer, "saved.toml", &saved)?;
    let json = run::file(balancer, "saved.json", &as_json)?;
    let nothing = run::file(balancer, "nothing.toml", "version = 1\n")?;
    for file in [&toml, &json] {
        changes(balancer, &format!("apply {nothing}"))?;
        assert_eq!(does(balancer, "list -o name")?, "");
        assert_eq!(
            look::json(balancer, &["status"])?["interfaces"],
            Value::Array(Vec::new())
        );
        changes(balancer, &format!("apply {file}"))?;
        assert_eq!(balancer.lb_ok(&["save"])?, saved, "{file}");
        assert_eq!(does(balancer, "list -o name")?, "web\ndns\n");
        let said = does(balancer, &format!("apply {file}"))?;
        ensure!(said.contains("unchanged"), "{file}: {said}");
    }
    let status = look::json(balancer, &["status"])?;
    assert_eq!(status["interfaces"][0]["attached"], "native", "{status}");
    let said = does(balancer, &format!("config check {toml}"))?;
    ensure!(said.contains("ok"), "{said}");
    Ok(())
}

#[test]
fn reads_answer_in_json_and_in_names() -> Result<()> {
    needs_lab!();
    let lab = configured()?;
    let balancer = &lab.balancer;
    let list = look::json(balancer, &["list"])?;
    let service = look::json(balancer, &["show", "web"])?;
    let backend = look::json(balancer, &["show", "web/server-1"])?;
    for service in [&list[0], &service] {
        fields::has(service, fields::OF_SERVICE)?;
        fields::has(&service["counters"], fields::COUNTERS)?;
        fields::has(&service["backends"][0], fields::OF_BACKEND)?;
    }
    fields::has(&backend, fields::OF_BACKEND)?;
    fields::has(&backend["counters"], fields::COUNTERS)?;
    fields::has(&look::json(balancer, &["status"])?, fields::OF_STATUS)?;
    fields::has(&look::json(balancer, &["interfaces"])?[0], fields::OF_INTERFACE)?;
    fields::has(&look::json(balancer, &["drops"])?[0], "reason verdict packets meaning")?;

    for (command, names) in [
        ("list", "web\n"),
        ("show web", "web/server-1\n"),
        ("status", "balancer\n"),
        ("interfaces", "lo\neth0\n"),
    ] {
        assert_eq!(does(balancer, &format!("{command} -o name"))?, names, "{command}");
        let lines = does(balancer, &format!("{command} -o jsonl"))?;
        for line in lines.lines() {
            serde_json::from_str::<Value>(line).with_context(|| format!("{command} -o jsonl: {line}"))?;
        }
        let table = does(balancer, command)?;
        ensure!(
            table.lines().count() > 1 && !table.contains('\x1b'),
            "{command}: {table}"
        );
    }
    let drops = does(balancer, "drops -o name")?;
    ensure!(drops.lines().any(|reason| reason == "no_backend"), "{drops}");
    Ok(())
}

#[test]
fn metrics_and_health_over_http() -> Result<()> {
    needs_lab!();
    let lab = configured()?;
    let balancer = &lab.balancer;
    let socket = balancer.config().with_file_name("lb.sock");
    let port = SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS_PORT));
    let revision = revision(balancer)?;
    for (path, parts) in [
        ("/healthz", vec!["ok".to_owned()]),
        (
            "/metrics",
            vec![
                "lb_build_info{".to_owned(),
                format!("\nlb_revision {revision}\n"),
                "\nlb_config_last_reload_successful 1\n".to_owned(),
                "\nlb_backend_up{service=\"web\",backend=\"server-1\"} ".to_owned(),
                "\nlb_backend_weight{service=\"web\",backend=\"server-1\"} 100\n".to_owned(),
                "\nlb_service_packets_total{service=\"web\"} 0\n".to_owned(),
                "\nlb_dropped_packets_total{reason=\"no_backend\"} 0\n".to_owned(),
                "\nlb_flow_table_capacity ".to_owned(),
            ],
        ),
    ] {
        for body in [
            ask::over_unix(&socket, path)?,
            ask::over_tcp(balancer.netns(), port, path)?,
        ] {
            for part in &parts {
                ensure!(body.contains(part), "{path} has no `{part}`: {body}");
            }
        }
    }
    // What can change something is not behind a port.
    ensure!(ask::over_tcp(balancer.netns(), port, "/v1/services").is_err());
    let listed = look::json(balancer, &["list"])?;
    let services = ask::over_unix(&socket, "/v1/services")?;
    assert_eq!(serde_json::from_str::<Value>(&services)?, listed);
    if let Some(curl) = program::find("curl") {
        let mut command = balancer.netns().command(curl)?;
        command.args(["--silent", "--fail", "--unix-socket"]).arg(&socket);
        let answer = program::output(command.arg("http://lb/v1/services"))?;
        assert_eq!(serde_json::from_str::<Value>(&answer)?, listed);
    }
    Ok(())
}

fn config_is_good(balancer: &Balancer) -> Result<bool> {
    let status = look::json(balancer, &["status"])?;
    let is_good = status["config_last_load_successful"].as_bool();
    is_good.with_context(|| format!("config_last_load_successful is no bool: {status}"))
}

/// Writes a configuration file, has it read, and waits for what the log says of it.
fn reload(lab: &mut Lab, config: &str, logged: &str) -> Result<String> {
    let from = lab.balancer.log().len();
    lab.balancer.configure(config)?;
    lab.balancer.hang_up()?;
    look::wait_for_line(&lab.balancer, from, logged)
}

#[test]
fn a_changed_file_is_read_at_sighup() -> Result<()> {
    needs_lab!();
    let mut lab = configured()?;
    changes(&lab.balancer, "maint web/server-1")?;
    let before = revision(&lab.balancer)?;
    reload(&mut lab, &config("10.1.0.12"), "by SIGHUP")?;
    assert_eq!(revision(&lab.balancer)?, before + 1);
    let read = [("address", "10.1.0.12:8080".into()), ("state", "maint".into())];
    shows(&lab.balancer, "web/server-1", &read)?;
    assert!(config_is_good(&lab.balancer)?);

    let saved = lab.balancer.lb_ok(&["save"])?;
    let bad = config("10.1.0.13").replace("[metrics]", "[metrisc]");
    reload(&mut lab, &bad, "goes on")?;
    assert!(!config_is_good(&lab.balancer)?);
    assert_eq!(revision(&lab.balancer)?, before + 1);
    assert_eq!(lab.balancer.lb_ok(&["save"])?, saved);
    let socket = lab.balancer.config().with_file_name("lb.sock");
    let metrics = ask::over_unix(&socket, "/metrics")?;
    ensure!(metrics.contains("\nlb_config_last_reload_successful 0\n"), "{metrics}");
    let log = lab.balancer.log();
    ensure!(
        log.contains("lb.toml:7:2: error: ") && log.contains("did you mean \"metrics\"?"),
        "{log}"
    );
    // A restart with the bad file goes on with what is stored.
    lab.balancer.stop()?;
    lab.balancer.restart()?;
    assert!(!config_is_good(&lab.balancer)?);
    assert_eq!(lab.balancer.lb_ok(&["save"])?, saved);

    reload(&mut lab, &config("10.1.0.13"), "by SIGHUP")?;
    assert!(config_is_good(&lab.balancer)?);
    shows(&lab.balancer, "web/server-1", &[("address", "10.1.0.13:8080".into())])
}

#[test]
fn a_file_does_not_drop_what_was_edited() -> Result<()> {
    needs_lab!();
    let mut lab = configured()?;
    changes(&lab.balancer, "backend add web/server-2 10.1.0.12:8080")?;
    let before = lab.balancer.lb_ok(&["save"])?;
    let said = reload(&mut lab, &config("10.1.0.21"), "lacks changes")?;
    ensure!(said.contains("lb save") && said.contains("lb apply"), "{said}");
    assert_eq!(lab.balancer.lb_ok(&["save"])?, before);
    Ok(())
}

#[test]
fn a_file_names_the_interfaces_to_attach_to() -> Result<()> {
    needs_lab!();
    let mut lab = Plan::for_mode(Mode::usual()).servers(1).build()?;
    let server = lab.servers[0].address().to_string();
    lab.balancer.start_as_configured(&config(&server))?;
    lab.wait_until_all_serve(PATIENCE)?;
    let attached = look::json(&lab.balancer, &["status"])?;
    assert_eq!(attached["interfaces"][0]["name"], "eth0", "{attached}");
    assert_eq!(attached["data_plane"], "created");

    lab.balancer.stop()?;
    lab.client.get(&lab.url("/")).context("while there is no daemon")?;
    lab.balancer.restart()?;
    lab.client.get(&lab.url("/")).context("after a restart")?;
    let attached = look::json(&lab.balancer, &["status"])?;
    assert_eq!(attached["data_plane"], "adopted");

    // What the file no longer names is detached from.
    let none = config(&server).replace("[\"eth0\"]", "[]");
    reload(&mut lab, &none, "by SIGHUP")?;
    let attached = look::json(&lab.balancer, &["status"])?;
    assert_eq!(attached["interfaces"], Value::Array(Vec::new()));
    Ok(())
}

#[test]
fn a_second_daemon_on_the_same_places_is_refused() -> Result<()> {
    needs_lab!();
    let lab = configured()?;
    let balancer = &lab.balancer;
    let places = balancer.environment().map(|(_, place)| place);
    let [socket, state_dir, pin_dir] = places;
    let daemon = balancer.daemon_id().context("the daemon runs")?.to_string();
    let before = (balancer.lb_ok(&["save"])?, revision(balancer)?);

    let mut second = Second::beside(balancer);
    second.state_dir.clone_from(&state_dir);
    let output = second.run(balancer, &[], &[])?;
    assert_eq!(output.code, Some(1));
    let shown = state_dir.to_string_lossy();
    one_line(&output.stderr, &[&shown, &format!("process {daemon}"), "--state-dir"]).context(output.stderr)?;

    let mut second = Second::beside(balancer);
    second.socket.clone_from(&socket);
    let output = second.run(balancer, &[], &[])?;
    assert_eq!(output.code, Some(1));
    let shown = socket.to_string_lossy();
    one_line(last(&output), &["another lb daemon", &shown, "--socket"]).context(output.stderr.clone())?;

    let mut second = Second::beside(balancer);
    second.pin_dir.clone_from(&pin_dir);
    let output = second.run(balancer, &[], &[])?;
    assert_eq!(output.code, Some(1));
    let shown = pin_dir.to_string_lossy();
    one_line(last(&output), &["another lb daemon", &shown, "--pin-dir"]).context(output.stderr.clone())?;

    assert_eq!((balancer.lb_ok(&["save"])?, revision(balancer)?), before);
    assert_eq!(look::number(balancer, &["status"], "/services")?, 1);
    Ok(())
}

/// What a daemon that does not start says last; the lines before are its log.
fn last(output: &CliOutput) -> &str {
    output.stderr.lines().last().unwrap_or_default()
}
