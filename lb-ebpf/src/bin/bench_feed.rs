//! What the benchmark runs in front of a program under test: it puts the packet back and tail-calls the program.
//!
//! `BPF_PROG_TEST_RUN` with many repetitions restores neither the bytes nor the front of a packet, so the second run of a program
//! that encapsulates would see its own output. The work done here is the same whatever the program did, and is taken off
//! the figures by running a program that only drops.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, xdp_action::XDP_ABORTED},
    btf_maps::{Array, ProgramArray},
    helpers::bpf_xdp_adjust_head,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use lb_common::{
    bench::{FRONT_WORDS, FRONT6_WORDS, Feed, LISTED_PER_VALUE, ListLine, Listed, client_of, feed_flags},
    checksum::{change16, change32, update},
    flow::mix,
};

const MAPPED: usize = BPF_F_MMAPABLE as usize;

#[btf_map]
static FEED: Array<Feed, 1, MAPPED> = Array::new();
#[btf_map]
static FEED_LIST: Array<ListLine, 1, MAPPED> = Array::new();
#[btf_map]
static NEXT: ProgramArray<1> = ProgramArray::new();

const FRONT_BYTES: usize = FRONT_WORDS * 8;
const IP_CHECKSUM: usize = 24;
const SOURCE: usize = 26;
const DESTINATION: usize = 30;
const SOURCE_PORT: usize = 34;
const DESTINATION_PORT: usize = 36;
const UDP_CHECKSUM: usize = 40;
const TCP_CHECKSUM: usize = 50;

/// Bytes of a VLAN tag.
const TAG_BYTES: usize = 4;

/// From clients, each packet of another flow.
#[xdp]
pub fn feed(ctx: XdpContext) -> u32 {
    run::<0>(&ctx, of_client)
}

/// The same with a VLAN tag.
#[xdp]
pub fn feed_tagged(ctx: XdpContext) -> u32 {
    run::<TAG_BYTES>(&ctx, of_client)
}

/// From IPv6 clients, each packet of another flow.
#[xdp]
pub fn feed_six(ctx: XdpContext) -> u32 {
    run_six(&ctx, of_client)
}

/// From backends, by the list.
#[xdp]
pub fn feed_listed(ctx: XdpContext) -> u32 {
    run::<0>(&ctx, of_list)
}

/// From IPv6 backends, by the list.
#[xdp]
pub fn feed_six_listed(ctx: XdpContext) -> u32 {
    run_six(&ctx, of_list)
}

/// Addresses, of IPv6 their last four bytes, and ports, as in the packet.
#[derive(Clone, Copy)]
struct Ends {
    source: u32,
    destination: u32,
    source_port: u16,
    destination_port: u16,
}

/// `TAGS`: bytes of tags.
#[inline(always)]
fn run<const TAGS: usize>(ctx: &XdpContext, ends: impl Fn(&Feed, u64, Ends) -> Option<Ends>) -> u32 {
    if put_back::<TAGS>(ctx, ends).is_some() {
        // SAFETY: the context is the kernel's. Returns only when there is no program to go on with.
        unsafe { NEXT.tail_call(ctx, 0) };
    }
    XDP_ABORTED
}

#[inline(always)]
fn run_six(ctx: &XdpContext, ends: impl Fn(&Feed, u64, Ends) -> Option<Ends>) -> u32 {
    if put_back_six(ctx, ends).is_some() {
        // SAFETY: the context is the kernel's. Returns only when there is no program to go on with.
        unsafe { NEXT.tail_call(ctx, 0) };
    }
    XDP_ABORTED
}

#[inline(always)]
fn put_back<const TAGS: usize>(ctx: &XdpContext, ends: impl Fn(&Feed, u64, Ends) -> Option<Ends>) -> Option<()> {
    let feed = FEED.get_ptr_mut(0)?;
    // SAFETY: one CPU runs this; the benchmark writes only between runs.
    let feed = unsafe { &mut *feed };
    let count = feed.count;
    feed.count = count + 1;
    let data = front::<FRONT_BYTES>(ctx, feed.length)?;
    // SAFETY: the front's 56 bytes are in the frame, as `front` has checked; BPF reads and writes at any address.
    unsafe {
        for word in 0..FRONT_WORDS {
            *((data + word * 8) as *mut u64) = feed.front[word];
        }
        let data = data + TAGS;
        let first = Ends {
            source: *((data + SOURCE) as *const u32),
            destination: *((data + DESTINATION) as *const u32),
            source_port: *((data + SOURCE_PORT) as *const u16),
            destination_port: *((data + DESTINATION_PORT) as *const u16),
        };
        let own = ends(feed, count, first)?;
        let addresses = change32(first.source, own.source) + change32(first.destination, own.destination);
        let ports =
            change16(first.source_port, own.source_port) + change16(first.destination_port, own.destination_port);
        *((data + SOURCE) as *mut u32) = own.source;
        *((data + DESTINATION) as *mut u32) = own.destination;
        *((data + SOURCE_PORT) as *mut u16) = own.source_port;
        *((data + DESTINATION_PORT) as *mut u16) = own.destination_port;
        let checksum = (data + IP_CHECKSUM) as *mut u16;
        *checksum = update(*checksum, addresses);
        let checksum = if feed.flags & feed_flags::UDP == 0 {
            data + TCP_CHECKSUM
        } else {
            data + UDP_CHECKSUM
        };
        let checksum = checksum as *mut u16;
        *checksum = update(*checksum, addresses + ports);
    }
    Some(())
}

/// The same with IPv6, whose ends differ in the last four bytes of their addresses.
#[inline(always)]
fn put_back_six(ctx: &XdpContext, ends: impl Fn(&Feed, u64, Ends) -> Option<Ends>) -> Option<()> {
    let feed = FEED.get_ptr_mut(0)?;
    // SAFETY: one CPU runs this; the benchmark writes only between runs.
    let feed = unsafe { &mut *feed };
    let count = feed.count;
    feed.count = count + 1;
    let data = front::<{ six::FRONT_BYTES }>(ctx, feed.length)?;
    // SAFETY: the front's 80 bytes are in the frame, as `front` has checked; BPF reads and writes at any address.
    unsafe {
        for word in 0..FRONT6_WORDS {
            *((data + word * 8) as *mut u64) = feed.front[word];
        }
        let first = Ends {
            source: *((data + six::SOURCE_END) as *const u32),
            destination: *((data + six::DESTINATION_END) as *const u32),
            source_port: *((data + six::SOURCE_PORT) as *const u16),
            destination_port: *((data + six::DESTINATION_PORT) as *const u16),
        };
        let own = ends(feed, count, first)?;
        let change = change32(first.source, own.source)
            + change32(first.destination, own.destination)
            + change16(first.source_port, own.source_port)
            + change16(first.destination_port, own.destination_port);
        *((data + six::SOURCE_END) as *mut u32) = own.source;
        *((data + six::DESTINATION_END) as *mut u32) = own.destination;
        *((data + six::SOURCE_PORT) as *mut u16) = own.source_port;
        *((data + six::DESTINATION_PORT) as *mut u16) = own.destination_port;
        let checksum = if feed.flags & feed_flags::UDP == 0 {
            data + six::TCP_CHECKSUM
        } else {
            data + six::UDP_CHECKSUM
        };
        let checksum = checksum as *mut u16;
        *checksum = update(*checksum, change);
    }
    Some(())
}

/// Places in an IPv6 frame.
mod six {
    pub const FRONT_BYTES: usize = super::FRONT6_WORDS * 8;
    /// The source address's last four bytes.
    pub const SOURCE_END: usize = 34;
    /// The same of the destination's.
    pub const DESTINATION_END: usize = 50;
    pub const SOURCE_PORT: usize = 54;
    pub const DESTINATION_PORT: usize = 56;
    pub const UDP_CHECKSUM: usize = 60;
    pub const TCP_CHECKSUM: usize = 70;
}

/// Gives the frame its length again, at its front, where programs take from it and add to it. Called also where nothing
/// changed, so that it costs the same.
#[inline(always)]
fn front<const BYTES: usize>(ctx: &XdpContext, length: u32) -> Option<usize> {
    // Cut to 16 bits between the two subtractions: turned round they would count with a packet's address, which the verifier
    // refuses.
    let now = (ctx.data_end() - ctx.data()) as u16;
    let grown = now as i32 - length as i32;
    // SAFETY: the context is the kernel's; no address was taken before.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, grown) } != 0 {
        return None;
    }
    let data = ctx.data();
    if data + BYTES > ctx.data_end() {
        return None;
    }
    Some(data)
}

#[inline(always)]
fn of_client(feed: &Feed, count: u64, first: Ends) -> Option<Ends> {
    let number = if feed.flags & feed_flags::IN_ORDER == 0 {
        mix(count)
    } else {
        count
    };
    let flow = feed.first.wrapping_add(number as u32 & feed.mask);
    let (client, port) = client_of(flow);
    Some(Ends {
        source: feed.client.wrapping_add(client).to_be(),
        source_port: port.to_be(),
        ..first
    })
}

#[inline(always)]
fn of_list(feed: &Feed, count: u64, first: Ends) -> Option<Ends> {
    let place = count as u32 & feed.mask;
    let line = FEED_LIST.get(place / LISTED_PER_VALUE as u32)?;
    let listed = Listed(line.0[place as usize % LISTED_PER_VALUE]);
    Some(Ends {
        source: feed.backend.wrapping_add(listed.backend()).to_be(),
        destination: feed.source.wrapping_add(listed.source()).to_be(),
        destination_port: listed.port().to_be(),
        ..first
    })
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
