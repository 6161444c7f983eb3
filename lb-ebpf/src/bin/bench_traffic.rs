//! The ends of a benchmark of forwarding: what sends packets into a balancer's interface, and what they end in behind it.
//!
//! `generate` is run by `BPF_PROG_TEST_RUN` with live frames: each run is a packet that really leaves, by a redirect. The kernel
//! gives the same pages again and again, with the bytes that the last packet was left with, so the whole front is written
//! each time. `sink` and `sink_skb` count what arrives, as the driver has it or as the stack has it.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::{
        BPF_F_MMAPABLE, TC_ACT_SHOT,
        xdp_action::{XDP_ABORTED, XDP_DROP},
    },
    btf_maps::{Array, DevMap, PerCpuArray},
    helpers::bpf_ktime_get_ns,
    macros::{btf_map, classifier, xdp},
    programs::{TcContext, XdpContext},
};
use lb_common::{
    bench::{
        FRONT_WORDS, client_of,
        traffic::{
            FLOW_GROUPS, Generator, HEADER_BYTES, KEPT_EVERY, KEPT_WORDS, LABEL_BYTES, MAGIC, MAX_EXITS, Sunk, flags,
        },
    },
    checksum::{change16, change32, update},
    flow::mix,
};

const MAPPED: usize = BPF_F_MMAPABLE as usize;

#[btf_map]
static GENERATOR: Array<Generator, 1, MAPPED> = Array::new();
#[btf_map]
static EXITS: DevMap<{ MAX_EXITS as usize }> = DevMap::new();
#[btf_map]
static SUNK: PerCpuArray<Sunk, 1> = PerCpuArray::new();
#[btf_map]
static NEWEST: Array<u64, { FLOW_GROUPS as usize }> = Array::new();

const FRONT_BYTES: usize = FRONT_WORDS * 8;
const ETHERTYPE: usize = 12;
const PROTOCOL: usize = 23;
const IP_CHECKSUM: usize = 24;
const SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;
const UDP_CHECKSUM: usize = 40;
const FLOW: usize = HEADER_BYTES;
const SEQUENCE: usize = FLOW + 4;
const OUTER_BYTES: usize = 20;

const ETHERTYPE_IPV4: u16 = 0x0800u16.to_be();
const IPIP: u8 = 4;
const UDP: u8 = 17;

/// The shortest packet that can be ours.
const SHORTEST_BYTES: usize = HEADER_BYTES + LABEL_BYTES;

/// Sends a packet of the next flow.
#[xdp]
pub fn generate(ctx: XdpContext) -> u32 {
    match write(&ctx) {
        Some(exit) => EXITS.redirect(exit, 0).unwrap_or(XDP_ABORTED),
        None => XDP_ABORTED,
    }
}

#[inline(always)]
fn write(ctx: &XdpContext) -> Option<u32> {
    let generator = GENERATOR.get_ptr_mut(0)?;
    // SAFETY: one CPU runs this; the benchmark writes only between runs.
    let generator = unsafe { &mut *generator };
    let count = generator.count;
    let sequence = count + 1;
    generator.count = sequence;
    for mark in 0..2 {
        if sequence == generator.marks[mark] {
            // SAFETY: it has no conditions.
            generator.times[mark] = unsafe { bpf_ktime_get_ns() };
        }
    }
    let data = ctx.data();
    if data + FRONT_BYTES > ctx.data_end() {
        return None;
    }
    let number = if generator.flags & flags::IN_ORDER == 0 {
        mix(count)
    } else {
        count
    };
    let flow = number as u32 & generator.mask;
    let (client, port) = client_of(flow);
    let (source, port) = (generator.client.wrapping_add(client).to_be(), port.to_be());
    // SAFETY: the front's 56 bytes are in the frame, as checked above; BPF reads and writes at any address.
    unsafe {
        for word in 0..FRONT_WORDS {
            *((data + word * 8) as *mut u64) = generator.front[word];
        }
        let address = change32(*((data + SOURCE) as *const u32), source);
        let port_change = change16(*((data + SOURCE_PORT) as *const u16), port);
        let label = change32(0, flow) + change32(0, sequence as u32) + change32(0, (sequence >> 32) as u32);
        *((data + SOURCE) as *mut u32) = source;
        *((data + SOURCE_PORT) as *mut u16) = port;
        *((data + FLOW) as *mut u32) = flow;
        *((data + SEQUENCE) as *mut u64) = sequence;
        let checksum = (data + IP_CHECKSUM) as *mut u16;
        *checksum = update(*checksum, address);
        let checksum = (data + UDP_CHECKSUM) as *mut u16;
        *checksum = match update(*checksum, address + port_change + label) {
            // Zero would say that there is none (RFC 768).
            0 => 0xffff,
            sum => sum,
        };
    }
    Some(generator.exit)
}

/// Ends what arrives in the driver.
#[xdp]
pub fn sink(ctx: XdpContext) -> u32 {
    take(ctx.data(), ctx.data_end());
    XDP_DROP
}

/// Ends what arrives in the stack.
#[classifier]
pub fn sink_skb(ctx: TcContext) -> i32 {
    take(ctx.data(), ctx.data_end());
    TC_ACT_SHOT
}

#[inline(always)]
fn take(data: usize, end: usize) {
    let Some(sunk) = SUNK.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's counters.
    let sunk = unsafe { &mut *sunk };
    match label(data, end) {
        Some((flow, sequence)) => count(sunk, data, end, flow, sequence),
        None => sunk.others += 1,
    }
}

/// Flow and number of a packet, if it is one of ours.
#[inline(always)]
fn label(data: usize, end: usize) -> Option<(u32, u64)> {
    if data + SHORTEST_BYTES > end {
        return None;
    }
    // SAFETY: both lie in the first 60 bytes, which are in the frame by the check above.
    let (ethertype, protocol) = unsafe { (*((data + ETHERTYPE) as *const u16), *((data + PROTOCOL) as *const u8)) };
    if ethertype != ETHERTYPE_IPV4 {
        return None;
    }
    let label = match protocol {
        UDP => data + HEADER_BYTES,
        IPIP => data + OUTER_BYTES + HEADER_BYTES,
        _ => return None,
    };
    if label + LABEL_BYTES > end {
        return None;
    }
    // SAFETY: the label is in the frame by the check above; BPF reads at any address.
    unsafe {
        if *((label + 14) as *const u32) != MAGIC {
            return None;
        }
        Some((*(label as *const u32), *((label + 4) as *const u64)))
    }
}

#[inline(always)]
fn count(sunk: &mut Sunk, data: usize, end: usize, flow: u32, sequence: u64) {
    sunk.packets += 1;
    sunk.bytes += (end - data) as u64;
    if let Some(newest) = NEWEST.get_ptr_mut(flow & (FLOW_GROUPS - 1)) {
        // SAFETY: packets of one flow arrive on one CPU.
        unsafe {
            if sequence > *newest {
                *newest = sequence;
            } else {
                sunk.late += 1;
            }
        }
    }
    if sunk.packets & (KEPT_EVERY - 1) == 0 {
        keep(sunk, data, end);
    }
}

/// Keeps the first bytes of a packet, for the benchmark to look at.
#[inline(always)]
fn keep(sunk: &mut Sunk, data: usize, end: usize) {
    sunk.kept_bytes = (end - data) as u64;
    for word in 0..KEPT_WORDS {
        if data + (word + 1) * 4 > end {
            break;
        }
        // SAFETY: the word is in the frame by the check above; BPF reads at any address.
        sunk.kept[word] = unsafe { *((data + word * 4) as *const u32) };
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
