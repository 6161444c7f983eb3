//! When there is no room for another flow.

use lb_common::reason::Reason;
use lb_tests::needs_flow_table;
use lb_tests::packet::places::{SOURCES, backend, client};
use lb_tests::packet::{Setup, pool, service};
use lb_userspace::core::model::Mode;
use lb_userspace::core::plan::Wanted;

use super::{Swept, TCP, Way, tcp};

/// Offers flows until long after the first was refused. Gives those that were taken, with their ways.
fn offer(swept: &mut Swept, flows: u16) -> Vec<(u16, Way)> {
    (0..flows)
        .filter_map(|n| Some((n, swept.way(&tcp(client(n)).syn())?)))
        .collect()
}

/// Those that were taken go on as they went, in both directions.
fn assert_all_go_on(swept: &mut Swept, taken: &[(u16, Way)]) {
    for (n, way) in taken {
        assert_eq!(swept.way(&tcp(client(*n)).data(b"data")), Some(*way), "flow {n}");
        let answer = lb_tests::packet::Frame::tcp(way.1, way.0).ack();
        let back = swept.way(&answer).expect("the way back");
        assert_eq!(back.1, client(*n), "flow {n}");
    }
}

#[test]
fn a_full_table_refuses_new_flows_and_keeps_the_old() {
    needs_flow_table!();
    // Make, set up: room for some hundred flows.
    let mut setup = Setup::default();
    setup.limits.flows = 64;
    let mut swept = Swept::new(&setup);
    // Check.
    let taken = offer(&mut swept, 600);
    let refused = 600 - taken.len() as u64;
    assert!((64..=128).contains(&taken.len()), "{} of 128 places", taken.len());
    assert_eq!(swept.world.reasons()[Reason::FlowTableFull as usize], refused);
    assert_all_go_on(&mut swept, &taken);
    assert_eq!(swept.world.reasons().iter().sum::<u64>(), refused);
    // Who was refused holds nothing.
    swept.assert_consistent();
    assert_eq!(swept.flows.all().len(), taken.len());
    // Room that comes free is used.
    for (n, _) in &taken[..20] {
        swept.way(&tcp(client(*n)).rst());
    }
    swept.wait(3);
    assert_eq!(swept.sweep().expired, 20);
    let again = (600..2000)
        .filter(|n| swept.way(&tcp(client(*n)).syn()).is_some())
        .count();
    assert!(again >= 20, "{again} new flows");
    assert_all_go_on(&mut swept, &taken[20..]);
    swept.assert_consistent();
}

/// The table has two places for each flow that it is made for, and a flow may stand in eight of them: few are refused before
/// that number is reached.
#[test]
fn a_table_takes_the_flows_that_it_is_made_for() {
    needs_flow_table!();
    // Make, set up.
    let setup = Setup::default();
    let mut swept = Swept::new(&setup);
    let flows = setup.limits.flows as u16;
    // Check: 0.4 % are expected.
    let taken = offer(&mut swept, flows).len();
    assert!(taken * 100 >= usize::from(flows) * 99, "{taken} of {flows} flows");
}

#[test]
fn without_free_ports_new_flows_are_refused() {
    needs_flow_table!();
    // Make, set up: ten ports.
    let mut setup = Setup::default();
    setup.ports.truncate(10);
    let mut swept = Swept::new(&setup);
    // Check.
    let taken = offer(&mut swept, 50);
    assert_eq!(
        taken.iter().map(|(n, _)| *n).collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
    assert_eq!(swept.world.reasons()[Reason::PortsExhausted as usize], 40);
    assert_all_go_on(&mut swept, &taken);
    swept.assert_consistent();
    // A refused flow that comes again when there is a port is taken.
    swept.way(&tcp(client(4)).rst());
    swept.wait(3);
    assert_eq!(swept.sweep().expired, 1);
    let late = swept.way(&tcp(client(30)).syn());
    assert_eq!(late.map(|(source, _)| source), Some(taken[4].1.0));
    swept.assert_consistent();
}

/// A flow looks at the other sources before it is refused.
#[test]
fn every_source_is_tried() {
    needs_flow_table!();
    // Make, set up: two sources of ten ports each.
    let mut setup = Setup::default();
    setup.ports.truncate(10);
    let mut swept = Swept::new(&setup);
    let sources = SOURCES.map(Into::into).to_vec();
    swept.world.serve(&Wanted {
        sources,
        ..service(TCP, Mode::Fullnat, pool([backend(1)]))
    });
    // Check.
    let taken = offer(&mut swept, 50);
    assert_eq!(taken.len(), 20);
    assert_eq!(swept.world.reasons()[Reason::PortsExhausted as usize], 30);
    assert_all_go_on(&mut swept, &taken);
    let contradictions = swept.flows.contradictions(2, &setup.ports);
    assert!(contradictions.is_empty(), "{contradictions:#?}");
}
