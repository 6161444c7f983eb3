//! Packets through `lb`, and through the kernel's own load balancer IPVS, on the same cable.
//!
//! # Layout
//!
//! - [`cable`]: the generator's host and the balancer's, and the cable between them
//! - [`pktgen`]: the kernel's packet generator
//! - [`dropper`]: the smallest XDP program, which takes packets from the cable
//! - [`lb`], [`ipvs`]: the balancers
//! - [`packet`]: the packet benchmark, which needs no cable
//!
//! The generator sends to the balancer, which sends back what it has made of a packet, to the MAC address of a backend that
//! is not there. What comes back from an XDP program is dropped by another in the generator's driver; what comes back from
//! IPVS is dropped by the stack, as early as it can be, because it would have to be made a frame of the driver's first.

mod cable;
mod dropper;
mod ipvs;
mod lb;
mod packet;
mod pktgen;

use anyhow::{Context as _, Result, ensure};
use lb_guest::said::Said;

use crate::report::Report;
use cable::Cable;
use dropper::Dropper;
pub use packet::measure as packet;

/// Where clients connect, by UDP.
const VIP: &str = "192.0.2.10";
const PORT: u16 = 80;

/// Last octets of the backends' addresses.
const BACKENDS: std::ops::RangeInclusive<u8> = 11..=14;

/// Measures every balancer in each of its modes; the base, with which a program drops the packets instead, is taken off.
pub fn forward(packets: u32, runs: u32, report: &mut Report) -> Result<()> {
    let cable = Cable::lay()?;
    let dropper = Dropper::load()?;
    let mut say = |name: String, value| report.say(&Said::Figure { name, value });
    let sink = dropper.attach(cable.generator(), cable.generator_index()?)?;
    let base = dropper.attach(cable.balancer(), cable.balancer_index()?)?;
    let base_ns = measure(&cable, packets, runs, Arrive::None)?;
    say("forward/base".to_owned(), base_ns);
    drop(base);
    for mode in lb::MODES {
        let running = lb::start(&cable, mode)?;
        let per_packet = measure(&cable, packets, runs, Arrive::All).with_context(|| format!("lb in mode {mode}"))?;
        running.stop()?;
        say(format!("forward/lb-{mode}"), per_packet - base_ns);
    }
    drop(sink);
    for method in ipvs::METHODS {
        let running = ipvs::start(&cable, method)?;
        let context = || format!("IPVS by {}", method.name);
        let per_packet = measure(&cable, packets, runs, Arrive::All).with_context(context)?;
        let taken = running.taken()?;
        ensure!(taken >= u64::from(packets), "IPVS took {taken} of {packets} packets");
        running.stop()?;
        say(format!("forward/ipvs-{}", method.name), per_packet - base_ns);
    }
    Ok(())
}

/// How many of the packets have to come back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrive {
    None,
    All,
}

/// Nanoseconds from one packet to the next; the median of the runs, after one that does not count, in which flows begin.
fn measure(cable: &Cable, packets: u32, runs: u32, arrive: Arrive) -> Result<f64> {
    pktgen::run(cable, 2 * pktgen::FLOWS)?;
    let mut samples = Vec::new();
    for _ in 0..runs.max(1) {
        let before = cable.arrived()?;
        let ran = pktgen::run(cable, packets)?;
        let arrived = cable.arrived()? - before;
        let wanted = if arrive == Arrive::All { u64::from(packets) } else { 0 };
        ensure!(arrived == wanted, "{arrived} of {packets} packets came back");
        samples.push(ran.as_nanos() as f64 / f64::from(packets));
    }
    samples.sort_by(f64::total_cmp);
    Ok(samples[samples.len() / 2])
}
