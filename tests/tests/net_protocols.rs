//! Services of other protocols than TCP and UDP, and of prefixes, with the kernel's own stacks at both ends.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, ensure};
use lb_lab::{Lab, Mode, Netns, Plan};
use lb_tests::net::{PATIENCE, bare, look};
use lb_tests::{needs_lab, packet::Random};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketType, bind, connect, ipproto, listen, socket};

/// What clients connect to beside the lab's own address.
const PREFIX: &str = "198.18.7.0/24";

fn of_prefix(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 7, last)
}

/// A lab whose servers have every address of the prefix, with a service that has them.
fn with_prefix(mode: Mode, vip: &str) -> Result<Lab> {
    let mut lab = Plan::for_mode(mode).servers(2).build()?;
    lab.balancer.start()?;
    let via = lab.balancer_address().to_string();
    ip(lab.client.netns(), &["route", "add", PREFIX, "via", &via])?;
    for server in &lab.servers {
        ip(server.netns(), &["route", "add", "local", PREFIX, "dev", "lo"])?;
    }
    serve(&lab, "all", vip, mode)?;
    Ok(lab)
}

/// A service of all servers.
fn serve(lab: &Lab, name: &str, vip: &str, mode: Mode) -> Result<()> {
    let mode = mode.as_str();
    let add = ["service", "add", name, "--vip", vip, "--mode", mode, "--check", "none"];
    lab.balancer.lb_ok(&add)?;
    for server in &lab.servers {
        let backend = format!("{name}/{}", server.name());
        let address = lab.backend_at(server, 80).ip().to_string();
        lab.balancer.lb_ok(&["backend", "add", &backend, &address])?;
    }
    look::wait_until_all_take_flows(&lab.balancer, name)?;
    Ok(())
}

fn ip(netns: &Netns, arguments: &[&str]) -> Result<()> {
    let output = netns.command("ip")?.args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), said.trim());
    Ok(())
}

/// A protocol without ports, and TCP, to addresses of the prefix: answers come from the address that was asked.
#[test]
fn every_protocol_to_every_address() -> Result<()> {
    needs_lab!();
    for mode in [Mode::L2, Mode::Ipip] {
        let lab = with_prefix(mode, "198.18.7.0/24/any")?;
        for last in [1, 77, 254] {
            let target = of_prefix(last);
            let answering = lab.servers.iter();
            let answering = answering.map(|server| bare::answer_one(server.netns(), target, server.name()));
            let answering = answering.collect::<Result<Vec<_>>>()?;
            let content: Vec<u8> = (0..1400).map(|i| (i * 7) as u8 ^ last).collect();
            let name = bare::ask(lab.client.netns(), target, &content).with_context(|| drops(&lab))?;
            ensure!(lab.servers.iter().any(|server| server.name() == name), "{name}");
            // Nobody asks the other one.
            drop(answering);
        }
        let tcp = lab.client.netns().run(|| {
            let target = SocketAddr::new(of_prefix(9).into(), lab.backend_port());
            Ok(TcpStream::connect_timeout(&target, PATIENCE)?)
        })?;
        drop(tcp);
        assert_eq!(look::dropped(&lab.balancer)?, []);
    }
    Ok(())
}

fn drops(lab: &Lab) -> String {
    format!("drops: {:?}", look::dropped(&lab.balancer))
}

fn sctp_socket() -> rustix::io::Result<OwnedFd> {
    socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::SCTP))
}

#[test]
fn sctp_l2() -> Result<()> {
    needs_lab!();
    lb_lab::needs!(sctp_socket().is_ok(), "this kernel has no SCTP");
    associations(Mode::L2)
}

#[test]
fn sctp_ipip() -> Result<()> {
    needs_lab!();
    lb_lab::needs!(sctp_socket().is_ok(), "this kernel has no SCTP");
    associations(Mode::Ipip)
}

#[test]
fn sctp_gue() -> Result<()> {
    needs_lab!();
    lb_lab::needs!(sctp_socket().is_ok(), "this kernel has no SCTP");
    associations(Mode::Gue)
}

/// Data goes there and back. No message is longer than a packet: a veth hands longer ones to XDP in one piece.
fn associations(mode: Mode) -> Result<()> {
    const PORT: u16 = 3868;
    let mut lab = Plan::for_mode(mode).servers(2).build()?;
    lab.balancer.start()?;
    let target = lab.vip_at(PORT);
    for server in &lab.servers {
        let listening = server.netns().run(|| {
            let socket = sctp_socket()?;
            bind(&socket, &target)?;
            listen(&socket, 8)?;
            Ok(TcpListener::from(socket))
        })?;
        std::thread::spawn(move || {
            for mut association in listening.incoming().flatten() {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = association.read(&mut buffer) {
                    if association.write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
            }
        });
    }
    serve(&lab, "diameter", &format!("{target}/sctp"), mode)?;
    let mut random = Random::seeded(9);
    for _ in 0..4 {
        let mut association = lab.client.netns().run(|| {
            let socket = sctp_socket()?;
            set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
            connect(&socket, &target)?;
            Ok(TcpStream::from(socket))
        })?;
        for length in [1, 500, 1300] {
            let mut content = vec![0; length];
            random.fill(&mut content);
            association.write_all(&content)?;
            let mut back = vec![0; length];
            association.read_exact(&mut back).with_context(|| drops(&lab))?;
            ensure!(back == content, "other content came back than was sent");
        }
    }
    assert_eq!(look::dropped(&lab.balancer)?, []);
    let shown = look::json(&lab.balancer, &["show", "diameter"])?;
    assert_eq!(shown["counters"]["new_flows"], 4, "{shown}");
    Ok(())
}
