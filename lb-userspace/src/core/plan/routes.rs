//! Where packets to clients go.

use std::collections::BTreeMap;

use lb_common::abi;

use super::{Op, egress, ethernet};
use crate::core::image::Image;
use crate::core::observed::{RouteHop, RoutePrefix};

/// The mirror of the routes to clients.
pub fn routes(image: &mut Image, wanted: &BTreeMap<RoutePrefix, RouteHop>) -> Vec<Op> {
    let mut ops = Vec::new();
    for (prefix, hop) in wanted {
        let entry = match hop {
            RouteHop::Via(hop) => {
                egress(image, hop.egress, &mut ops);
                abi::Hop {
                    ethernet: ethernet(hop.destination_mac, hop.source_mac),
                    egress: hop.egress,
                }
            }
            RouteHop::AskKernel => abi::Hop {
                ethernet: [0; 3],
                egress: 0,
            },
        };
        if image.routes.insert(*prefix, entry) != Some(entry) {
            ops.push(Op::Route {
                prefix: *prefix,
                hop: entry,
            });
        }
    }
    let gone: Vec<RoutePrefix> = image
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

/// Interfaces that packets on their way back may be sent through by the kernel's FIB.
pub fn interfaces(image: &mut Image, indices: impl IntoIterator<Item = u32>) -> Vec<Op> {
    let mut ops = Vec::new();
    for index in indices {
        egress(image, index, &mut ops);
    }
    ops
}
