//! The balancer: what is attached to an interface.
#![no_std]
#![no_main]

use aya_ebpf::{macros::xdp, programs::XdpContext};
use lb_ebpf::{fragments, icmp, service};

#[xdp]
pub fn balancer(ctx: XdpContext) -> u32 {
    service::handle::<true, false>(&ctx)
}

/// The same with the trace record, for `lb replay` and `lb trace`.
#[xdp]
pub fn balancer_traced(ctx: XdpContext) -> u32 {
    service::handle::<true, true>(&ctx)
}

/// What the balancer hands ICMP over to, and packets whose sender is to be told something.
#[xdp]
pub fn icmp(ctx: XdpContext) -> u32 {
    icmp::handle::<true, false>(&ctx)
}

/// The same with the trace record.
#[xdp]
pub fn icmp_traced(ctx: XdpContext) -> u32 {
    icmp::handle::<true, true>(&ctx)
}

/// What the balancer hands later fragments over to.
#[xdp]
pub fn fragments(ctx: XdpContext) -> u32 {
    fragments::handle::<true, false>(&ctx)
}

/// The same with the trace record.
#[xdp]
pub fn fragments_traced(ctx: XdpContext) -> u32 {
    fragments::handle::<true, true>(&ctx)
}

/// What packets between a service and a backend of different families are handed over to.
#[xdp]
pub fn across(ctx: XdpContext) -> u32 {
    lb_ebpf::across::handle::<false>(&ctx)
}

/// The same with the trace record.
#[xdp]
pub fn across_traced(ctx: XdpContext) -> u32 {
    lb_ebpf::across::handle::<true>(&ctx)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
