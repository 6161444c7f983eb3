//! A flow that is made while the janitor takes its entry for a leftover.

use lb_common::abi::{Entry, FlowValue, flow_state};
use lb_tests::needs_flow_table;
use lb_tests::packet::Setup;
use lb_tests::packet::flows::flow_key;
use lb_tests::packet::places::client;

use super::{Swept, TCP, tcp};

/// A client's old port is a leftover of a deletion that was cut short. The client comes again: its entry has a key and no value
/// yet when the janitor looks, and a value when the janitor deletes. It is a living flow by then.
#[test]
fn a_flow_that_is_finished_meanwhile_lives() {
    needs_flow_table!();
    // Make: the first flow's entry is gone, its port is not; the second flow is over; the third is to lend its port.
    let mut swept = Swept::new(&Setup::default());
    let [old, over, lent] = [0, 1, 2].map(|n| {
        swept.way(&tcp(client(n)).syn()).expect("sent");
        let key = flow_key(client(n), swept.world.placed(TCP).id);
        swept.flows.of(key).expect("a flow")
    });
    swept.way(&tcp(client(1)).rst()).expect("sent");
    swept.flows.set_value(&old, 0);
    swept.flows.set_key(&old, 0);
    // Set up: the janitor has seen the leftover once; then a packet of the first flow is half through the program.
    swept.sweep();
    swept.wait(3);
    let new = lent.value.index();
    swept.flows.set_value(&lent, 0);
    swept.flows.set_key(&lent, 0);
    let published = FlowValue::new(FlowValue::PUBLISHED, old.value.backend(), flow_state::EMBRYONIC, 3);
    let holder = Entry {
        key: old.key.0,
        value: published.0,
    };
    swept.flows.0.ports.store(new as usize, &holder);
    swept.flows.set_key(&old, old.key.0);
    // Check: the packet leaves the program in the janitor's grace period, which would wait for it.
    let finished = FlowValue::new(new, old.value.backend(), flow_state::EMBRYONIC, 3);
    let flows = &swept.flows;
    let report = swept.janitor.sweep_with(&swept.view, &super::TIMEOUTS, || {
        assert_eq!(
            flows.0.flows.load(over.bucket).entries[over.place].value,
            0,
            "all has been looked at"
        );
        flows.set_value(&old, finished.0);
    });
    assert_eq!(report.expired, 2, "the old port, and the flow that was over");
    let way = swept.way(&tcp(client(0)).ack()).expect("the flow is known");
    assert_eq!(way.0.port(), new as u16);
    swept.sweep();
    swept.assert_consistent();
}
