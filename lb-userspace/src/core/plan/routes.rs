//! Where packets to clients go.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{self, Tags, hop_egress};

use super::{Op, ethernet};
use crate::core::image::Image;
use crate::core::observed::RouteHop;
use crate::core::prefix::Prefix;

/// The mirror of the routes to clients.
pub fn routes(image: &mut Image, wanted: &BTreeMap<Prefix, RouteHop>) -> Vec<Op> {
    let mut ops = Vec::new();
    for (prefix, hop) in wanted {
        let entry = match hop {
            RouteHop::Via(hop) => abi::Hop {
                ethernet: ethernet(hop.destination_mac, hop.source_mac),
                egress: hop.egress,
                tags: hop.tags,
                largest: hop.mtu.into(),
            },
            RouteHop::AskKernel => abi::Hop {
                ethernet: [0; 3],
                egress: hop_egress::ASK,
                tags: Tags::NONE,
                largest: u32::MAX,
            },
            RouteHop::Host => abi::Hop {
                ethernet: [0; 3],
                egress: hop_egress::HOST,
                tags: Tags::NONE,
                largest: u32::MAX,
            },
        };
        if image.routes.insert(*prefix, entry) != Some(entry) {
            ops.push(Op::Route {
                prefix: *prefix,
                hop: entry,
            });
        }
    }
    let gone: Vec<Prefix> = image
        .routes
        .keys()
        .filter(|prefix| !wanted.contains_key(prefix))
        .copied()
        .collect();
    for prefix in gone {
        image.routes.remove(&prefix);
        ops.push(Op::RouteGone { prefix });
    }
    ops
}

/// Interfaces that packets can be sent through. A packet whose way leads through another one is counted, or left to the kernel
/// on its way back; nothing is handed to an interface that would lose it in silence.
pub fn interfaces(image: &mut Image, wanted: &BTreeSet<u32>) -> Vec<Op> {
    let new = wanted
        .difference(&image.egress)
        .map(|index| Op::Egress { index: *index });
    let gone = image
        .egress
        .difference(wanted)
        .map(|index| Op::EgressGone { index: *index });
    let ops = new.chain(gone).collect();
    image.egress.clone_from(wanted);
    ops
}
