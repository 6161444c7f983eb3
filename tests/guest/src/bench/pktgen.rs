//! The kernel's packet generator, see its `networking/pktgen.rst`: told by files what to send, and asked by one how it went.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::cable::{BALANCER_MAC, Cable, GENERATOR};
use super::{PORT, VIP};

/// Clients, each by a port of its own; they send in turn.
pub const FLOWS: u32 = 1024;

const FIRST_CLIENT_PORT: u32 = 10_000;
const CLIENT: &str = "198.18.0.1";

/// Of a frame, without the check sequence: the shortest there is.
const FRAME_BYTES: u32 = 60;

/// The files, as a thread in the generator's host sees them.
const DIRECTORY: &str = "/proc/thread-self/net/pktgen";

/// Sends so many packets into the cable; how long that took, with all that was done about them meanwhile.
pub fn run(cable: &Cable, packets: u32) -> Result<Duration> {
    let last_port = FIRST_CLIENT_PORT + FLOWS - 1;
    let settings = [
        format!("count {packets}"),
        "clone_skb 0".to_owned(),
        "delay 0".to_owned(),
        format!("pkt_size {FRAME_BYTES}"),
        format!("dst_mac {BALANCER_MAC}"),
        format!("dst {VIP}"),
        format!("src_min {CLIENT}"),
        format!("src_max {CLIENT}"),
        format!("udp_dst_min {PORT}"),
        format!("udp_dst_max {PORT}"),
        format!("udp_src_min {FIRST_CLIENT_PORT}"),
        format!("udp_src_max {last_port}"),
        "flag UDPCSUM".to_owned(),
    ];
    cable.generator().run(|| {
        tell("kpktgend_0", "rem_device_all")?;
        tell("kpktgend_0", &format!("add_device {GENERATOR}"))?;
        for setting in &settings {
            tell(GENERATOR, setting)?;
        }
        tell("pgctrl", "start")?;
        let said = std::fs::read_to_string(Path::new(DIRECTORY).join(GENERATOR))?;
        duration(&said).with_context(|| format!("the packet generator says: {said}"))
    })
}

fn tell(file: &str, what: &str) -> Result<()> {
    let path = Path::new(DIRECTORY).join(file);
    std::fs::write(&path, what).with_context(|| format!("telling the packet generator `{what}` by {}", path.display()))
}

/// The time in `Result: OK: 5012(c4990+d22) usec, 1000 (60byte,0frags)`.
fn duration(said: &str) -> Option<Duration> {
    let (_, result) = said.split_once("Result: OK: ")?;
    let (micros, _) = result.split_once('(')?;
    Some(Duration::from_micros(micros.parse().ok()?))
}
