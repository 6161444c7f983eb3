//! ICMP end to end: `ping`, and connections that find out how large their packets may be.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use anyhow::{Context as _, Result, ensure};
use lb_lab::Family::{self, V4, V6};
use lb_lab::{Mode, Plan, amount, wait_until};
use lb_tests::needs_lab;
use lb_tests::net::{PATIENCE, STEADY_CHECK, echo, look, ping};

#[test]
fn a_services_address_answers_ping() -> Result<()> {
    needs_lab!();
    let mut lab = Plan::for_mode(Mode::L2).servers(1).build()?;
    lab.balancer.start()?;
    lab.serve("web", STEADY_CHECK)?;
    lab.wait_until_all_serve(PATIENCE)?;
    let std::net::IpAddr::V4(vip) = lab.vip().ip() else {
        anyhow::bail!("the service has no IPv4 address");
    };
    for number in 0..5 {
        let content: Vec<u8> = (0..1400).map(|i| (i + number) as u8).collect();
        ping::ping(lab.client.netns(), vip, number, &content)?;
        ping::ping(lab.client.netns(), vip, 1000 + number, b"")?;
    }
    assert_eq!(look::packets(&lab.balancer, "echo_answered")?, 10);
    Ok(())
}

#[test]
fn a_connection_through_ipip_finds_what_fits() -> Result<()> {
    needs_lab!();
    finds_what_fits(Mode::Ipip, V4, V4)
}

#[test]
fn a_connection_through_ipip_over_ipv6_finds_what_fits() -> Result<()> {
    needs_lab!();
    finds_what_fits(Mode::Ipip, V6, V6)
}

#[test]
fn a_connection_through_gue_finds_what_fits() -> Result<()> {
    needs_lab!();
    finds_what_fits(Mode::Gue, V4, V4)
}

#[test]
fn a_connection_through_gue_over_ipv6_finds_what_fits() -> Result<()> {
    needs_lab!();
    finds_what_fits(Mode::Gue, V6, V6)
}

/// All links carry 1,500 bytes, so that the client's first full packets fit nowhere with an outer header: it is told so, sends
/// smaller ones, and everything arrives. Nothing is lost without a word.
fn finds_what_fits(mode: Mode, service: Family, backends: Family) -> Result<()> {
    const PORT: u16 = 7000;
    let plan = Plan::for_mode(mode).families(service, backends).without_room();
    let mut lab = plan.servers(1).build()?;
    lab.balancer.start()?;
    let target = lab.vip_at(PORT);
    let (vip, mode) = (format!("{target}/tcp"), mode.as_str());
    let check = format!("{STEADY_CHECK},port=80");
    let add = [
        "service", "add", "echo", "--vip", &vip, "--mode", mode, "--check", &check,
    ];
    lab.balancer.lb_ok(&add)?;
    let server = lab.servers.first().context("no server")?;
    let _echo = echo::serve_tcp(server.netns(), PORT)?;
    let backend = lab.backend_at(server, PORT).to_string();
    lab.balancer.lb_ok(&["backend", "add", "echo/server", &backend])?;
    let connection = wait_until("the server takes connections", PATIENCE, || {
        let connect = || Ok(TcpStream::connect_timeout(&target, PATIENCE).ok());
        lab.client.netns().run(connect)
    })?;
    let dropped_before = look::dropped(&lab.balancer)?;

    let sent: Vec<u8> = (0..amount(5_000_000u32, 300_000)).map(|i| (i % 251) as u8).collect();
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let received = std::thread::scope(|scope| -> Result<Vec<u8>> {
        scope.spawn(|| {
            let wrote = (&connection).write_all(&sent);
            wrote.and_then(|()| connection.shutdown(Shutdown::Write))
        });
        let mut received = Vec::new();
        (&connection).read_to_end(&mut received)?;
        Ok(received)
    })?;
    ensure!(received == sent, "{} bytes came back other than sent", received.len());
    ensure!(
        look::packets(&lab.balancer, "too_big_answered")? > 0,
        "every packet fitted: {:?}",
        look::dropped(&lab.balancer)
    );
    assert_eq!(look::dropped(&lab.balancer)?, dropped_before);
    Ok(())
}
