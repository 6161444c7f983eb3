//! `lb replay`, the whole binary, on captures that another tool made (`tests/fixtures/replay/make.py`).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lb_tests::packet::Frame;
use lb_tests::packet::places::TUNNEL_PORT;
use lb_userspace::core::model::{Mode, mode_name};
use serde_json::Value;
use tempfile::TempDir;

mod captures;
mod cells;
mod host;
mod modes;
mod options;
mod pcap;
mod sequence;

/// The configuration of the interface's contract: one service in mode `ipip`, one backend.
const CONTRACT: &str = include_str!("../../../../lb-userspace/tests/fixtures/contract.toml");

const MODES: [Mode; 5] = [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue];

/// The addresses of the contract.
const VIP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 10), 443);
const BACKEND: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 1), 8443);
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
/// The defaults of `--mac` and `--next-hop`.
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const NEXT_HOP: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The first port of `fullnat` on a host of Linux's defaults.
const FIRST_PORT: u16 = 1024;

/// A capture of the fixtures.
fn fixture(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/replay");
    dir.join(name).to_string_lossy().into_owned()
}

/// The contract's configuration in another mode, and the same service over UDP beside it.
fn contract_in(mode: Mode) -> String {
    let name = mode_name(mode);
    let is_set = r#"mode     = "ipip""#;
    assert!(CONTRACT.contains(is_set));
    let text = CONTRACT.replace(is_set, &format!("mode     = \"{name}\""));
    format!(
        r#"{text}
[[service]]
name     = "quic"
address  = "192.0.2.10"
port     = 443
protocol = "udp"
mode     = "{name}"
check    = {{ type = "none" }}
backend  = [{{ name = "web-1", address = "10.0.1.1", port = 8443 }}]
"#
    )
}

/// The service with these backends, named by their last octets.
fn pool_of(mode: Mode, backends: &[u8]) -> String {
    let backends: Vec<String> = backends
        .iter()
        .map(|n| format!("{{ name = \"web-{n}\", address = \"10.0.1.{n}\" }}"))
        .collect();
    format!(
        r#"version = 1
[node]
source = {{ ipv4 = "10.0.0.11" }}
[[service]]
name     = "web"
address  = "192.0.2.10"
port     = 443
mode     = "{}"
backend  = [{}]
"#,
        mode_name(mode),
        backends.join(", ")
    )
}

/// A directory for one test's files.
struct Desk(TempDir);

/// What a replay said and wrote.
struct Replayed {
    lines: Vec<Value>,
    packets: Vec<pcap::Packet>,
}

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives its path.
    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("the file is written");
        path.to_string_lossy().into_owned()
    }

    /// Runs `lb replay` with JSON lines, and a capture written.
    fn replay(&self, arguments: &[&str]) -> Replayed {
        let written = self.path("out.pcap");
        let mut all = vec!["-o", "json", "-w", written.to_str().expect("UTF-8")];
        all.extend(arguments);
        let output = lb_replay(&all);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", output.status);
        let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is an object"));
        Replayed {
            lines: lines.collect(),
            packets: pcap::read(&written),
        }
    }

    /// A replay that is to be refused: its exit code, and what it said.
    fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = lb_replay(arguments);
        assert!(!output.status.success());
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

fn lb() -> Command {
    Command::new(lb_lab::program::lb().expect("lb is built"))
}

fn lb_replay(arguments: &[&str]) -> Output {
    lb().arg("replay").args(arguments).output().expect("lb runs")
}

/// A packet of a capture on its way to a backend; `opened`: how many flows had begun before its own.
fn to_backend(mode: Mode, packet: &[u8], opened: u16) -> Frame {
    let frame = Frame::read(packet)
        .expect("a whole packet")
        .forwarded()
        .macs(MAC, NEXT_HOP);
    match mode {
        Mode::Fullnat => frame.from(SocketAddrV4::new(SOURCE, FIRST_PORT + opened)).to(BACKEND),
        Mode::Nat => frame.to(BACKEND),
        Mode::L2 => frame,
        Mode::Ipip => frame.in_tunnel(SOURCE, *BACKEND.ip()),
        Mode::Gue => frame.in_gue(SOURCE, *BACKEND.ip(), TUNNEL_PORT),
    }
}

/// A field that holds text.
fn text<'a>(line: &'a Value, field: &str) -> Option<&'a str> {
    line[field].as_str()
}
