//! `lb trace`: what it says is what happens, and nothing happens by it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use lb_lab::client::Held;
use lb_lab::{Balancer, Family, Lab, Mode, Plan};
use lb_tests::net::refused::Refused;
use lb_tests::net::run::does;
use lb_tests::net::{PATIENCE, STEADY_CHECK, fields, kernel, look, run};
use lb_tests::{needs_flow_table, needs_lab};
use lb_userspace::edge::dataplane::testing::set_abi_version;
use serde_json::Value;

/// Clients' ports, none of which the kernel gives to a client by itself.
const PORTS: std::ops::Range<u16> = 20_001..20_005;

/// Skips the test it stands in where no packet can be traced.
macro_rules! needs_trace {
    () => {
        needs_lab!();
        lb_lab::needs!(
            runs_by_interface(),
            "needs test runs with an interface (Linux 5.15)"
        );
    };
}

fn runs_by_interface() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(5), Some(15))
}

/// Maps that are read as a whole in no time.
const SMALL: &str = "version = 1\n\n[node]\nname = \"balancer\"\n\
    limits = { services = 8, backends = 16, slots = 1024, flows = 1024, sources = 1 }\n\n\
    [defaults]\ntable_size = 251\n";

fn standing(plan: Plan) -> Result<Lab> {
    let mut lab = plan.build()?;
    lab.balancer.start()?;
    served(lab)
}

/// The same lab, whose balancer runs, with a service that all servers serve.
fn served(lab: Lab) -> Result<Lab> {
    lab.serve("web", STEADY_CHECK)?;
    look::wait_until_all_take_flows(&lab.balancer, "web")?;
    lab.wait_until_all_serve(PATIENCE)?;
    Ok(lab)
}

/// The client with this port.
fn client(lab: &Lab, port: u16) -> SocketAddr {
    let family = if lab.vip().is_ipv6() { Family::V6 } else { Family::V4 };
    SocketAddr::new(family.of(lab.client.address()), port)
}

fn trace(balancer: &Balancer, from: SocketAddr, to: SocketAddr, options: &[&str]) -> Result<Value> {
    let (from, to) = (from.to_string(), to.to_string());
    let traced = look::json(balancer, &[&["trace", &from, &to], options].concat())?;
    fields::has(&traced, fields::OF_TRACE)?;
    Ok(traced)
}

/// Connects from this port: the connection, and the server that it goes to.
fn connect(lab: &Lab, port: u16) -> Result<(Held, String)> {
    let mut held = lab.client.hold_from(port, lab.vip())?;
    let server = held.exchange().pop().context("no connection")??;
    Ok((held, server))
}

/// That a trace says all of this.
fn says(traced: &Value, values: &[(&str, Value)]) -> Result<()> {
    for (field, value) in values {
        ensure!(traced[*field] == *value, "{field} is not {value}: {traced:#}");
    }
    Ok(())
}

/// What is in the packet afterwards, by what it is.
fn rewritten(traced: &Value) -> Result<BTreeMap<&str, &str>> {
    let changes = traced["rewritten"].as_array().context("no list")?;
    changes
        .iter()
        .map(|change| Some((change["what"].as_str()?, change["after"].as_str()?)))
        .collect::<Option<_>>()
        .with_context(|| format!("{traced:#}"))
}

#[test]
fn a_connection_goes_where_its_trace_says() -> Result<()> {
    needs_trace!();
    needs_flow_table!();
    connections_go_where_their_traces_say(Family::V4, Family::V4)
}

#[test]
fn a_connection_goes_where_its_trace_says_over_ipv6() -> Result<()> {
    needs_trace!();
    needs_flow_table!();
    connections_go_where_their_traces_say(Family::V6, Family::V6)
}

#[test]
fn a_connection_goes_where_its_trace_says_from_ipv6_to_ipv4() -> Result<()> {
    needs_trace!();
    needs_flow_table!();
    connections_go_where_their_traces_say(Family::V6, Family::V4)
}

fn connections_go_where_their_traces_say(service: Family, backends: Family) -> Result<()> {
    let lab = standing(Plan::for_mode(Mode::Fullnat).families(service, backends))?;
    let (balancer, vip) = (&lab.balancer, lab.vip());
    let mut used = BTreeSet::new();
    for port in PORTS {
        let client = client(&lab, port);
        let traced = trace(balancer, client, vip, &[])?;
        let new = [
            ("verdict", "tx".into()),
            ("service", "web".into()),
            ("mode", "fullnat".into()),
            ("flow", "new".into()),
            ("way", "to_backend".into()),
            ("backend_health", "up".into()),
            ("backend_state", "ready".into()),
            ("names_from", "daemon".into()),
            ("slot_backend", traced["backend"].clone()),
        ];
        says(&traced, &new)?;
        let (_open, server) = connect(&lab, port)?;
        ensure!(traced["backend"] == server.as_str(), "{server} answered: {traced:#}");

        // The flow has the port that was free before it began.
        let known = trace(balancer, client, vip, &["--flags", "ack"])?;
        let still = [
            ("flow", "known".into()),
            ("slot", Value::Null),
            ("backend", server.as_str().into()),
        ];
        says(&known, &still)?;
        let (before, after) = (rewritten(&traced)?, rewritten(&known)?);
        ensure!(before == after, "{before:?} became {after:?}");

        let (backend, held) = (after["destination"].parse()?, after["source"].parse()?);
        let back = trace(balancer, backend, held, &["--flags", "ack"])?;
        let to_client = [
            ("way", "to_client".into()),
            ("service", "web".into()),
            ("backend", server.as_str().into()),
            ("egress", "eth0".into()),
        ];
        says(&back, &to_client)?;
        let ends = rewritten(&back)?;
        let wanted = (vip.to_string(), client.to_string());
        ensure!(
            (ends["source"], ends["destination"]) == (&wanted.0, &wanted.1),
            "{back:#}"
        );
        used.insert(server);
    }
    ensure!(used.len() > 1, "all went to {used:?}");
    Ok(())
}

#[test]
fn both_ways_through_two_arms() -> Result<()> {
    needs_trace!();
    let lab = standing(Plan::for_mode(Mode::Nat))?;
    let (balancer, vip) = (&lab.balancer, lab.vip());
    for port in PORTS {
        let client = client(&lab, port);
        let traced = trace(balancer, client, vip, &[])?;
        let there = [
            ("verdict", "redirect".into()),
            ("interface", "eth0".into()),
            ("egress", "eth1".into()),
            ("mode", "nat".into()),
            ("flow", Value::Null),
        ];
        says(&traced, &there)?;
        let (_open, server) = connect(&lab, port)?;
        ensure!(traced["backend"] == server.as_str(), "{server} answered: {traced:#}");

        let backend = rewritten(&traced)?["destination"].parse()?;
        let back = trace(balancer, backend, client, &["--flags", "syn,ack"])?;
        let here = [
            ("verdict", "redirect".into()),
            ("interface", "eth1".into()),
            ("egress", "eth0".into()),
            ("way", "to_client".into()),
            ("backend", server.as_str().into()),
        ];
        says(&back, &here)?;
        ensure!(rewritten(&back)?["source"] == vip.to_string(), "{back:#}");
    }
    // The same comes in by the other arm.
    let other = trace(balancer, client(&lab, 1), vip, &["--interface", "eth1"])?;
    says(&other, &[("interface", "eth1".into()), ("verdict", "tx".into())])
}

#[test]
fn a_tunnel_and_what_does_not_fit_in() -> Result<()> {
    needs_trace!();
    let lab = standing(Plan::for_mode(Mode::Ipip).without_room())?;
    let (client, vip) = (client(&lab, PORTS.start), lab.vip());
    let traced = trace(&lab.balancer, client, vip, &[])?;
    let (_open, server) = connect(&lab, client.port())?;
    says(
        &traced,
        &[
            ("backend", server.as_str().into()),
            ("length_in", 54.into()),
            ("length_out", 74.into()),
        ],
    )?;
    let backend = lab.servers.iter().find(|one| one.name() == server).context("who?")?;
    let outer = format!("{} > {}", lab.balancer_address(), backend.address());
    ensure!(rewritten(&traced)?["outer_header"] == outer, "{traced:#}");

    let fits = trace(&lab.balancer, client, vip, &["--length", "1480"])?;
    says(&fits, &[("backend", server.as_str().into()), ("reason", Value::Null)])?;
    let larger = trace(&lab.balancer, client, vip, &["--length", "1481"])?;
    let told = [
        ("reason", "too_big_answered".into()),
        ("told_mtu_bytes", 1480.into()),
        ("backend", Value::Null),
        ("slot_backend", server.into()),
        ("rewritten", Value::Array(Vec::new())),
    ];
    says(&larger, &told)
}

/// What is in every map that is pinned, as another program sees it.
fn maps(balancer: &Balancer) -> Result<BTreeMap<String, String>> {
    let pins = kernel::pins(balancer.pins())?.into_iter();
    let name = |pin: &std::path::Path| pin.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let maps = pins.filter(|pin| !name(pin).starts_with("link-"));
    maps.map(|pin| Ok((name(&pin), kernel::dump(&pin)?))).collect()
}

#[test]
fn nothing_changes_and_no_daemon_is_needed() -> Result<()> {
    needs_trace!();
    needs_flow_table!();
    lb_lab::needs!(kernel::has_bpftool(), "needs bpftool");
    let mut lab = Plan::for_mode(Mode::Fullnat).build()?;
    lab.balancer.start_with(SMALL)?;
    let mut lab = served(lab)?;
    let (client, vip) = (client(&lab, PORTS.start), lab.vip());
    let _open = connect(&lab, client.port())?;
    let asked = trace(&lab.balancer, self::client(&lab, PORTS.end), vip, &[])?;
    // From here on nobody but a trace could change a map.
    lab.balancer.kill9()?;
    run::ip_in(lab.fabric(), &["link", "set", "balancer", "down"])?;
    let before = maps(&lab.balancer)?;
    ensure!(
        before.len() > 20 && before["PORT_QUEUES"].contains("head"),
        "{:?}",
        before.keys()
    );

    let known = trace(&lab.balancer, client, vip, &["--flags", "ack"])?;
    says(
        &known,
        &[
            ("flow", "known".into()),
            ("names_from", "state".into()),
            ("service", "web".into()),
        ],
    )?;
    let new = trace(&lab.balancer, self::client(&lab, PORTS.end), vip, &[])?;
    says(&new, &[("flow", "new".into()), ("backend_health", Value::Null)])?;
    for field in ["verdict", "backend", "slot", "rewritten", "egress"] {
        ensure!(new[field] == asked[field], "{field}: {asked:#} became {new:#}");
    }
    trace(&lab.balancer, client, lab.vip_at(81), &[])?;
    trace(&lab.balancer, client, vip, &["--length", "3000"])?;
    let nameless = trace(
        &lab.balancer,
        client,
        vip,
        &["--state-dir", "/nonexistent", "--flags", "rst"],
    )?;
    let by_address = [
        ("names_from", "nobody".into()),
        ("service", format!("{vip}/tcp").into()),
        ("backend", rewritten(&known)?["destination"].into()),
    ];
    says(&nameless, &by_address)?;

    let after = maps(&lab.balancer)?;
    for (name, content) in &before {
        ensure!(after.get(name) == Some(content), "{name} changed");
    }
    Ok(())
}

#[test]
fn who_is_not_served_is_told_why() -> Result<()> {
    needs_trace!();
    let mut lab = Plan::for_mode(Mode::usual()).servers(0).without_programs().build()?;
    lab.balancer.start()?;
    let balancer = &lab.balancer;
    does(balancer, "service add web --vip 10.9.0.1:80 --check none")?;
    let said = |command: &str, words: &[&str]| -> Result<()> {
        let said = does(balancer, command)?;
        let missing = words.iter().find(|word| !said.contains(**word));
        ensure!(missing.is_none(), "{command}: no {missing:?} in\n{said}");
        Ok(())
    };
    said(
        "trace 10.1.0.2:1234 10.9.0.2:80",
        &[
            "none has the address 10.9.0.2",
            "no_service",
            "pass: passed to the kernel",
        ],
    )?;
    for to in ["10.9.0.1:81", "10.9.0.1:80/udp"] {
        let why = "of 10.9.0.1 there are 10.9.0.1:80/tcp";
        said(&format!("trace 10.1.0.2:1234 {to}"), &[why, "no_service"])?;
    }
    let nobody = &[
        "web, 10.9.0.1:80/tcp, mode fullnat",
        "nobody's",
        "drop: dropped, no_backend: The service",
    ];
    said("trace 10.1.0.2:1234 10.9.0.1:80", nobody)?;
    assert_eq!(does(balancer, "trace 10.1.0.2:1234 10.9.0.1:80 -o name")?, "web\n");
    Ok(())
}

#[test]
fn what_cannot_be_traced_is_refused() -> Result<()> {
    needs_trace!();
    let mut lab = Plan::for_mode(Mode::usual()).servers(0).without_programs().build()?;
    lab.balancer.start()?;
    let refused = |words: &[&str], says: &[&str]| {
        let words = &[&["trace"], words].concat();
        Refused { words, code: 1, says }.check_output(&lab.balancer.lb(words)?)
    };
    let (from, to) = ("10.1.0.2:1234", "10.9.0.1:80");
    refused(
        &[from, to, "--interface", "lo"],
        &["lo", "not attached", "give one of eth0"],
    )?;
    let nowhere = "/sys/fs/bpf/lb-nowhere";
    let nothing = &[nowhere, "no data plane is pinned", "--pin-dir"];
    refused(&[from, to, "--pin-dir", nowhere], nothing)?;
    ensure!(!std::path::Path::new(nowhere).exists());

    let pins = lab.balancer.pins();
    set_abi_version(pins, 1)?;
    refused(&[from, to], &["ABI version 1", "start the lb that made it"])?;
    set_abi_version(pins, lb_common::abi::ABI_VERSION)?;
    let mut elsewhere = lab.fabric().command(lb_lab::program::lb()?)?;
    elsewhere.args(["trace", from, to, "--pin-dir"]).arg(pins);
    let not_here = Refused {
        words: &["trace"],
        code: 1,
        says: &["no interface of this network namespace", "nsenter"],
    };
    not_here.check_output(&run::to_its_end(elsewhere)?)?;
    does(&lab.balancer, "detach eth0")?;
    refused(&[from, to], &["attached to no interface", "lb attach"])
}
