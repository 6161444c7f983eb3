//! `lb`, with its daemon, on the balancer's host.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_lab::{program, wait_until};
use serde_json::Value;

use super::cable::{BALANCER, Cable, backend};
use super::{BACKENDS, PORT, VIP};
use crate::work;

/// Those that are measured; each of the first three does what IPVS has a method for.
pub const MODES: [&str; 4] = ["l2", "ipip", "nat", "fullnat"];

const SOCKET: &str = "/run/lb-bench.sock";
const PINS: &str = "/sys/fs/bpf/lb-bench";
const LIMIT: Duration = Duration::from_secs(60);

/// The daemon, attached.
pub struct Running<'a> {
    cable: &'a Cable,
    daemon: Child,
}

/// Starts it with one service, and waits until that takes flows.
pub fn start<'a>(cable: &'a Cable, mode: &str) -> Result<Running<'a>> {
    let dir = std::env::temp_dir().join(format!("lb-bench-{mode}"));
    std::fs::create_dir_all(&dir)?;
    let config = dir.join("lb.toml");
    std::fs::write(&config, configuration(mode))?;
    let mut command = lb(cable)?;
    command.arg("daemon").arg("--config").arg(&config);
    command
        .arg("--state-dir")
        .arg(dir.join("state"))
        .args(["--pin-dir", PINS]);
    let daemon = command.stdout(Stdio::null()).spawn().context("starting lb daemon")?;
    let running = Running { cable, daemon };
    let mut last = String::new();
    let waited = wait_until("lb takes flows", LIMIT, || {
        let mut show = lb(cable)?;
        let shown = show.args(["show", "web", "-o", "json"]).output()?;
        last = String::from_utf8_lossy(&shown.stdout).into_owned();
        Ok(takes_flows(&last).then_some(()))
    });
    waited.with_context(|| format!("lb show web: {last}"))?;
    Ok(running)
}

impl Running<'_> {
    /// Takes it off, and the daemon down.
    pub fn stop(mut self) -> Result<()> {
        let mut detach = lb(self.cable)?;
        program::output(detach.args(["detach", "--all"]))?;
        self.daemon.kill()?;
        self.daemon.wait()?;
        Ok(())
    }
}

fn lb(cable: &Cable) -> Result<Command> {
    let lb = work::program("lb");
    let mut command = cable.balancer().command(lb.get_program())?;
    command.args(["--socket", SOCKET]).stdin(Stdio::null());
    Ok(command)
}

fn configuration(mode: &str) -> String {
    let backend = |octet| format!("{{ address = \"{}\", port = {PORT} }}", backend(octet));
    let backends: Vec<String> = BACKENDS.map(backend).collect();
    let backends = backends.join(", ");
    format!(
        "version = 1

[node]
name = \"balancer\"
interfaces = [\"{BALANCER}\"]
source = {{ ipv4 = \"10.0.0.1\" }}

[[service]]
name = \"web\"
address = \"{VIP}\"
port = {PORT}
protocol = \"udp\"
mode = \"{mode}\"
check = {{ type = \"none\" }}
backend = [{backends}]
"
    )
}

/// Whether every backend does, by what `lb show` says.
fn takes_flows(shown: &str) -> bool {
    let Ok(shown) = serde_json::from_str::<Value>(shown) else {
        return false;
    };
    let backends = shown["backends"].as_array().map(Vec::as_slice).unwrap_or_default();
    backends.len() == BACKENDS.count() && backends.iter().all(|backend| backend["out_because"].is_null())
}
