//! Echo requests to a service's address (RFC 792; RFC 4443, section 4.1), answered where they came in.

use lb_common::{
    checksum::{change16, update},
    reason::Reason,
};

use super::{Control, ControlPacket, reverse};
use crate::{
    exit::{Send, Step, exit},
    packet::Window,
    service,
};

#[inline(always)]
pub fn reply<F: Control>(window: &Window, packet: &ControlPacket<F>) -> Step<Send> {
    if !service::has_address::<F>(packet.destination) || !F::may_be_told(packet.source) {
        return exit(Reason::NotTcpUdp);
    }
    let icmp = packet.icmp;
    let (request, reply) = F::ECHO;
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe {
        let checksum = update((*icmp).checksum, change16(request, reply));
        (*icmp).kind = reply;
        // A reply may be nothing but zeroes, whose checksum is ffff; where it would be 0, ffff is as good.
        (*icmp).checksum = if checksum == 0 { 0xffff } else { checksum };
    }
    F::turn_round(window, packet)?;
    reverse(window)?;
    exit(Reason::EchoAnswered)
}
