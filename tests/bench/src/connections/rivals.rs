//! What `lb` is compared with, each as it comes, on the balancer's host.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use lb_lab::{Lab, program};

/// nginx's module that balances TCP, where Debian puts it.
pub const NGINX_STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Starts HAProxy at the VIP, in TCP mode.
///
/// # Errors
///
/// It is not installed, or does not start.
pub fn start_haproxy(lab: &mut Lab) -> Result<()> {
    let config = lab.balancer.dir().join("haproxy.cfg");
    std::fs::write(&config, haproxy_config(lab.vip(), &backends(lab)))?;
    let haproxy = program::find("haproxy").context("haproxy is not installed")?;
    let mut command = lab.balancer.netns().command(haproxy)?;
    // In the foreground.
    command.arg("-db").arg("-f").arg(config);
    start_at_vip(lab, command)
}

/// Starts nginx's stream module at the VIP.
///
/// # Errors
///
/// It is not installed, or does not start.
pub fn start_nginx_stream(lab: &mut Lab) -> Result<()> {
    let dir = lab.balancer.dir();
    let config = dir.join("nginx.conf");
    std::fs::write(&config, nginx_config(dir, lab.vip(), &backends(lab)))?;
    let nginx = program::find("nginx").context("nginx is not installed")?;
    let mut command = lab.balancer.netns().command(nginx)?;
    command.arg("-e").arg(dir.join("nginx.log"));
    command.arg("-p").arg(dir).arg("-c").arg(config);
    start_at_vip(lab, command)
}

/// Has the balancer's kernel rewrite the destination of what comes for the VIP, by a hash of the client's address and port,
/// and follow connections.
///
/// # Errors
///
/// nftables is not installed, or the kernel refuses.
pub fn load_nft_dnat(lab: &Lab) -> Result<()> {
    let rules = lab.balancer.dir().join("rules.nft");
    std::fs::write(&rules, nft_rules(lab.vip(), &backends(lab)))?;
    let nft = program::find("nft").context("nft is not installed")?;
    let mut command = lab.balancer.netns().command(nft)?;
    program::output(command.arg("-f").arg(rules)).map(drop)
}

fn backends(lab: &Lab) -> Vec<SocketAddr> {
    let port = lab.backend_port();
    let servers = lab.servers.iter();
    servers
        .map(|server| SocketAddr::new(server.address().into(), port))
        .collect()
}

/// The program listens at the VIP, which is therefore an address of its host.
fn start_at_vip(lab: &mut Lab, command: Command) -> Result<()> {
    let vip = lab.vip();
    add_address(lab, vip.ip(), "lo")?;
    lab.balancer.start_other(command, vip)
}

/// Gives the balancer's host one more address.
///
/// # Errors
///
/// It has it, or `ip` fails.
pub fn add_address(lab: &Lab, address: IpAddr, device: &str) -> Result<()> {
    let mut ip = lab.balancer.netns().command(program::ip()?)?;
    let address = format!("{address}/32");
    program::output(ip.args(["address", "add", &address, "dev", device])).map(drop)
}

fn haproxy_config(vip: SocketAddr, backends: &[SocketAddr]) -> String {
    let mut text = format!(
        "global
    nbthread 1
    maxconn 4096
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen web
    bind {vip}
"
    );
    for (number, backend) in (1..).zip(backends) {
        let _ = writeln!(text, "    server server-{number} {backend} check");
    }
    text
}

fn nginx_config(dir: &Path, vip: SocketAddr, backends: &[SocketAddr]) -> String {
    let servers: String = backends.iter().map(|backend| format!("server {backend}; ")).collect();
    let dir = dir.display();
    format!(
        "load_module {NGINX_STREAM_MODULE};
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
stream {{
    upstream web {{ {servers}}}
    server {{
        listen {vip} backlog=4096;
        proxy_pass web;
    }}
}}
"
    )
}

fn nft_rules(vip: SocketAddr, backends: &[SocketAddr]) -> String {
    let addresses = (0..).zip(backends);
    let addresses: Vec<String> = addresses
        .map(|(number, backend)| format!("{number} : {}", backend.ip()))
        .collect();
    format!(
        "table ip lb {{
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr {} tcp dport {} dnat to jhash ip saddr . tcp sport mod {} map {{ {} }}
    }}
}}
",
        vip.ip(),
        vip.port(),
        backends.len(),
        addresses.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 0, 1)), 80);
    const BACKENDS: [SocketAddr; 2] = [
        SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 11)), 8080),
        SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 12)), 8080),
    ];

    #[test]
    fn configurations_name_the_vip_and_every_backend() {
        let haproxy = haproxy_config(VIP, &BACKENDS);
        assert!(haproxy.contains("    bind 10.9.0.1:80\n"), "{haproxy}");
        assert!(
            haproxy.contains("    server server-2 10.1.0.12:8080 check\n"),
            "{haproxy}"
        );
        let nginx = nginx_config(Path::new("/d"), VIP, &BACKENDS);
        assert!(
            nginx.contains("upstream web { server 10.1.0.11:8080; server 10.1.0.12:8080; }"),
            "{nginx}"
        );
        let nft = nft_rules(VIP, &BACKENDS);
        assert!(nft.contains("mod 2 map { 0 : 10.1.0.11, 1 : 10.1.0.12 }"), "{nft}");
    }
}
