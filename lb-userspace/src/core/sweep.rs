//! When `fullnat` forgets a flow.

use lb_common::abi::{FlowValue, flow_state};

use super::model::{FlowTimeouts, Protocol};

/// Whether a flow is over at `now`, seconds of the data plane's clock modulo 2^16. `forward` is its value in the flow table,
/// `back` the one in the ports' array: each direction notes its own state and when it was last seen.
///
/// Closed is what an RST from either side or a FIN from both has ended (RFC 9293, section 3.6). A clock of 16 bits is enough,
/// because no timeout exceeds 12 hours and the clock only runs while flows are swept.
pub fn expired(forward: FlowValue, back: FlowValue, now: u16, protocol: Protocol, timeouts: &FlowTimeouts) -> bool {
    let idle = now.wrapping_sub(forward.stamp()).min(now.wrapping_sub(back.stamp()));
    idle as u64 >= timeout(forward.state(), back.state(), protocol, timeouts)
}

fn timeout(forward: u8, back: u8, protocol: Protocol, timeouts: &FlowTimeouts) -> u64 {
    let timeout = match protocol {
        // `fullnat` has no services of the others.
        Protocol::Udp | Protocol::Sctp | Protocol::Any => timeouts.udp,
        Protocol::Tcp if forward == flow_state::RST || back == flow_state::RST => timeouts.tcp_closed,
        Protocol::Tcp if forward == flow_state::FIN && back == flow_state::FIN => timeouts.tcp_closed,
        Protocol::Tcp if forward == flow_state::EMBRYONIC => timeouts.tcp_embryonic,
        Protocol::Tcp => timeouts.tcp_established,
    };
    timeout.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TIMEOUTS: FlowTimeouts = FlowTimeouts {
        tcp_embryonic: Duration::from_secs(60),
        tcp_established: Duration::from_secs(7440),
        tcp_closed: Duration::from_secs(10),
        udp: Duration::from_secs(120),
    };

    fn over_after(forward: u8, back: u8, protocol: Protocol) -> u16 {
        // The clock wraps on the way.
        let start = 65_530u16;
        let value = |state| FlowValue::new(1, 1, state, start);
        let over = |idle: u16| {
            expired(
                value(forward),
                value(back),
                start.wrapping_add(idle),
                protocol,
                &TIMEOUTS,
            )
        };
        let first = (0..=u16::MAX).find(|idle| over(*idle)).unwrap();
        assert!(over(first.saturating_add(1)));
        first
    }

    #[test]
    fn each_state_has_its_timeout() {
        use flow_state::{EMBRYONIC, ESTABLISHED, FIN, RST};
        assert_eq!(over_after(EMBRYONIC, EMBRYONIC, Protocol::Tcp), 60);
        assert_eq!(over_after(ESTABLISHED, ESTABLISHED, Protocol::Tcp), 7440);
        assert_eq!(over_after(FIN, ESTABLISHED, Protocol::Tcp), 7440);
        assert_eq!(over_after(ESTABLISHED, FIN, Protocol::Tcp), 7440);
        assert_eq!(over_after(FIN, FIN, Protocol::Tcp), 10);
        assert_eq!(over_after(ESTABLISHED, RST, Protocol::Tcp), 10);
        assert_eq!(over_after(RST, EMBRYONIC, Protocol::Tcp), 10);
        assert_eq!(over_after(ESTABLISHED, ESTABLISHED, Protocol::Udp), 120);
    }

    #[test]
    fn either_direction_keeps_a_flow() {
        let old = FlowValue::new(1, 1, flow_state::ESTABLISHED, 0);
        let fresh = FlowValue::new(1, 1, flow_state::ESTABLISHED, 9000);
        assert!(expired(old, old, 9000, Protocol::Tcp, &TIMEOUTS));
        assert!(!expired(old, fresh, 9000, Protocol::Tcp, &TIMEOUTS));
        assert!(!expired(fresh, old, 9000, Protocol::Tcp, &TIMEOUTS));
    }
}
