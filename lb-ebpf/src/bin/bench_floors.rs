//! The floors of the benchmark: the smallest programs that do a part of the work, to compare the balancer with.
//!
//! Written for speed alone, with none of the library's steps: what these cost is what the kernel and the hardware take.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::{
        BPF_F_MMAPABLE,
        xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX},
        xdp_md,
    },
    btf_maps::{Array, HashMap, PerCpuArray},
    helpers::bpf_xdp_adjust_head,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use lb_common::bench::{
    FLOOR_BACKENDS, FLOOR_SERVICES, FLOOR_TABLE_SIZE, FloorBackend, FloorCounters, FloorService, FloorVip,
};

const SERVICES: usize = FLOOR_SERVICES as usize;
const BACKENDS: usize = FLOOR_BACKENDS as usize;

#[btf_map]
static FLOOR_VIPS: HashMap<FloorVip, FloorService, SERVICES> = HashMap::new();
#[btf_map]
static FLOOR_SLOTS: Array<u32, { FLOOR_TABLE_SIZE as usize }, { BPF_F_MMAPABLE as usize }> = Array::new();
#[btf_map]
static FLOOR_REALS: Array<FloorBackend, BACKENDS> = Array::new();
#[btf_map]
static FLOOR_SERVICE: PerCpuArray<FloorCounters, SERVICES> = PerCpuArray::new();
#[btf_map]
static FLOOR_BACKEND: PerCpuArray<FloorCounters, BACKENDS> = PerCpuArray::new();

const ETHERTYPE_IPV4: u16 = 0x0800u16.to_be();
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Ethernet, IPv4 without options, and ports.
const FRONT_BYTES: usize = 38;
const OUTER_BYTES: usize = 34;

/// Ends every packet.
#[xdp]
pub fn floor_drop(_: XdpContext) -> u32 {
    XDP_DROP
}

/// Sends every packet back where it came from.
#[xdp]
pub fn floor_tx(ctx: XdpContext) -> u32 {
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + 14 > end {
        return XDP_DROP;
    }
    let words = data as *mut u16;
    // SAFETY: the 12 bytes of both MACs are in the frame by the check above, which starts at an even address.
    unsafe {
        for at in 0..3 {
            let source = *words.add(at + 3);
            *words.add(at + 3) = *words.add(at);
            *words.add(at) = source;
        }
    }
    XDP_TX
}

/// What a balancer has to read of a packet.
struct Front {
    source: u32,
    destination: u32,
    ports: u32,
    protocol: u8,
    total_length: u16,
    bytes: u64,
}

#[inline(always)]
fn parse(ctx: &XdpContext) -> Option<Front> {
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + FRONT_BYTES > end {
        return None;
    }
    // SAFETY: all reads lie in the first 38 bytes, which are in the frame by the check above; BPF reads at any address.
    unsafe {
        if *((data + 12) as *const u16) != ETHERTYPE_IPV4 || *((data + 14) as *const u8) != 0x45 {
            return None;
        }
        let protocol = *((data + 23) as *const u8);
        if protocol != TCP && protocol != UDP {
            return None;
        }
        Some(Front {
            source: *((data + 26) as *const u32),
            destination: *((data + 30) as *const u32),
            ports: *((data + 34) as *const u32),
            protocol,
            total_length: u16::from_be(*((data + 16) as *const u16)),
            bytes: (end - data) as u64,
        })
    }
}

/// Reads addresses and ports, and drops: in a way that the compiler cannot leave the reading out.
#[xdp]
pub fn floor_parse(ctx: XdpContext) -> u32 {
    let Some(front) = parse(&ctx) else { return XDP_PASS };
    let mixed = front.source ^ front.destination ^ front.ports ^ front.total_length as u32;
    if mixed == 0x9e37_79b9 { XDP_ABORTED } else { XDP_DROP }
}

/// A balancer without anything that can be left out: service, flow hash, slot, backend, counters, outer header.
#[xdp]
pub fn floor_balancer(ctx: XdpContext) -> u32 {
    let Some(front) = parse(&ctx) else { return XDP_PASS };
    let vip = FloorVip {
        address: front.destination,
        port: (front.ports >> 16) as u16,
        protocol: front.protocol as u16,
    };
    // SAFETY: nobody changes the map while the program runs.
    let Some(service) = (unsafe { FLOOR_VIPS.get(vip) }) else {
        return XDP_PASS;
    };
    let hash = mix((front.source as u64) << 32 | front.ports as u64);
    let slot = (((hash >> 32) * FLOOR_TABLE_SIZE as u64) >> 32) as u32;
    let Some(id) = FLOOR_SLOTS.get(service.base + slot) else {
        return XDP_DROP;
    };
    let id = *id;
    let Some(backend) = FLOOR_REALS.get(id) else {
        return XDP_DROP;
    };
    count(FLOOR_SERVICE.get_ptr_mut(service.id), front.bytes);
    count(FLOOR_BACKEND.get_ptr_mut(id), front.bytes);
    // SAFETY: the context is the kernel's.
    match unsafe { encapsulate(ctx.ctx, backend, front.total_length) } {
        Some(()) => XDP_TX,
        None => XDP_DROP,
    }
}

#[inline(always)]
fn count(counters: Option<*mut FloorCounters>, bytes: u64) {
    if let Some(counters) = counters {
        // SAFETY: this CPU's counters.
        unsafe {
            (*counters).packets += 1;
            (*counters).bytes += bytes;
        }
    }
}

/// # Safety
///
/// `ctx` is the context of this run.
#[inline(always)]
unsafe fn encapsulate(ctx: *mut xdp_md, backend: &FloorBackend, total_length: u16) -> Option<()> {
    // SAFETY: see above; no address taken before is used again.
    if unsafe { bpf_xdp_adjust_head(ctx, -20) } != 0 {
        return None;
    }
    let ctx = XdpContext::new(ctx);
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + OUTER_BYTES > end {
        return None;
    }
    let length = (total_length + 20).to_be();
    let sum = backend.sum + length as u32;
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    // SAFETY: all writes lie in the first 34 bytes, which are in the frame by the check above.
    unsafe {
        *(data as *mut u32) = backend.macs[0];
        *((data + 4) as *mut u32) = backend.macs[1];
        *((data + 8) as *mut u32) = backend.macs[2];
        *((data + 12) as *mut u16) = ETHERTYPE_IPV4;
        *((data + 14) as *mut u16) = 0x0045;
        *((data + 16) as *mut u16) = length;
        *((data + 18) as *mut u32) = 0x0040_0000;
        *((data + 22) as *mut u16) = 0x0440;
        *((data + 24) as *mut u16) = checksum;
        *((data + 26) as *mut u32) = backend.source;
        *((data + 30) as *mut u32) = backend.address;
    }
    Some(())
}

/// MurmurHash3's 64-bit finaliser.
#[inline(always)]
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
