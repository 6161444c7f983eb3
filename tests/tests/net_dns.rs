//! Real name servers behind an address that real clients ask, over UDP, and over TCP where the answer fits into no datagram.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use lb_lab::Family::{V4, V6};
use lb_lab::process::Process;
use lb_lab::{Lab, Mode, Plan, Server, amount, wait_until};
use lb_tests::net::dns::{self, Dig};
use lb_tests::net::{PATIENCE, look};
use lb_tests::{needs_dns, needs_flow_table, needs_lab};

/// A check of the servers' TCP, which they answer wherever they answer UDP. One that is gone fails it at once.
const CHECK: &str = "tcp,interval=500ms,fast_interval=100ms,timeout=2s,rise=1,fall=3";

/// Who asks at a time while a server is killed.
const ASKERS: usize = 4;

fn queries() -> usize {
    amount(500, 30)
}

#[test]
fn fullnat() -> Result<()> {
    needs_lab!();
    needs_dns!();
    needs_flow_table!();
    all_answer(Plan::for_mode(Mode::Fullnat))
}

#[test]
fn nat() -> Result<()> {
    needs_lab!();
    needs_dns!();
    all_answer(Plan::for_mode(Mode::Nat))
}

#[test]
fn ipip() -> Result<()> {
    needs_lab!();
    needs_dns!();
    all_answer(Plan::for_mode(Mode::Ipip))
}

#[test]
fn fullnat_over_ipv6() -> Result<()> {
    needs_lab!();
    needs_dns!();
    needs_flow_table!();
    all_answer(Plan::for_mode(Mode::Fullnat).families(V6, V6))
}

#[test]
fn fullnat_from_ipv6_to_ipv4() -> Result<()> {
    needs_lab!();
    needs_dns!();
    needs_flow_table!();
    all_answer(Plan::for_mode(Mode::Fullnat).families(V6, V4))
}

#[test]
fn nat_over_ipv6() -> Result<()> {
    needs_lab!();
    needs_dns!();
    all_answer(Plan::for_mode(Mode::Nat).families(V6, V6))
}

#[test]
fn ipip_over_ipv6() -> Result<()> {
    needs_lab!();
    needs_dns!();
    all_answer(Plan::for_mode(Mode::Ipip).families(V6, V6))
}

#[test]
fn no_query_fails_once_a_killed_server_is_down_in_fullnat() -> Result<()> {
    needs_lab!();
    needs_dns!();
    needs_flow_table!();
    killed(Plan::for_mode(Mode::Fullnat))
}

#[test]
fn no_query_fails_once_a_killed_server_is_down_in_ipip() -> Result<()> {
    needs_lab!();
    needs_dns!();
    killed(Plan::for_mode(Mode::Ipip))
}

/// A lab with a name server on each of its servers, and services for both of its protocols.
struct Names {
    /// Before the lab, which they run in.
    servers: Vec<Process>,
    lab: Lab,
}

impl Names {
    fn standing(plan: Plan) -> Result<Self> {
        let mut lab = plan.build()?;
        lab.balancer.start()?;
        let servers = lab
            .servers
            .iter()
            .map(|server| serve(&lab, server))
            .collect::<Result<_>>()?;
        for protocol in ["udp", "tcp"] {
            add_service(&lab, protocol)?;
        }
        for protocol in ["udp", "tcp"] {
            look::wait_until_all_take_flows(&lab.balancer, protocol)?;
        }
        Ok(Self { servers, lab })
    }

    fn dig(&self) -> Dig<'_> {
        Dig {
            netns: self.lab.client.netns(),
            server: self.lab.vip().ip(),
        }
    }

    /// Who answers so many queries, none of which fails.
    fn who(&self, queries: usize, words: &[&str]) -> Result<BTreeSet<String>> {
        self.dig().who_many(queries, words, self.lab.balancer.dir())
    }

    fn all(&self) -> BTreeSet<String> {
        self.lab.servers.iter().map(|server| server.name().to_owned()).collect()
    }
}

/// Where a server answers: another port than the service's where the mode can change it.
fn backend(lab: &Lab, server: &Server) -> SocketAddr {
    let port = if lab.mode().is_direct_return() { 53 } else { 5353 };
    lab.backend_at(server, port)
}

/// Where packets arrive as they were sent, it answers at the VIP; checks go to its own address.
fn serve(lab: &Lab, server: &Server) -> Result<Process> {
    let mut addresses = vec![backend(lab, server)];
    if lab.mode().is_direct_return() {
        addresses.push(lab.vip_at(53));
    }
    dns::serve(server.netns(), server.name(), &addresses, &dir(lab, server))
}

fn dir(lab: &Lab, server: &Server) -> PathBuf {
    lab.balancer.dir().with_file_name(server.name())
}

/// A service on port 53 that is called as its protocol.
fn add_service(lab: &Lab, protocol: &str) -> Result<()> {
    let vip = format!("{}/{protocol}", lab.vip_at(53));
    let mode = lab.mode().as_str();
    lab.balancer.lb_ok(&[
        "service", "add", protocol, "--vip", &vip, "--mode", mode, "--check", CHECK,
    ])?;
    for server in &lab.servers {
        let name = format!("{protocol}/{}", server.name());
        let address = backend(lab, server).to_string();
        lab.balancer.lb_ok(&["backend", "add", &name, &address])?;
    }
    Ok(())
}

/// Every query is answered, from the address that was asked, and every server answers some; what is too large comes over TCP.
fn all_answer(plan: Plan) -> Result<()> {
    let names = Names::standing(plan)?;
    let drops = || format!("drops: {:?}", look::dropped(&names.lab.balancer));
    assert_eq!(names.who(queries(), &[]).with_context(drops)?, names.all());
    assert_eq!(names.who(amount(100, 30), &["+tcp"]).with_context(drops)?, names.all());
    for _ in 0..amount(10, 3) {
        names.dig().huge().with_context(drops)?;
    }
    assert_eq!(look::dropped(&names.lab.balancer)?, []);
    Ok(())
}

/// What became of a query.
struct Query {
    began: Instant,
    by: Result<String>,
}

/// A server is killed while clients ask without a pause. Queries fail until its check takes it out, and no longer.
fn killed(plan: Plan) -> Result<()> {
    let mut names = Names::standing(plan)?;
    let mut victim = names.servers.remove(0);
    let (asked, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let out = std::thread::scope(|scope| -> Result<Instant> {
        for _ in 0..ASKERS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let by = names.dig().who();
                    asked.lock().expect("nobody panics with it").push(Query { began, by });
                }
            });
        }
        let out = kill_under_load(&names, &mut victim, &asked);
        is_over.store(true, Ordering::Relaxed);
        out
    })?;
    let asked = asked.into_inner()?;
    let mut others = names.all();
    others.remove("server-1");
    let after = asked.iter().filter(|query| query.began >= out);
    let by = after.map(|query| query.by.as_ref().map_err(|error| format!("{error:#}")));
    let by = by.collect::<Result<Vec<_>, _>>().map_err(anyhow::Error::msg)?;
    assert_eq!(by.into_iter().cloned().collect::<BTreeSet<_>>(), others);

    names.servers.push(serve(&names.lab, &names.lab.servers[0])?);
    look::wait_until_all_take_flows(&names.lab.balancer, "udp")?;
    assert_eq!(names.who(queries(), &[])?, names.all());
    Ok(())
}

/// Kills a server once it has answered, and waits until it is out and many queries came after that; when it was out.
fn kill_under_load(names: &Names, victim: &mut Process, asked: &Mutex<Vec<Query>>) -> Result<Instant> {
    let wait_for = |what: &str, enough: &dyn Fn(&[Query]) -> bool| {
        wait_until(what, PATIENCE, || {
            let asked = asked.lock().expect("nobody panics with it");
            Ok(enough(&asked).then_some(()))
        })
    };
    let by_victim = |query: &Query| query.by.as_ref().is_ok_and(|by| by == "server-1");
    wait_for("the server has answered", &|asked| asked.iter().any(by_victim))?;
    victim.kill9()?;
    look::wait_for_health(&names.lab.balancer, "udp/server-1", "down")?;
    let out = Instant::now();
    let after = |asked: &[Query]| asked.iter().filter(|query| query.began >= out).count();
    wait_for("many queries came after it", &|asked| after(asked) >= amount(200, 30))?;
    Ok(out)
}
