//! Steps 0 and 6: VLAN tags come off before the first step, and those of the next hop go on after the last. No step between sees any.
//!
//! Whether a packet came with tags goes along with it as a number that nothing is known of; which ones is noted for this CPU.

use core::intrinsics::cold_path;

use aya_ebpf::programs::XdpContext;
use lb_common::{abi::Tags, reason::Reason};

use crate::{
    exit::{Step, exit},
    maps::{BACKEND_TAGS, HANDED},
    packet::{self, Window},
    wire::{self, Ethernet, Front, TAG_BYTES},
};

/// Both MACs.
const MACS_BYTES: usize = wire::ETHERNET_BYTES - 2;

/// Whether a packet came with tags.
#[derive(Clone, Copy)]
pub struct Tagged(u32);

/// A frame without tags.
pub struct Untagged {
    pub window: Window,
    /// Of an IP packet, as in the frame.
    pub ethertype: u16,
    pub tagged: Tagged,
}

impl Tagged {
    /// What was noted of it.
    #[inline(always)]
    pub fn noted(tagged: u32) -> Self {
        Self(tagged)
    }

    /// As it is noted; 0: without tags.
    #[inline(always)]
    pub fn note(self) -> u32 {
        self.0
    }
}

/// An IP packet without the tags that it came with.
#[inline(always)]
pub fn arrive(ctx: &XdpContext) -> Step<Untagged> {
    let window = Window::of(ctx);
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return exit(Reason::NotIp);
    };
    // SAFETY: checked to lie in the frame.
    let ethertype = unsafe { (*ethernet).ethertype };
    if !is_ip(ethertype) {
        return take_off(ctx, &window, ethertype);
    }
    // Read once more, it is the same for us alone: the verifier knows nothing of the difference, and so has looked at the rest of
    // the program for tagged packets too.
    // SAFETY: as above.
    let again = unsafe { (&raw const (*ethernet).ethertype).read_volatile() };
    Ok(Untagged {
        window,
        ethertype,
        tagged: Tagged((again ^ ethertype) as u32),
    })
}

#[inline(always)]
fn is_ip(ethertype: u16) -> bool {
    ethertype == wire::ETHERTYPE_IPV4 || ethertype == wire::ETHERTYPE_IPV6
}

#[inline(always)]
fn is_tag(ethertype: u16) -> bool {
    ethertype == wire::ETHERTYPE_VLAN || ethertype == wire::ETHERTYPE_VLAN_SERVICE
}

/// Takes one or two tags off an IP packet; leaves anything else as it is.
#[inline(always)]
fn take_off(ctx: &XdpContext, window: &Window, outermost: u16) -> Step<Untagged> {
    cold_path();
    if !is_tag(outermost) {
        return exit(Reason::NotIp);
    }
    let (outer, behind) = tag(window, MACS_BYTES)?;
    if is_ip(behind) {
        let window = shorten::<TAG_BYTES>(ctx, window)?;
        return noted(window, behind, Tags::of(outer, 0));
    }
    if !is_tag(behind) {
        return exit(Reason::NotIp);
    }
    let (inner, behind) = tag(window, MACS_BYTES + TAG_BYTES)?;
    if !is_ip(behind) {
        return exit(Reason::NotIp);
    }
    let window = shorten::<{ 2 * TAG_BYTES }>(ctx, window)?;
    noted(window, behind, Tags::of(outer, inner))
}

/// The tag at `offset`, and the EtherType behind it.
#[inline(always)]
fn tag(window: &Window, offset: usize) -> Step<(u32, u16)> {
    let Some(bytes) = window.at::<Front<6>>(offset) else {
        return exit(Reason::NotIp);
    };
    // SAFETY: checked to lie in the frame; BPF reads at any address.
    Ok(unsafe { (*bytes.cast::<u32>(), *bytes.cast::<u8>().add(TAG_BYTES).cast::<u16>()) })
}

/// Takes `BYTES` out behind the MACs.
#[inline(always)]
fn shorten<const BYTES: usize>(ctx: &XdpContext, window: &Window) -> Step<Window> {
    move_macs::<BYTES>(window, 0, BYTES)?;
    match packet::resize_front(ctx, BYTES as i32) {
        Some(window) => Ok(window),
        None => exit(Reason::Internal),
    }
}

/// Copies both MACs to another place among the first `MACS_BYTES + BYTES` bytes; gives where these begin.
#[inline(always)]
fn move_macs<const BYTES: usize>(window: &Window, from: usize, to: usize) -> Step<*mut u8> {
    let front: Option<*mut u8> = if BYTES == TAG_BYTES {
        window
            .at::<Front<{ MACS_BYTES + TAG_BYTES }>>(0)
            .map(|front| front.cast())
    } else {
        window
            .at::<Front<{ MACS_BYTES + 2 * TAG_BYTES }>>(0)
            .map(|front| front.cast())
    };
    let Some(front) = front else {
        return exit(Reason::Internal);
    };
    // SAFETY: both places lie in what was checked; only this run has the frame. All is read before anything is written.
    unsafe {
        let there = front.add(from).cast::<u32>();
        let (first, second, third) = (*there, *there.add(1), *there.add(2));
        let place = front.add(to).cast::<u32>();
        *place = first;
        *place.add(1) = second;
        *place.add(2) = third;
    }
    Ok(front)
}

#[inline(always)]
fn noted(window: Window, ethertype: u16, tags: Tags) -> Step<Untagged> {
    let Some(handed) = HANDED.get_ptr_mut(0) else {
        return exit(Reason::Internal);
    };
    // SAFETY: this CPU's; nobody else writes to it. By way of the map's memory, so that the verifier does not know the number.
    let tagged = unsafe {
        (*handed).tags = tags;
        (&raw mut (*handed).tagged).write_volatile(1);
        (&raw const (*handed).tagged).cast::<u16>().read_volatile()
    };
    Ok(Untagged {
        window,
        ethertype,
        tagged: Tagged(tagged as u32),
    })
}

/// Puts the tags on that a packet came with.
#[inline(always)]
pub fn put_back(ctx: &XdpContext, tagged: Tagged) -> Step<()> {
    if tagged.0 == 0 {
        return Ok(());
    }
    cold_path();
    match HANDED.get(0) {
        Some(handed) => put_on(ctx, handed.tags),
        None => exit(Reason::Internal),
    }
}

/// Puts the tags of a backend's next hop on, which its flags say that it has.
#[inline(always)]
pub fn to_backend(ctx: &XdpContext, tagged: Tagged, id: u32) -> Step<()> {
    cold_path();
    match BACKEND_TAGS.get(id) {
        Some(tags) => leave(ctx, tagged, *tags),
        None => exit(Reason::Internal),
    }
}

/// Puts the tags of a next hop on.
#[inline(always)]
pub fn leave(ctx: &XdpContext, tagged: Tagged, tags: Tags) -> Step<()> {
    if tags == Tags::NONE {
        return Ok(());
    }
    cold_path();
    if tags == Tags::KEPT {
        return put_back(ctx, tagged);
    }
    put_on(ctx, tags)
}

#[inline(always)]
fn put_on(ctx: &XdpContext, tags: Tags) -> Step<()> {
    if tags.inner() == 0 {
        let place = lengthen::<TAG_BYTES>(ctx)?;
        // SAFETY: there is so much room behind the MACs.
        unsafe { *place = tags.outer() };
    } else {
        let place = lengthen::<{ 2 * TAG_BYTES }>(ctx)?;
        // SAFETY: there is so much room behind the MACs.
        unsafe {
            *place = tags.outer();
            *place.add(1) = tags.inner();
        }
    }
    Ok(())
}

/// Makes room for `BYTES` behind the MACs.
#[inline(always)]
fn lengthen<const BYTES: usize>(ctx: &XdpContext) -> Step<*mut u32> {
    let Some(window) = packet::resize_front(ctx, -(BYTES as i32)) else {
        return exit(Reason::NoHeadroom);
    };
    let front = move_macs::<BYTES>(&window, BYTES, 0)?;
    Ok(front.wrapping_add(MACS_BYTES).cast())
}
