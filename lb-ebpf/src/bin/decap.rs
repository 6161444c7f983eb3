//! Unpacks packets of `ipip` and `gue` on a backend, in front of its network stack.
#![no_std]
#![no_main]

use aya_ebpf::{macros::xdp, programs::XdpContext};

#[path = "../packet.rs"]
#[allow(dead_code)]
mod packet;
#[path = "../unpack.rs"]
mod unpack;
#[path = "../wire.rs"]
#[allow(dead_code)]
mod wire;

#[xdp]
pub fn decap(ctx: XdpContext) -> u32 {
    unpack::handle(&ctx)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
