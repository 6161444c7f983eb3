//! The sum over all of a datagram: UDP in IPv4 may be without a checksum, in IPv6 not (RFC 7915, section 4.5).

use aya_ebpf::helpers::bpf_csum_diff;
use lb_common::{
    checksum::{fold, halves},
    reason::Reason,
};

use crate::{
    exit::{Step, exit},
    packet::Window,
    wire::Front,
};

/// The longest datagram that is summed: what fits into a large Ethernet frame, and is not worth more.
const MOST: u32 = 9216;
/// No place in a frame is beyond this.
const LARGEST_PLACE: usize = 0x3fff;
/// Bytes that the kernel sums in one go.
const STEP: u32 = 512;

/// One's complement sum of so many bytes at `offset`, folded.
#[inline(always)]
pub fn sum(window: &Window, offset: usize, bytes: u32) -> Step<u16> {
    if bytes > MOST {
        return exit(Reason::NotTranslated);
    }
    let mut sum = Sum {
        at: offset,
        left: bytes,
        total: 0,
    };
    for _ in 0..MOST / STEP {
        sum = sum.step::<{ STEP as usize }>(window)?;
    }
    sum = sum.step::<256>(window)?;
    sum = sum.step::<128>(window)?;
    sum = sum.step::<64>(window)?;
    sum = sum.step::<32>(window)?;
    sum = sum.step::<16>(window)?;
    sum = sum.step::<8>(window)?;
    sum = sum.step::<4>(window)?;
    sum.rest(window)
}

/// How far a sum is.
struct Sum {
    at: usize,
    left: u32,
    total: u32,
}

impl Sum {
    /// `BYTES` more, if there are so many.
    #[inline(always)]
    fn step<const BYTES: usize>(self, window: &Window) -> Step<Self> {
        let Self {
            mut at,
            mut left,
            mut total,
        } = self;
        if left >= BYTES as u32 {
            let Some(part) = window.at::<Front<BYTES>>(at) else {
                return exit(Reason::Internal);
            };
            // SAFETY: that many bytes were checked to lie in the frame.
            let sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, part.cast(), BYTES as u32, 0) };
            total = fold(halves(sum as u32) + total) as u32;
            at += BYTES;
            left -= BYTES as u32;
        }
        Ok(Self {
            at: forgotten(at)?,
            left: left & LARGEST_PLACE as u32,
            total,
        })
    }

    /// The last three bytes or fewer; an odd one is padded with zero (RFC 1071).
    #[inline(always)]
    fn rest(self, window: &Window) -> Step<u16> {
        let Self {
            mut at,
            left,
            mut total,
        } = self;
        if left & 2 != 0 {
            let Some(pair) = window.at::<Front<2>>(at) else {
                return exit(Reason::Internal);
            };
            // SAFETY: checked to lie in the frame.
            total += u16::from_ne_bytes(unsafe { (*pair).0 }) as u32;
            at += 2;
        }
        if left & 1 != 0 {
            // With the one before it: the verifier does not follow a check for a single byte.
            let Some(last) = window.at::<Front<2>>(forgotten(at.wrapping_sub(1))?) else {
                return exit(Reason::Internal);
            };
            // SAFETY: checked to lie in the frame.
            total += u16::from_ne_bytes([unsafe { (*last).0[1] }, 0]) as u32;
        }
        Ok(fold(total))
    }
}

/// See [`super::forgotten`].
#[inline(always)]
fn forgotten(place: usize) -> Step<usize> {
    Ok(super::forgotten(place as u32)? as usize & LARGEST_PLACE)
}
