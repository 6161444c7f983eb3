//! The balancer without a flow table, and so without `fullnat`: for kernels whose BPF has no atomic compare-exchange.
#![no_std]
#![no_main]

use aya_ebpf::{macros::xdp, programs::XdpContext};
use lb_ebpf::{fragments, icmp, service};

#[xdp]
pub fn balancer(ctx: XdpContext) -> u32 {
    service::handle::<false, false>(&ctx)
}

/// The same with the trace record, for `lb replay` and `lb trace`.
#[xdp]
pub fn balancer_traced(ctx: XdpContext) -> u32 {
    service::handle::<false, true>(&ctx)
}

/// What the balancer hands ICMP over to, and packets whose sender is to be told something.
#[xdp]
pub fn icmp(ctx: XdpContext) -> u32 {
    icmp::handle::<false, false>(&ctx)
}

/// The same with the trace record.
#[xdp]
pub fn icmp_traced(ctx: XdpContext) -> u32 {
    icmp::handle::<false, true>(&ctx)
}

/// What the balancer hands later fragments over to.
#[xdp]
pub fn fragments(ctx: XdpContext) -> u32 {
    fragments::handle::<false, false>(&ctx)
}

/// The same with the trace record.
#[xdp]
pub fn fragments_traced(ctx: XdpContext) -> u32 {
    fragments::handle::<false, true>(&ctx)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
