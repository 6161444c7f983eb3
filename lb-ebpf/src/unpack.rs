//! What `decap` does: takes the outer header off packets that a balancer packed, and leaves everything else alone.
//!
//! The checksum of a UDP header in between is not looked at: what is inside has its own, which the backend's stack checks.

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
    wire::{self, Front, Ipv4, Ipv6, TAG_BYTES, Udp},
};

/// Both MACs.
const MACS_BYTES: usize = wire::ETHERNET_BYTES - 2;

/// Offset of the outer IP header in a frame with so many bytes of VLAN tags, of which each number has a copy of the program.
const fn l3(tags: usize) -> usize {
    wire::ETHERNET_BYTES + tags
}

/// 1 if only the prefixes of `DECAP_FROM` may send; set at load.
#[unsafe(no_mangle)]
static FROM_LISTED: u32 = 0;
/// The UDP port at which tunnels of `gue` end, as in the packet; set at load.
#[unsafe(no_mangle)]
static GUE_PORT: u32 = 0;

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
    /// Bytes of the header, and of a UDP header behind it.
    bytes: usize,
    /// Bytes from the header on.
    length: usize,
    /// IP protocol number of what is in it.
    protocol: u8,
    traffic_class: u8,
}

/// With no tag, one or two: they stay.
#[inline(always)]
fn unpack(ctx: &XdpContext) -> u32 {
    let window = Window::of(ctx);
    if let Some(ethertype) = ethertype(&window, 0) {
        return unpack_behind::<0>(ctx, &window, ethertype);
    }
    if !has_tag(&window, 0) {
        return decap::OTHER;
    }
    if let Some(ethertype) = ethertype(&window, TAG_BYTES) {
        return unpack_behind::<TAG_BYTES>(ctx, &window, ethertype);
    }
    if !has_tag(&window, TAG_BYTES) {
        return decap::OTHER;
    }
    match ethertype(&window, 2 * TAG_BYTES) {
        Some(ethertype) => unpack_behind::<{ 2 * TAG_BYTES }>(ctx, &window, ethertype),
        None => decap::OTHER,
    }
}

/// The EtherType behind so many bytes of tags, if it is that of an IP packet.
#[inline(always)]
fn ethertype(window: &Window, tags: usize) -> Option<u16> {
    word(window, tags).filter(|word| *word == wire::ETHERTYPE_IPV4 || *word == wire::ETHERTYPE_IPV6)
}

/// Whether there is one more tag behind so many bytes of them.
#[inline(always)]
fn has_tag(window: &Window, tags: usize) -> bool {
    word(window, tags).is_some_and(|word| word == wire::ETHERTYPE_VLAN || word == wire::ETHERTYPE_VLAN_SERVICE)
}

#[inline(always)]
fn word(window: &Window, tags: usize) -> Option<u16> {
    let word = window.at::<Front<2>>(MACS_BYTES + tags)?;
    // SAFETY: checked to lie in the frame; BPF reads at any address.
    Some(unsafe { *word.cast::<u16>() })
}

/// `TAGS`: bytes of tags.
#[inline(always)]
fn unpack_behind<const TAGS: usize>(ctx: &XdpContext, window: &Window, ethertype: u16) -> u32 {
    let outer = match ethertype {
        wire::ETHERTYPE_IPV4 => outer_v4(window, l3(TAGS)),
        _ => outer_v6(window, l3(TAGS)),
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
        V4 => take_off::<TAGS, V4>(ctx, window, &outer),
        V4_UDP => take_off::<TAGS, V4_UDP>(ctx, window, &outer),
        V6 => take_off::<TAGS, V6>(ctx, window, &outer),
        _ => take_off::<TAGS, V6_UDP>(ctx, window, &outer),
    }
}

/// Bytes of what is taken off.
const V4: usize = wire::IPV4_BYTES;
const V4_UDP: usize = V4 + wire::UDP_BYTES;
const V6: usize = wire::IPV6_BYTES;
const V6_UDP: usize = V6 + wire::UDP_BYTES;

#[inline(always)]
fn outer_v4(window: &Window, l3: usize) -> Option<Outer> {
    let ip = window.at::<Ipv4>(l3)?;
    // SAFETY: checked to lie in the frame.
    let ip = unsafe { &*ip };
    let is_fragment = ip.fragment & (wire::MORE_FRAGMENTS | wire::FRAGMENT_OFFSET) != 0;
    if ip.version_ihl() != encap::VERSION_IHL || is_fragment {
        return None;
    }
    let inside = inside::<V4, V4_UDP>(window, l3, ip.protocol)?;
    Some(Outer {
        source: encap::mapped(ip.source),
        destination: encap::mapped(ip.destination),
        bytes: inside.at,
        length: u16::from_be(ip.total_length) as usize,
        protocol: inside.protocol,
        traffic_class: ip.tos(),
    })
}

#[inline(always)]
fn outer_v6(window: &Window, l3: usize) -> Option<Outer> {
    let ip = window.at::<Ipv6>(l3)?;
    // SAFETY: checked to lie in the frame.
    let ip = unsafe { &*ip };
    if ip.version() != 6 {
        return None;
    }
    let inside = inside::<V6, V6_UDP>(window, l3, ip.next_header)?;
    Some(Outer {
        source: ip.source,
        destination: ip.destination,
        bytes: inside.at,
        length: u16::from_be(ip.payload_length) as usize + wire::IPV6_BYTES,
        protocol: inside.protocol,
        traffic_class: ip.traffic_class(),
    })
}

/// The packet inside.
struct Inside {
    /// IP protocol number.
    protocol: u8,
    /// Where it begins, from the outer header on.
    at: usize,
}

/// What an outer header of `PLAIN` bytes has behind it, if that is a packet: `ipip`, or UDP to our port and a packet behind that,
/// `WITH_UDP` bytes from the outer header on.
#[inline(always)]
fn inside<const PLAIN: usize, const WITH_UDP: usize>(window: &Window, l3: usize, protocol: u8) -> Option<Inside> {
    if protocol == encap::PROTOCOL_IPV4 || protocol == encap::PROTOCOL_IPV6 {
        return Some(Inside { protocol, at: PLAIN });
    }
    if protocol != encap::PROTOCOL_UDP {
        return None;
    }
    let udp = window.at::<Udp>(l3 + PLAIN)?;
    // SAFETY: checked to lie in the frame.
    if unsafe { (*udp).ports.destination } as u32 != gue_port() {
        return None;
    }
    let first = window.at::<Front<1>>(l3 + WITH_UDP)?;
    // SAFETY: checked to lie in the frame.
    let protocol = match unsafe { (*first).0[0] } >> 4 {
        4 => encap::PROTOCOL_IPV4,
        6 => encap::PROTOCOL_IPV6,
        // A GUE header of its own, variant 0: for a device of the kernel's.
        _ => return None,
    };
    Some(Inside { protocol, at: WITH_UDP })
}

/// Takes `BYTES` of outer header off, behind the tags.
#[inline(always)]
fn take_off<const TAGS: usize, const BYTES: usize>(ctx: &XdpContext, window: &Window, outer: &Outer) -> u32 {
    let inner = if outer.protocol == encap::PROTOCOL_IPV4 {
        inner_v4(window, l3(TAGS) + BYTES)
    } else {
        inner_v6(window, l3(TAGS) + BYTES)
    };
    let Some(inner) = inner else {
        return decap::MALFORMED;
    };
    let is_there = outer.length + l3(TAGS) <= window.length();
    if inner.length + BYTES > outer.length || !is_there || !fits_udp::<BYTES>(window, l3(TAGS), &inner) {
        return decap::MALFORMED;
    }
    let is_marked = outer.traffic_class & ecn::CONGESTED == ecn::CONGESTED;
    if is_marked && inner.traffic_class & ecn::CONGESTED == ecn::NOT_CAPABLE {
        return decap::NOT_CAPABLE;
    }
    let Some(before) = front::<TAGS>(window) else {
        return decap::MALFORMED;
    };
    let count = (MACS_BYTES + TAGS) / 4;
    let mut words = [0; FRONT_WORDS];
    for (at, word) in words.iter_mut().enumerate().take(count) {
        // SAFETY: one of as many as `front` has looked for; BPF reads at any address.
        *word = unsafe { *before.add(at) };
    }
    let Some(window) = packet::resize_front(ctx, BYTES as i32) else {
        return decap::MALFORMED;
    };
    let Some(after) = front::<TAGS>(&window) else {
        return decap::MALFORMED;
    };
    // SAFETY: as above; only this run has the frame.
    unsafe {
        for (at, word) in words.iter().enumerate().take(count) {
            *after.add(at) = *word;
        }
        *after.add(count).cast::<u16>() = inner.ethertype;
    }
    if is_marked && mark(&window, l3(TAGS), inner.ethertype).is_none() {
        return decap::MALFORMED;
    }
    decap::UNPACKED
}

/// Words of MACs and two tags.
const FRONT_WORDS: usize = (MACS_BYTES + 2 * TAG_BYTES) / 4;

/// The first bytes of a frame, with all up to the EtherType behind the tags.
#[inline(always)]
fn front<const TAGS: usize>(window: &Window) -> Option<*mut u32> {
    match TAGS {
        0 => window.at::<Front<{ l3(0) }>>(0).map(|front| front.cast()),
        TAG_BYTES => window.at::<Front<{ l3(TAG_BYTES) }>>(0).map(|front| front.cast()),
        _ => window.at::<Front<{ l3(2 * TAG_BYTES) }>>(0).map(|front| front.cast()),
    }
}

/// Whether a UDP header in between, the last of the `BYTES`, says that it has all of the packet.
#[inline(always)]
fn fits_udp<const BYTES: usize>(window: &Window, l3: usize, inner: &Inner) -> bool {
    if BYTES == V4 || BYTES == V6 {
        return true;
    }
    let Some(udp) = window.at::<Udp>(l3 + BYTES - wire::UDP_BYTES) else {
        return false;
    };
    // SAFETY: checked to lie in the frame.
    let length = u16::from_be(unsafe { (*udp).length }) as usize;
    inner.length + wire::UDP_BYTES <= length
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
fn mark(window: &Window, l3: usize, ethertype: u16) -> Option<()> {
    if ethertype == wire::ETHERTYPE_IPV4 {
        let ip = window.at::<Ipv4>(l3)?;
        // SAFETY: checked to lie in the frame; only this run has the frame.
        let ip = unsafe { &mut *ip };
        let marked = ip.version_tos | u16::from_ne_bytes([0, ecn::CONGESTED]);
        ip.checksum = update(ip.checksum, change16(ip.version_tos, marked));
        ip.version_tos = marked;
    } else {
        let ip = window.at::<Ipv6>(l3)?;
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

#[inline(always)]
fn gue_port() -> u32 {
    // SAFETY: a static of this type; nobody writes to it while the program runs.
    unsafe { core::ptr::read_volatile(&raw const GUE_PORT) }
}
