//! The balancer: the daemon in its host's namespace, with a service of every mode.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use anyhow::Result;
use lb_lab::{Balancer, Netns, Scratch};
use lb_tests::net::look;
use lb_userspace::core::model;

use super::hosts::{BACKEND_MAC, DEVICE, text};
use super::subject::{FIRST_SOURCE, MODES, Subject};

/// Flows for one source address of `fullnat`: its ports, less those that the host itself may use, and some to spare.
const FLOWS_PER_SOURCE: u32 = 30_000;

/// Starts the daemon with room for that many flows of `fullnat`, and waits until it balances.
pub fn start(netns: Netns, scratch: &Scratch, flows: u32) -> Result<Balancer> {
    lb_lab::bpffs::mount()?;
    let mut balancer = Balancer::new(netns, (scratch.dir(), scratch.pins()), &[], false)?;
    balancer.start_as_configured(&config(flows))?;
    for mode in MODES {
        look::wait_until_all_take_flows(&balancer, model::mode_name(mode))?;
    }
    Ok(balancer)
}

fn config(flows: u32) -> String {
    let sources = flows.div_ceil(FLOWS_PER_SOURCE);
    let first = u32::from(FIRST_SOURCE);
    let addresses: Vec<String> = (0..sources)
        .map(|number| format!("\"{}\"", Ipv4Addr::from(first + number)))
        .collect();
    let addresses = addresses.join(", ");
    // Twice as many flows: a table that is full to its limit refuses some.
    let flows = (2 * flows).max(1024);
    let mut config = format!(
        "version = 1\n\
         [node]\n\
         name = \"balancer\"\n\
         interfaces = [\"{DEVICE}\"]\n\
         source = {{ ipv4 = [{addresses}] }}\n\
         [node.limits]\n\
         services = 64\n\
         backends = 1024\n\
         slots = 524296\n\
         flows = {flows}\n\
         sources = {sources}\n\
         [node.flow_timeouts]\n\
         udp = \"12h\"\n\
         [defaults]\n\
         check = {{ type = \"none\" }}\n"
    );
    for mode in MODES {
        let subject = Subject::Lb(mode);
        let (name, vip) = (model::mode_name(mode), subject.vip());
        let (address, port) = (vip.ip(), vip.port());
        let _ = write!(
            config,
            "[[service]]\nname = \"{name}\"\naddress = \"{address}\"\nport = {port}\nprotocol = \"udp\"\nmode = \"{name}\"\n"
        );
        let next_hop = text(BACKEND_MAC);
        for backend in subject.backends() {
            let _ = write!(
                config,
                "[[service.backend]]\naddress = \"{backend}\"\nnext_hop = \"{next_hop}\"\n"
            );
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use lb_userspace::core::capabilities::Capabilities;
    use lb_userspace::core::config::{self, Format};

    use super::*;

    #[test]
    fn the_configuration_is_right() {
        for flows in [1, 1 << 20] {
            let checked = config::check(&config(flows), Format::Toml, &Capabilities::all());
            let model = checked.expect("accepted").model;
            assert_eq!(model.services.len(), MODES.len());
            assert!(model.node.limits.flows >= 2 * flows);
            assert_eq!(model.node.source.len(), model.node.limits.sources as usize);
        }
    }
}
