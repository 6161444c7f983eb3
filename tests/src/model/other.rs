//! What has neither TCP nor UDP: ICMP, SCTP (RFC 9260), and what has no ports.

use lb_common::reason::Reason;

use super::frame::{Frame, ICMP, ICMPV6, Other};
use super::{Balancer, Fate, Step, end};

impl Balancer {
    /// What has neither TCP nor UDP.
    pub(super) fn neither(&mut self, frame: &Frame) -> Step<Fate> {
        match self.icmp(frame) {
            Some(fate) => fate,
            None => self.other(frame),
        }
    }

    /// SCTP, and what has no ports.
    fn other(&mut self, frame: &Frame) -> Step<Fate> {
        let ends = match frame.other_ends()? {
            Other::Known(ends) => ends,
            Other::Short(ends) if self.has_address(ends.to.ip()) => return end(Reason::ShortHeader),
            Other::Short(_) => return end(Reason::NotTcpUdp),
        };
        let is_icmp = ends.protocol == if frame.is_ipv6() { ICMPV6 } else { ICMP };
        let Some(number) = self.find(&ends).filter(|_| !is_icmp) else {
            return end(Reason::NotTcpUdp);
        };
        self.forward(frame, &ends, number)
    }
}
