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
use lb_common::{
    checksum::{change16, update},
    encap,
    maps::decap,
};

use crate::{
    packet::{self, Window},
    wire::{self, Ethernet, Ipv4, Ipv6},
};

/// Offset of the outer IP header in a frame.
const L3: usize = wire::ETHERNET_BYTES;

/// 1 if only the prefixes of `DECAP_FROM` may send; set at load.
#[unsafe(no_mangle)]
static FROM_LISTED: u32 = 0;

#[btf_map]
static DECAP_LOCAL: HashMap<[u64; 2], u32, 1024> = HashMap::new();
#[btf_map]
static DECAP_FROM: LpmTrie<[u64; 2], u32, 1024, { BPF_F_NO_PREALLOC as usize }> = LpmTrie::new();
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

/// What an outer header says. Addresses as IPv6 ones, IPv4 mapped (RFC 4291, section 2.5.5.2).
struct Outer {
    source: [u64; 2],
    destination: [u64; 2],
    /// Bytes of the header.
    bytes: usize,
    /// Bytes from the header on.
    length: usize,
    /// IP protocol number of what is in it.
    protocol: u8,
    traffic_class: u8,
}

#[inline(always)]
fn unpack(ctx: &XdpContext) -> u32 {
    let window = Window::of(ctx);
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return decap::OTHER;
    };
    // SAFETY: checked to lie in the frame.
    let (macs, ethertype) = unsafe { ((*ethernet).macs, (*ethernet).ethertype) };
    let outer = match ethertype {
        wire::ETHERTYPE_IPV4 => outer_v4(&window),
        wire::ETHERTYPE_IPV6 => outer_v6(&window),
        _ => None,
    };
    let Some(outer) = outer else {
        return decap::OTHER;
    };
    // SAFETY: the entry is only tested for being there.
    if unsafe { DECAP_LOCAL.get(outer.destination) }.is_none() {
        return decap::OTHER;
    }
    if from_listed() && DECAP_FROM.get(&Key::new(128, outer.source)).is_none() {
        return decap::NOT_ALLOWED;
    }
    // Each branch has the outer header's length as a constant, which the verifier needs to follow the frame.
    match outer.bytes {
        wire::IPV4_BYTES => take_off::<{ wire::IPV4_BYTES }>(ctx, &window, macs, &outer),
        _ => take_off::<{ wire::IPV6_BYTES }>(ctx, &window, macs, &outer),
    }
}

#[inline(always)]
fn outer_v4(window: &Window) -> Option<Outer> {
    let ip = window.at::<Ipv4>(L3)?;
    // SAFETY: checked to lie in the frame.
    let ip = unsafe { &*ip };
    let is_fragment = ip.fragment & (wire::MORE_FRAGMENTS | wire::FRAGMENT_OFFSET) != 0;
    if ip.version_ihl() != encap::VERSION_IHL || is_fragment || !is_ip(ip.protocol) {
        return None;
    }
    Some(Outer {
        source: encap::mapped(ip.source),
        destination: encap::mapped(ip.destination),
        bytes: wire::IPV4_BYTES,
        length: u16::from_be(ip.total_length) as usize,
        protocol: ip.protocol,
        traffic_class: ip.tos(),
    })
}

#[inline(always)]
fn outer_v6(window: &Window) -> Option<Outer> {
    let ip = window.at::<Ipv6>(L3)?;
    // SAFETY: checked to lie in the frame.
    let ip = unsafe { &*ip };
    if ip.version() != 6 || !is_ip(ip.next_header) {
        return None;
    }
    Some(Outer {
        source: ip.source,
        destination: ip.destination,
        bytes: wire::IPV6_BYTES,
        length: u16::from_be(ip.payload_length) as usize + wire::IPV6_BYTES,
        protocol: ip.next_header,
        traffic_class: ip.traffic_class(),
    })
}

#[inline(always)]
fn is_ip(protocol: u8) -> bool {
    protocol == encap::PROTOCOL_IPV4 || protocol == encap::PROTOCOL_IPV6
}

/// Takes `BYTES` of outer header off.
#[inline(always)]
fn take_off<const BYTES: usize>(ctx: &XdpContext, window: &Window, macs: [u32; 3], outer: &Outer) -> u32 {
    let inner = if outer.protocol == encap::PROTOCOL_IPV4 {
        inner_v4(window, L3 + BYTES)
    } else {
        inner_v6(window, L3 + BYTES)
    };
    let Some(inner) = inner else {
        return decap::MALFORMED;
    };
    if inner.length + BYTES > outer.length || outer.length + L3 > window.length() {
        return decap::MALFORMED;
    }
    let is_marked = outer.traffic_class & ecn::CONGESTED == ecn::CONGESTED;
    if is_marked && inner.traffic_class & ecn::CONGESTED == ecn::NOT_CAPABLE {
        return decap::NOT_CAPABLE;
    }
    let Some(window) = packet::resize_front(ctx, BYTES as i32) else {
        return decap::MALFORMED;
    };
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return decap::MALFORMED;
    };
    // SAFETY: checked to lie in the frame.
    unsafe {
        (*ethernet).macs = macs;
        (*ethernet).ethertype = inner.ethertype;
    }
    if is_marked && mark(&window, inner.ethertype).is_none() {
        return decap::MALFORMED;
    }
    decap::UNPACKED
}

/// What an inner header says.
struct Inner {
    ethertype: u16,
    /// Bytes from the header on.
    length: usize,
    traffic_class: u8,
}

#[inline(always)]
fn inner_v4(window: &Window, at: usize) -> Option<Inner> {
    let ip = window.at::<Ipv4>(at)?;
    // SAFETY: checked to lie in the frame.
    let ip = unsafe { &*ip };
    (ip.version_ihl() >> 4 == 4).then(|| Inner {
        ethertype: wire::ETHERTYPE_IPV4,
        length: u16::from_be(ip.total_length) as usize,
        traffic_class: ip.tos(),
    })
}

#[inline(always)]
fn inner_v6(window: &Window, at: usize) -> Option<Inner> {
    let ip = window.at::<Ipv6>(at)?;
    // SAFETY: checked to lie in the frame.
    let ip = unsafe { &*ip };
    (ip.version() == 6).then(|| Inner {
        ethertype: wire::ETHERTYPE_IPV6,
        length: u16::from_be(ip.payload_length) as usize + wire::IPV6_BYTES,
        traffic_class: ip.traffic_class(),
    })
}

/// Explicit congestion notification (RFC 3168, section 5): the two lowest bits of type of service and traffic class.
mod ecn {
    pub const NOT_CAPABLE: u8 = 0b00;
    pub const CONGESTED: u8 = 0b11;
}

/// Hands a mark of congestion on to the packet that was inside (RFC 6040, section 4.2).
#[inline(always)]
fn mark(window: &Window, ethertype: u16) -> Option<()> {
    if ethertype == wire::ETHERTYPE_IPV4 {
        let ip = window.at::<Ipv4>(L3)?;
        // SAFETY: checked to lie in the frame; only this run has the frame.
        let ip = unsafe { &mut *ip };
        let marked = ip.version_tos | u16::from_ne_bytes([0, ecn::CONGESTED]);
        ip.checksum = update(ip.checksum, change16(ip.version_tos, marked));
        ip.version_tos = marked;
    } else {
        let ip = window.at::<Ipv6>(L3)?;
        // SAFETY: checked to lie in the frame; only this run has the frame.
        unsafe { (*ip).version_class_label |= ((ecn::CONGESTED as u32) << 20).to_be() };
    }
    Some(())
}

#[inline(always)]
fn from_listed() -> bool {
    // SAFETY: a static of this type; nobody writes to it while the program runs.
    unsafe { core::ptr::read_volatile(&raw const FROM_LISTED) != 0 }
}
