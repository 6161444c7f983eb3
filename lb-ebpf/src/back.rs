//! The way back: a backend's packet to a client, in the modes whose way back leads through here.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup as FibLookup},
    helpers::bpf_fib_lookup,
    programs::XdpContext,
};
use lb_common::{
    abi::{Address, FlowKey, FlowValue, Hop, PORTS_PER_SOURCE, Service, Tags, hop_egress, role},
    checksum::reversed,
    reason::Reason,
};

use crate::{
    across,
    bucket::Entry,
    count,
    exit::{Send, Step, exit},
    family::Family,
    flow_table, fragments,
    maps::{BACKENDS, SERVICES, SOURCE_ADDRS, SOURCES},
    mss,
    parse::{self, Addresses, Packet},
    ports,
    rewrite::{self, Ends, Translation},
    send,
    service::{self, Balanced},
    trace,
    vlan::{self, Untagged},
};

/// Whose way back a packet is on.
pub struct Client<F: Family> {
    pub address: F::Address,
    pub port: u16,
    pub service: u32,
    pub backend: u32,
    /// What the addresses that its packets get add to an inverted checksum.
    pub change: u32,
    /// `fullnat`: the port's entry, whose state follows the packet.
    pub holder: Option<(Entry, FlowValue)>,
}

#[inline(always)]
pub fn handle<F: Balanced, const FLOW_TABLE: bool, const TRACED: bool>(
    ctx: &XdpContext,
    frame: &Untagged,
    addresses: Addresses<F>,
    role: u8,
) -> Step<Send> {
    let window = &frame.window;
    let client = client::<F, FLOW_TABLE>(&addresses, role)?;
    let hop = F::route(client.address);
    if client.holder.is_none() && hop.is_some_and(|hop| hop.egress == hop_egress::HOST) {
        // A backend of `nat` that answers this host itself, a health check above all.
        return exit(Reason::NoService);
    }
    trace::back::<TRACED>(client.service, client.backend);
    let packet = parse::whole(ctx, window, addresses)?;
    if FLOW_TABLE && let Some((holder, value)) = client.holder {
        flow_table::refresh(holder, value, &packet);
    }
    let Some(vip) = SERVICES.get(client.service) else {
        return exit(Reason::Internal);
    };
    let ends = Ends {
        source: F::of(&vip.address),
        destination: client.address,
        source_port: vip.port,
        destination_port: client.port,
    };
    let translation = Translation {
        ends,
        change: client.change,
    };
    fits(&packet, hop)?;
    fragments::follow_back(window, &packet, client.address, client.backend, client.service);
    deliver::<F, true>(ctx, frame, &packet, translation, vip, client.backend, hop)
}

/// Ends a packet that the link to its client does not take.
#[inline(always)]
pub fn fits<F: Balanced>(packet: &Packet<F>, hop: Option<&'static Hop>) -> Step<()> {
    match hop {
        Some(hop) => rewrite::fits(packet, hop.largest),
        None => Ok(()),
    }
}

/// The client of a backend's packet, whose destination has this role.
#[inline(always)]
pub fn client<F: Balanced, const FLOW_TABLE: bool>(packet: &Addresses<F>, role: u8) -> Step<Client<F>> {
    let held = if FLOW_TABLE { fullnat(packet, role)? } else { None };
    match held {
        Some(client) => Ok(client),
        None => nat(packet),
    }
}

/// The client of a packet to one of our source addresses, if a flow holds that port and the packet comes from its backend.
#[inline(always)]
fn fullnat<F: Balanced>(packet: &Addresses<F>, role: u8) -> Step<Option<Client<F>>> {
    let Some(number) = source::<F>(packet.destination, role) else {
        return Ok(None);
    };
    let index = number * PORTS_PER_SOURCE + u16::from_be(packet.destination_port) as u32;
    let Some(holder) = ports::holder(index) else {
        return Ok(None);
    };
    let key = FlowKey(holder.key.load());
    let value = FlowValue(holder.value.load());
    if key.0 == 0 || value.0 == 0 {
        return Ok(None);
    }
    let Some(backend) = BACKENDS.get(value.backend()) else {
        return exit(Reason::Internal);
    };
    if F::of(&backend.address) != packet.source
        || backend.port != packet.source_port
        || backend.protocol != packet.protocol
    {
        return Ok(None);
    }
    if across::is_there(backend) {
        return across::from_backend(value.backend(), index);
    }
    let Some((address, port)) = F::client(key, index) else {
        return exit(Reason::Internal);
    };
    Ok(Some(Client {
        address,
        port,
        service: backend.service as u32,
        backend: value.backend(),
        change: reversed(backend.outer_sum_or_change) + F::change(packet.destination, address),
        holder: Some((holder, value)),
    }))
}

/// The number of a source address, by what its byte in [`role`] says.
#[inline(always)]
fn source<F: Balanced>(address: F::Address, role: u8) -> Option<u32> {
    let said = role & role::SOURCE;
    if said == 0 {
        return None;
    }
    if said == role::SOME_SOURCE {
        // SAFETY: the daemon replaces whole entries.
        return unsafe { SOURCES.get(F::any(address)) }.copied();
    }
    let number = said as u32 - 1;
    let own: &Address = SOURCE_ADDRS.get(number)?;
    (F::of(own) == address).then_some(number)
}

/// The client of a packet that a `nat` backend sent.
#[inline(always)]
fn nat<F: Balanced>(packet: &Addresses<F>) -> Step<Client<F>> {
    if service::role::<F>(packet.source) & role::NAT == 0 {
        return exit(Reason::NoService);
    }
    let Some(back) = F::back(packet.source, packet.source_port, packet.protocol) else {
        return exit(Reason::NoService);
    };
    Ok(Client {
        address: packet.destination,
        port: packet.destination_port,
        service: back.service as u32,
        backend: back.backend,
        change: back.change as u32,
        holder: None,
    })
}

/// Sends a packet to a client: by the mirror of the routes, by the kernel's FIB, or by leaving it to the kernel. `PORTS`: whether it has any.
#[inline(always)]
pub fn deliver<F: Balanced, const PORTS: bool>(
    ctx: &XdpContext,
    frame: &Untagged,
    packet: &Packet<F>,
    translation: Translation<F>,
    service: &Service,
    backend: u32,
    hop: Option<&'static Hop>,
) -> Step<Send> {
    let window = &frame.window;
    mss::clamp(window, packet, service)?;
    let Some(out) = way(ctx, packet, translation.ends, hop) else {
        rewrite::translate::<F, PORTS, true>(window, packet, translation, false)?;
        return exit(Reason::KernelRoutes);
    };
    rewrite::translate::<F, PORTS, true>(window, packet, translation, true)?;
    rewrite::ethernet(window, &out.macs)?;
    vlan::leave(ctx, frame.tagged, out.tags)?;
    count::back(backend, packet.frame_length);
    Ok(out.way)
}

/// The next hop to a client, and the way out to it.
pub struct Out {
    pub macs: [u32; 3],
    pub tags: Tags,
    pub way: Send,
}

/// The way to a client, by what the mirror of the routes says or by the kernel's FIB; `None`: the kernel's to find.
#[inline(always)]
pub fn way<F: Balanced>(ctx: &XdpContext, packet: &Packet<F>, ends: Ends<F>, hop: Option<&'static Hop>) -> Option<Out> {
    let hop = match hop.filter(|hop| hop.egress != hop_egress::ASK) {
        Some(hop) => *hop,
        None => ask_kernel(ctx, packet, ends)?,
    };
    // An interface that takes no packets from XDP is the kernel's to use, too: VLANs are among them.
    let way = send::way(packet.ingress, hop.egress).ok()?;
    Some(Out {
        macs: hop.ethernet,
        tags: hop.tags,
        way,
    })
}

/// Words of the kernel's `bpf_fib_lookup`.
const QUERY_WORDS: usize = size_of::<FibLookup>() / size_of::<u64>();

/// What the kernel's FIB and neighbours say; nothing of a packet that is too large for the link, which the kernel then says itself.
#[inline(always)]
fn ask_kernel<F: Balanced>(ctx: &XdpContext, packet: &Packet<F>, ends: Ends<F>) -> Option<Hop> {
    let mut words = MaybeUninit::<[u64; QUERY_WORDS]>::uninit();
    for word in 0..QUERY_WORDS {
        // Volatile, or the stores become a call of `memset`.
        // SAFETY: within the array.
        unsafe { words.as_mut_ptr().cast::<u64>().add(word).write_volatile(0) };
    }
    // SAFETY: as large as the array, which is aligned for it, and a struct of integers that are all set.
    let query = unsafe { &mut *words.as_mut_ptr().cast::<FibLookup>() };
    query.family = F::FIB_FAMILY;
    query.l4_protocol = packet.protocol;
    query.sport = ends.source_port;
    query.dport = ends.destination_port;
    query.ifindex = packet.ingress;
    query.__bindgen_anon_1.tot_len = packet.total_length as u16;
    let (source, destination) = (F::any(ends.source).0, F::any(ends.destination).0);
    // An IPv4 address is the first of four words.
    query.__bindgen_anon_3.ipv6_src = as_words(source);
    query.__bindgen_anon_4.ipv6_dst = as_words(destination);
    let bytes = size_of::<FibLookup>() as i32;
    // SAFETY: the context is the one the kernel gave, the query lives on the stack and its size is right.
    let result = unsafe { bpf_fib_lookup(ctx.ctx.cast(), (&raw mut *query).cast(), bytes, 0) };
    if result != BPF_FIB_LKUP_RET_SUCCESS as i64 {
        return None;
    }
    let (to, from) = (query.dmac, query.smac);
    Some(Hop {
        ethernet: [
            u32::from_ne_bytes([to[0], to[1], to[2], to[3]]),
            u32::from_ne_bytes([to[4], to[5], from[0], from[1]]),
            u32::from_ne_bytes([from[2], from[3], from[4], from[5]]),
        ],
        egress: query.ifindex,
        tags: Tags::NONE,
        // The kernel has looked at that.
        largest: u32::MAX,
    })
}

/// An address in the kernel's four words.
#[inline(always)]
const fn as_words(address: [u64; 2]) -> [u32; 4] {
    let [first, second] = address;
    [first as u32, (first >> 32) as u32, second as u32, (second >> 32) as u32]
}

const _: () = assert!(size_of::<FibLookup>() == 64);
