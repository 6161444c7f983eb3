//! The packet's bytes: the one place where bounds are checked.

use aya_ebpf::{helpers::bpf_xdp_adjust_head, programs::XdpContext};

use crate::wire::{self, Ethernet, Extension, FragmentHeader, Front, Icmp, Ipv4, Ipv6, Ports, Sctp, Tcp, Udp};

/// A header that may be read at any offset of a frame, and its bytes there.
///
/// # Safety
///
/// Valid for every bit pattern, and [`Wire::BYTES`] covers every field.
pub unsafe trait Wire {
    const BYTES: usize;
}

// SAFETY: plain integers; the 14 bytes cover both fields, the struct's tail padding is never touched.
unsafe impl Wire for Ethernet {
    const BYTES: usize = wire::ETHERNET_BYTES;
}
// SAFETY: plain integers without padding.
unsafe impl Wire for Ipv4 {
    const BYTES: usize = size_of::<Ipv4>();
}
// SAFETY: plain integers without padding.
unsafe impl Wire for Ipv6 {
    const BYTES: usize = size_of::<Ipv6>();
}
// SAFETY: plain integers without padding.
unsafe impl Wire for Extension {
    const BYTES: usize = size_of::<Extension>();
}
// SAFETY: plain integers without padding.
unsafe impl Wire for FragmentHeader {
    const BYTES: usize = size_of::<FragmentHeader>();
}
// SAFETY: plain integers without padding.
unsafe impl Wire for Icmp {
    const BYTES: usize = size_of::<Icmp>();
}
// SAFETY: bytes.
unsafe impl<const BYTES: usize> Wire for Front<BYTES> {
    const BYTES: usize = BYTES;
}
// SAFETY: plain integers without padding.
unsafe impl Wire for Ports {
    const BYTES: usize = size_of::<Ports>();
}
// SAFETY: plain integers without padding.
unsafe impl Wire for Sctp {
    const BYTES: usize = size_of::<Sctp>();
}
// SAFETY: plain integers without padding.
unsafe impl Wire for Tcp {
    const BYTES: usize = size_of::<Tcp>();
}
// SAFETY: plain integers without padding.
unsafe impl Wire for Udp {
    const BYTES: usize = size_of::<Udp>();
}

/// The bytes of a frame between `data` and `data_end`. A new one is needed after [`resize_front`]: the old addresses are dead.
#[derive(Clone, Copy)]
pub struct Window {
    start: usize,
    end: usize,
}

impl Window {
    #[inline(always)]
    pub fn of(ctx: &XdpContext) -> Self {
        Self {
            start: ctx.data(),
            end: ctx.data_end(),
        }
    }

    /// Length of the frame in bytes.
    #[inline(always)]
    pub fn length(&self) -> usize {
        self.end - self.start
    }

    /// The header at `offset`, if the frame holds all of it. What is behind the pointer may be read and written until the
    /// frame is resized.
    #[inline(always)]
    pub fn at<T: Wire>(&self, offset: usize) -> Option<*mut T> {
        let header = self.start + offset;
        // The verifier understands `pointer + constant > end`, not `end - pointer < constant`.
        if header + T::BYTES > self.end {
            return None;
        }
        Some(header as *mut T)
    }
}

/// Moves the front of the frame by `bytes`: negative makes room. `None`: the driver left no room, nothing changed.
#[inline(always)]
pub fn resize_front(ctx: &XdpContext, bytes: i32) -> Option<Window> {
    // SAFETY: the context is the one the kernel gave; no address taken before is used again.
    let result = unsafe { bpf_xdp_adjust_head(ctx.ctx, bytes) };
    if result == 0 { Some(Window::of(ctx)) } else { None }
}
