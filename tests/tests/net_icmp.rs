//! ICMP end to end: `ping`, and connections that find out how large their packets may be.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpStream, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use lb_lab::Family::{self, V4, V6};
use lb_lab::link::ip;
use lb_lab::{Lab, Layout, Mode, Plan, amount, wait_until};
use lb_tests::net::echo::{self, Echo};
use lb_tests::net::{PATIENCE, STEADY_CHECK, look, ping};
use lb_tests::{needs_flow_table, needs_lab};

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

/// The way back to the client takes less than the server's link: the server is told so.
#[test]
fn a_server_behind_nat_finds_what_fits() -> Result<()> {
    needs_lab!();
    let lab = behind_a_smaller_path(Mode::Nat)?;
    let _echo = serve_echo(&lab, &[])?;
    is_told(&lab, &connected(&lab)?)
}

#[test]
fn a_server_behind_fullnat_finds_what_fits() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    let lab = behind_a_smaller_path(Mode::Fullnat)?;
    let _echo = serve_echo(&lab, &[])?;
    is_told(&lab, &connected(&lab)?)
}

#[test]
fn an_ipv6_server_of_ipv4_clients_finds_what_fits() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    let lab = behind_a_smaller_path_of(Mode::Fullnat, V4, V6)?;
    let _echo = serve_echo(&lab, &[])?;
    is_told(&lab, &connected(&lab)?)
}

#[test]
fn an_ipv4_server_of_ipv6_clients_finds_what_fits() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    let lab = behind_a_smaller_path_of(Mode::Fullnat, V6, V4)?;
    let _echo = serve_echo(&lab, &[])?;
    is_told(&lab, &connected(&lab)?)
}

/// What a server's kernel says of a port that nobody listens on reaches the client.
#[test]
fn clients_hear_that_nobody_listens() -> Result<()> {
    needs_lab!();
    needs_flow_table!();
    for (service, backends) in [(V4, V4), (V6, V6), (V4, V6), (V6, V4)] {
        let mut lab = Plan::for_mode(Mode::Fullnat)
            .families(service, backends)
            .servers(1)
            .build()?;
        lab.balancer.start()?;
        let vip = format!("{}/udp", lab.vip_at(PORT));
        let check = format!("{STEADY_CHECK},port=80");
        let add = ["service", "add", "deaf", "--vip", &vip, "--check", &check];
        lab.balancer.lb_ok(&add)?;
        let server = lab.servers.first().context("no server")?;
        let backend = lab.backend_at(server, PORT).to_string();
        lab.balancer.lb_ok(&["backend", "add", "deaf/server", &backend])?;
        look::wait_until_all_take_flows(&lab.balancer, "deaf")?;
        let socket = lab
            .client
            .netns()
            .run(|| Ok(UdpSocket::bind((unspecified(service), 0))?))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(lab.vip_at(PORT))?;
        socket.send(b"is anybody there?")?;
        let heard = socket.recv(&mut [0; 16]).map_err(|error| error.kind());
        assert_eq!(heard, Err(ErrorKind::ConnectionRefused), "{service:?} {backends:?}");
        assert_eq!(look::dropped(&lab.balancer)?, []);
    }
    Ok(())
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        V4 => Ipv4Addr::UNSPECIFIED.into(),
        V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The same with a server that hears of no ICMP, and would send packets that do not fit for ever.
#[test]
fn smaller_segments_make_up_for_lost_icmp() -> Result<()> {
    needs_lab!();
    let lab = behind_a_smaller_path(Mode::Nat)?;
    // `ip_no_pmtu_disc` of `Documentation/networking/ip-sysctl.rst`: what ICMP says of a path is thrown away.
    let server = lab.servers.first().context("no server")?;
    server.netns().sysctl(&[("net/ipv4/ip_no_pmtu_disc", "2")])?;
    let _echo = serve_echo(&lab, &["--mss-clamp", "1240"])?;
    exchange(&connected(&lab)?)?;
    assert_eq!(look::packets(&lab.balancer, "too_big_answered")?, 0);
    Ok(())
}

/// A lab whose clients are reached by a path that takes 1,280 bytes.
fn behind_a_smaller_path(mode: Mode) -> Result<Lab> {
    behind_a_smaller_path_of(mode, V4, V4)
}

fn behind_a_smaller_path_of(mode: Mode, service: Family, backends: Family) -> Result<Lab> {
    let plan = Plan::for_mode(mode).families(service, backends);
    let mut lab = plan.layout(Layout::TwoArmed).servers(1).build()?;
    let clients = match service {
        V4 => "route change 10.1.0.0/24 dev eth0 proto kernel scope link src 10.1.0.1 mtu 1280",
        V6 => "route change fd00:a:1::/64 dev eth0 proto kernel metric 256 mtu 1280",
    };
    ip(lab.balancer.netns(), &[clients.to_owned()])?;
    lab.balancer.start()?;
    Ok(lab)
}

/// Port of the service that answers with what it gets.
const PORT: u16 = 7000;

/// How much goes there and back.
fn bytes() -> usize {
    amount(50_000_000, 300_000)
}

/// Serves it; the server goes on for as long as what is given is kept.
fn serve_echo(lab: &Lab, settings: &[&str]) -> Result<Echo> {
    let vip = format!("{}/tcp", lab.vip_at(PORT));
    let check = format!("{STEADY_CHECK},port=80");
    let mode = lab.mode().as_str();
    let add = [
        "service", "add", "echo", "--vip", &vip, "--mode", mode, "--check", &check,
    ];
    lab.balancer.lb_ok(&[&add[..], settings].concat())?;
    let server = lab.servers.first().context("no server")?;
    let echo = echo::serve_tcp(server.netns(), PORT)?;
    let backend = lab.backend_at(server, PORT).to_string();
    lab.balancer.lb_ok(&["backend", "add", "echo/server", &backend])?;
    Ok(echo)
}

/// A connection, once the server takes any.
fn connected(lab: &Lab) -> Result<TcpStream> {
    let target = lab.vip_at(PORT);
    let connection = wait_until("the server takes connections", PATIENCE, || {
        let connect = || Ok(TcpStream::connect_timeout(&target, PATIENCE).ok());
        lab.client.netns().run(connect)
    })?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}

/// Sends much, of which each byte has to come back.
fn exchange(connection: &TcpStream) -> Result<()> {
    let sent: Vec<u8> = (0..bytes()).map(|i| (i % 251) as u8).collect();
    let received = std::thread::scope(|scope| -> Result<Vec<u8>> {
        scope.spawn(|| {
            let (mut writing, sent) = (connection, &sent);
            let wrote = writing.write_all(sent);
            wrote.and_then(|()| connection.shutdown(Shutdown::Write))
        });
        let (mut reading, mut received) = (connection, Vec::new());
        reading.read_to_end(&mut received)?;
        Ok(received)
    })?;
    ensure!(received == sent, "{} bytes came back other than sent", received.len());
    Ok(())
}

/// All links carry 1,500 bytes, so that the client's first full packets fit nowhere with an outer header: it is told so, sends
/// smaller ones, and everything arrives. Nothing is lost without a word.
fn finds_what_fits(mode: Mode, service: Family, backends: Family) -> Result<()> {
    let plan = Plan::for_mode(mode).families(service, backends).without_room();
    let mut lab = plan.servers(1).build()?;
    lab.balancer.start()?;
    let _echo = serve_echo(&lab, &[])?;
    let connection = connected(&lab)?;
    is_told(&lab, &connection)
}

/// Everything arrives, since somebody was told what fits, and nothing was dropped.
fn is_told(lab: &Lab, connection: &TcpStream) -> Result<()> {
    let dropped_before = look::dropped(&lab.balancer)?;
    exchange(connection)?;
    ensure!(
        look::packets(&lab.balancer, "too_big_answered")? > 0,
        "every packet fitted: {:?}",
        look::dropped(&lab.balancer)
    );
    assert_eq!(look::dropped(&lab.balancer)?, dropped_before);
    Ok(())
}
