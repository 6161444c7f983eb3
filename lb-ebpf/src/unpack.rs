//! What `decap` does: takes the outer header off packets that a balancer packed, and leaves everything else alone.

use aya_ebpf::{
    bindings::{
        BPF_F_NO_PREALLOC,
        xdp_action::{XDP_DROP, XDP_PASS},
    },
    btf_maps::{HashMap, LpmTrie, PerCpuArray, lpm_trie::Key},
    macros::btf_map,
    programs::XdpContext,
};
use lb_common::{encap, maps::decap};

use crate::{
    packet::{self, Window},
    wire::{self, Ethernet, Ipv4},
};

/// Offset of the outer IP header in a frame.
const L3: usize = wire::ETHERNET_BYTES;

/// 1 if only the prefixes of `DECAP_FROM` may send; set at load.
#[unsafe(no_mangle)]
static FROM_LISTED: u32 = 0;

#[btf_map]
static DECAP_LOCAL: HashMap<u32, u32, 1024> = HashMap::new();
#[btf_map]
static DECAP_FROM: LpmTrie<u32, u32, 1024, { BPF_F_NO_PREALLOC as usize }> = LpmTrie::new();
#[btf_map]
static DECAP_STATS: PerCpuArray<u64, { decap::COUNT }> = PerCpuArray::new();

/// The outcome for a packet, as the index of its counter.
#[inline(always)]
pub fn handle(ctx: &XdpContext) -> u32 {
    let outcome = unpack(ctx);
    if let Some(counter) = DECAP_STATS.get_ptr_mut(outcome) {
        // SAFETY: this CPU's counter; nobody else writes to it.
        unsafe { *counter += 1 };
    }
    if outcome == decap::UNPACKED || outcome == decap::OTHER {
        XDP_PASS
    } else {
        XDP_DROP
    }
}

#[inline(always)]
fn unpack(ctx: &XdpContext) -> u32 {
    let window = Window::of(ctx);
    let (Some(ethernet), Some(outer)) = (window.at::<Ethernet>(0), window.at::<Ipv4>(L3)) else {
        return decap::OTHER;
    };
    // SAFETY: checked to lie in the frame.
    let (macs, ethertype) = unsafe { ((*ethernet).macs, (*ethernet).ethertype) };
    // SAFETY: checked to lie in the frame.
    let outer = unsafe { &*outer };
    let fragment = outer.fragment & (wire::MORE_FRAGMENTS | wire::FRAGMENT_OFFSET) != 0;
    if ethertype != wire::ETHERTYPE_IPV4
        || outer.version_ihl() != encap::VERSION_IHL
        || outer.protocol != encap::PROTOCOL_IPIP
        || fragment
        // SAFETY: the entry is only tested for being there.
        || unsafe { DECAP_LOCAL.get(outer.destination) }.is_none()
    {
        return decap::OTHER;
    }
    if from_listed() && DECAP_FROM.get(&Key::new(32, outer.source)).is_none() {
        return decap::NOT_ALLOWED;
    }
    let outer_length = u16::from_be(outer.total_length) as usize;
    let Some(inner) = window.at::<Ipv4>(L3 + wire::IPV4_BYTES) else {
        return decap::MALFORMED;
    };
    // SAFETY: checked to lie in the frame.
    let inner = unsafe { &*inner };
    let inner_length = u16::from_be(inner.total_length) as usize;
    if inner.version_ihl() >> 4 != 4
        || inner_length + wire::IPV4_BYTES > outer_length
        || outer_length + L3 > window.length()
    {
        return decap::MALFORMED;
    }
    let Some(window) = packet::resize_front(ctx, wire::IPV4_BYTES as i32) else {
        return decap::MALFORMED;
    };
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return decap::MALFORMED;
    };
    // SAFETY: checked to lie in the frame.
    unsafe {
        (*ethernet).macs = macs;
        (*ethernet).ethertype = wire::ETHERTYPE_IPV4;
    }
    decap::UNPACKED
}

#[inline(always)]
fn from_listed() -> bool {
    // SAFETY: a static of this type; nobody writes to it while the program runs.
    unsafe { core::ptr::read_volatile(&raw const FROM_LISTED) != 0 }
}
