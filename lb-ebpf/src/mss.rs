//! The largest segment that TCP's ends tell each other to send, in their SYNs (RFC 9293, section 3.7.1), made smaller: for a path whose links take
//! less, and where the ICMP that would say so is lost.

use core::intrinsics::cold_path;

use lb_common::{
    abi::{Service, service_flags},
    checksum::{change16, update},
    reason::Reason,
};

use crate::{
    exit::{Step, exit},
    forgotten,
    maps::FOUND,
    packet::Window,
    parse::{Header, Packet},
    wire::{self, Front, Tcp, tcp_flags},
};

/// Options that are looked at. In what systems send it is the first.
const OPTIONS: usize = 6;

/// Kinds of options, and the length of the one.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const MSS_BYTES: u8 = 4;

/// Makes a SYN name no larger segments than its service says, if it says anything.
#[inline(always)]
pub fn clamp<F: Header>(window: &Window, packet: &Packet<F>, service: &Service) -> Step<()> {
    let most = (service.flags >> service_flags::MSS_SHIFT) as u16;
    if most == 0 || packet.tcp_flags & tcp_flags::SYN == 0 {
        return Ok(());
    }
    cold_path();
    let l4 = packet.l4();
    let (Some(tcp), Some(found)) = (window.at::<Tcp>(l4), FOUND.get_ptr_mut(0)) else {
        return exit(Reason::Internal);
    };
    // SAFETY: this CPU's.
    let word = unsafe { &raw mut (*found).word };
    // SAFETY: checked to lie in the frame.
    let end = unsafe { (*tcp).offset } >> 4 << 2;
    let mut at = wire::TCP_BYTES as u8;
    for _ in 0..OPTIONS {
        // SAFETY: this CPU's.
        at = unsafe { forgotten::number(word, at as u32) } as u8;
        // The shortest that has a length; the one that is wanted is no shorter.
        let Some(option) = window.at::<Front<4>>(l4 + at as usize) else {
            return Ok(());
        };
        // SAFETY: checked to lie in the frame.
        let [kind, length, high, low] = unsafe { (*option).0 };
        if at.wrapping_add(MSS_BYTES) > end || kind == END {
            return Ok(());
        }
        if kind == MSS && length == MSS_BYTES {
            let old = u16::from_be_bytes([high, low]);
            if old > most {
                // SAFETY: checked to lie in the frame; only this run has the frame.
                unsafe {
                    (*option).0[2] = (most >> 8) as u8;
                    (*option).0[3] = most as u8;
                }
                return correct(window, l4, at, old.to_be(), most.to_be());
            }
            return Ok(());
        }
        at = match (kind, length) {
            (NO_OPERATION, _) => at + 1,
            // Not even itself: nobody knows where the next one begins.
            (_, 0 | 1) => return Ok(()),
            // Past the end: in a byte it would lead back.
            (_, length) if length > end.wrapping_sub(at) => return Ok(()),
            (_, length) => at.wrapping_add(length),
        };
    }
    Ok(())
}

/// Corrects the checksum for a number in an option that begins at `at`, an odd place or an even one (RFC 1071, section 2 B).
#[inline(always)]
fn correct(window: &Window, l4: usize, at: u8, old: u16, new: u16) -> Step<()> {
    let Some(tcp) = window.at::<Tcp>(l4) else {
        return exit(Reason::Internal);
    };
    let change = match at & 1 {
        0 => change16(old, new),
        _ => change16(old.swap_bytes(), new.swap_bytes()),
    };
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe { (*tcp).checksum = update((*tcp).checksum, change) };
    Ok(())
}
