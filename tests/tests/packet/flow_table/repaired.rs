//! What a daemon that was killed half way through a deletion leaves behind, and what the next one makes of it.
//!
//! A deletion clears the flow's value, then its key, then the port's entry, and then returns the port.

use lb_common::abi::Entry;
use lb_common::reason::Reason;
use lb_tests::needs_flow_table;
use lb_tests::packet::Setup;
use lb_tests::packet::flows::{Flow, flow_key};
use lb_tests::packet::places::client;
use lb_userspace::edge::dataplane::janitor::Janitor;

use super::{Swept, TCP, tcp};

/// The last that the deletion of the first flow cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cleared {
    Value,
    Key,
    Port,
}

/// A world with a hundred established flows, the first of which is half deleted; its janitor knows nothing of it.
fn killed_after(last: Cleared) -> Swept {
    let mut swept = Swept::new(&Setup::default());
    for n in 0..100 {
        swept.way(&tcp(client(n)).syn()).expect("sent");
        swept.way(&tcp(client(n)).ack()).expect("sent");
    }
    let flow = first(&swept);
    swept.flows.set_value(&flow, 0);
    if last >= Cleared::Key {
        swept.flows.set_key(&flow, 0);
    }
    if last >= Cleared::Port {
        let nobody = Entry { key: 0, value: 0 };
        swept.flows.0.ports.store(flow.value.index() as usize, &nobody);
    }
    swept.janitor = Janitor::default();
    swept
}

fn first(swept: &Swept) -> Flow {
    swept
        .flows
        .of(flow_key(client(0), swept.world.placed(TCP).id))
        .expect("the first flow")
}

#[test]
fn two_sweeps_repair_a_deletion_cut_short() {
    needs_flow_table!();
    for last in [Cleared::Value, Cleared::Key, Cleared::Port] {
        // Make, set up.
        let mut swept = killed_after(last);
        let reason = if last == Cleared::Value {
            Reason::FlowBusy
        } else {
            Reason::NoFlow
        };
        swept.world.not_sent("data", &tcp(client(0)).ack().bytes(), reason);
        // Check: one sweep might have caught a packet at work, the second may act.
        assert_eq!(swept.sweep_and_repair().flows, 99, "{last:?}");
        assert!(
            !swept.flows.contradictions(1, &swept.ports).is_empty(),
            "{last:?}: too early"
        );
        assert_eq!(swept.sweep_and_repair().flows, 99, "{last:?}");
        swept.assert_consistent();
        for n in 1..100 {
            assert!(swept.way(&tcp(client(n)).ack()).is_some(), "{last:?}: flow {n}");
        }
        assert!(
            swept.way(&tcp(client(0)).syn()).is_some(),
            "{last:?}: the client comes again"
        );
        swept.assert_consistent();
    }
}

/// The client that comes again before the repair is not harmed by it.
#[test]
fn a_flow_that_came_again_survives_the_repair() {
    needs_flow_table!();
    for last in [Cleared::Key, Cleared::Port] {
        // Make, set up.
        let mut swept = killed_after(last);
        let way = swept.way(&tcp(client(0)).syn()).expect("sent");
        // Check.
        for _ in 0..5 {
            swept.sweep_and_repair();
            assert_eq!(swept.way(&tcp(client(0)).ack()), Some(way), "{last:?}");
        }
        swept.assert_consistent();
        assert_eq!(swept.sweep().flows, 100, "{last:?}");
    }
}

/// With nothing to repair, nothing is repaired.
#[test]
fn repairs_leave_living_flows_alone() {
    needs_flow_table!();
    // Make, set up.
    let mut swept = Swept::new(&Setup::default());
    let ways: Vec<_> = (0..500)
        .map(|n| swept.way(&tcp(client(n)).syn()).expect("sent"))
        .collect();
    // Check.
    for _ in 0..5 {
        assert_eq!(swept.sweep_and_repair().flows, 500);
    }
    for (n, way) in ways.into_iter().enumerate() {
        assert_eq!(swept.way(&tcp(client(n as u16)).ack()), Some(way));
    }
    swept.assert_consistent();
}
