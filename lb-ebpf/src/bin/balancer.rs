//! The balancer: what is attached to an interface.
#![no_std]
#![no_main]

use aya_ebpf::{macros::xdp, programs::XdpContext};
use lb_ebpf::{exit, service};

#[xdp]
pub fn balancer(ctx: XdpContext) -> u32 {
    exit::verdict(service::handle::<true, false>(&ctx))
}

/// The same with the trace record, for `lb replay`.
#[xdp]
pub fn balancer_traced(ctx: XdpContext) -> u32 {
    exit::verdict(service::handle::<true, true>(&ctx))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
