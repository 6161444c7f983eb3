//! Packets between a service and a backend of different families, `fullnat`'s alone: header translation (RFC 7915), in a program of its
//! own.
//!
//! Whose a packet is, is decided where it is for every other one, and noted; then it is [`handed`] over by a tail call: by the balancer a
//! packet, by [`crate::icmp`] an error about one, by [`fragments`] a later fragment. What ends here with an answer is answered in the
//! family in which it came: but for what a SYN says of segments, nothing is written before that.
//!
//! # Layout
//!
//! - here: what is handed over; the way of a packet to a backend, and back
//! - [`packet`]: TCP, UDP and fragments in the other family's header
//! - [`error`]: ICMP errors
//! - [`header`]: how each family writes its header
//! - [`whole`]: sums over a datagram that has no checksum

mod error;
mod header;
mod packet;
mod whole;

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::{
        Across, Backend, FlowKey, FlowValue, FragmentWay, Mode, PORTS_PER_SOURCE, Tags, across_flags, backend_flags,
        fragment_direction,
    },
    reason::Reason,
};

use header::Translated;

use crate::{
    back, clock, count,
    exit::{self, Exit, Send, Step, exit},
    family::{Family, V4, V6},
    flow_table, forgotten, fragments, handed,
    maps::{BACKEND_TAGS, BACKENDS, FOUND, SERVICES, SOURCE_ADDRS},
    mss,
    packet::Window,
    parse::{self, Addresses, Fragment, Packet},
    ports,
    rewrite::{self, Ends},
    select::Target,
    send,
    service::Balanced,
    trace,
    vlan::{self, Untagged},
    wire,
};

/// Whether the packets of this backend go across.
#[inline(always)]
pub fn is_there(backend: &Backend) -> bool {
    backend.mode == Mode::FULLNAT_ACROSS
}

/// Hands a packet over on its way to a backend.
#[inline(always)]
pub fn to_backend<F: Family, T>(target: &Target<F>) -> Step<T> {
    let new_flow = if target.new_flow { across_flags::NEW_FLOW } else { 0 };
    hand_over(target.id, target.hash, new_flow)
}

/// Hands a packet over that comes from a backend.
#[inline(always)]
pub fn from_backend<T>(backend: u32, index: u32) -> Step<T> {
    hand_over(backend, index, across_flags::BACK)
}

#[inline(always)]
fn hand_over<T>(backend: u32, index: u32, flags: u32) -> Step<T> {
    handed::note_across(Across { backend, index, flags });
    exit(Reason::NotTranslated)
}

/// What becomes of a packet that was handed over.
#[inline(always)]
pub fn handle<const TRACED: bool>(ctx: &XdpContext) -> u32 {
    let Some((frame, handed)) = handed::take(ctx) else {
        return exit::end(Reason::Internal);
    };
    let across = handed.across;
    let outcome = match frame.ethertype {
        wire::ETHERTYPE_IPV4 => between::<V4, V6, TRACED>(ctx, &frame, across),
        wire::ETHERTYPE_IPV6 => between::<V6, V4, TRACED>(ctx, &frame, across),
        _ => exit(Reason::NotIp),
    };
    exit::last_verdict(ctx, frame.tagged, outcome)
}

/// A packet of the family `F` that leaves as one of `T`.
#[inline(always)]
fn between<F: Balanced + Translated, T: Balanced + Translated, const TRACED: bool>(
    ctx: &XdpContext,
    frame: &Untagged,
    across: Across,
) -> Step<Send> {
    let Some(backend) = BACKENDS.get(across.backend).filter(|backend| is_there(backend)) else {
        return exit(Reason::BackendGone);
    };
    let addresses = F::without_ports(&frame.window)?;
    let fragment = F::fragment(&frame.window, &addresses)?;
    let is_error = addresses.protocol == F::ICMP && !fragment.is_one();
    let outcome = What::of(ctx, frame, addresses, fragment, is_error)
        .and_then(|what| what.leave::<T, TRACED>(ctx, frame, across, backend));
    if let Err(Exit(reason)) = outcome
        && !is_error
    {
        handed::to_icmp(ctx, frame.tagged, reason);
    }
    outcome
}

/// A packet, and what kind of one it is.
struct What<F: Translated> {
    packet: Packet<F>,
    fragment: Fragment,
    /// Whether it is an ICMP error, about a packet of the flow's.
    is_error: bool,
}

impl<F: Balanced + Translated> What<F> {
    #[inline(always)]
    fn of(
        ctx: &XdpContext,
        frame: &Untagged,
        addresses: Addresses<F>,
        fragment: Fragment,
        is_error: bool,
    ) -> Step<Self> {
        let window = &frame.window;
        let packet = if is_error || fragment.is_later() {
            parse::bare(ctx, window, addresses)?
        } else {
            parse::whole(ctx, window, parse::with_ports(window, addresses)?)?
        };
        Ok(Self {
            packet,
            fragment,
            is_error,
        })
    }

    #[inline(always)]
    fn has_ports(&self) -> bool {
        !self.is_error && !self.fragment.is_later()
    }

    /// Sends it on its way as one of the other family's.
    #[inline(always)]
    fn leave<T: Balanced + Translated, const TRACED: bool>(
        &self,
        ctx: &XdpContext,
        frame: &Untagged,
        across: Across,
        backend: &'static Backend,
    ) -> Step<Send> {
        let window = &frame.window;
        let is_back = across.flags & across_flags::BACK != 0;
        let mut course = if is_back {
            self.back::<T, TRACED>(ctx, frame, across, backend)?
        } else {
            self.there::<T>(across, backend)?
        };
        course.way = forgotten(course.way)?;
        if self.is_error {
            error::translate(ctx, window, &self.packet, &course)?;
        } else {
            packet::translate(ctx, window, &self.packet, self.fragment, &course)?;
        }
        let Some(way) = course.way() else {
            return exit(Reason::KernelRoutes);
        };
        rewrite::ethernet(&Window::of(ctx), &course.macs)?;
        vlan::leave(ctx, frame.tagged, course.tags)?;
        if forgotten(across.flags)? & across_flags::BACK != 0 {
            count::back(across.backend, self.packet.frame_length);
        } else {
            let is_new = across.flags & across_flags::NEW_FLOW != 0;
            count::forward(across.backend, self.packet.frame_length, is_new);
        }
        Ok(way)
    }

    /// To its backend.
    #[inline(always)]
    fn there<T: Balanced + Translated>(&self, across: Across, backend: &'static Backend) -> Step<Course<T>> {
        let tags = if backend.flags & backend_flags::TAGGED == 0 {
            Tags::NONE
        } else {
            match BACKEND_TAGS.get(across.backend) {
                Some(tags) => *tags,
                None => return exit(Reason::Internal),
            }
        };
        let Some(source) = SOURCE_ADDRS.get(across.index / PORTS_PER_SOURCE) else {
            return exit(Reason::Internal);
        };
        Ok(Course {
            ends: Ends {
                source: T::of(source),
                destination: T::of(&backend.address),
                source_port: (across.index as u16).to_be(),
                destination_port: backend.port,
            },
            room: backend.largest as u32,
            macs: backend.ethernet,
            tags,
            way: way_number(Some(send::way(self.packet.ingress, backend.egress)?)),
        })
    }

    /// Back to its client.
    #[inline(always)]
    fn back<T: Balanced + Translated, const TRACED: bool>(
        &self,
        ctx: &XdpContext,
        frame: &Untagged,
        across: Across,
        backend: &'static Backend,
    ) -> Step<Course<T>> {
        let packet = &self.packet;
        let Some(holder) = ports::holder(across.index) else {
            return exit(Reason::Internal);
        };
        let (key, value) = (FlowKey(holder.key.load()), FlowValue(holder.value.load()));
        // Taken down since it was looked at, or since the datagram's first fragment.
        if key.0 == 0 || value.0 == 0 || value.backend() != across.backend {
            return exit(Reason::NoFlow);
        }
        let number = backend.service as u32;
        let (Some((client, client_port)), Some(service)) = (T::client(key, across.index), SERVICES.get(number)) else {
            return exit(Reason::Internal);
        };
        trace::back::<TRACED>(number, across.backend);
        let hop = T::route(client);
        let room = hop.map_or(u32::MAX, |hop| T::room_before(hop.largest));
        if !self.is_error {
            rewrite::fits(packet, room)?;
        }
        if self.has_ports() {
            flow_table::refresh(holder, value, packet);
            note_first(frame, packet, across, backend.service);
            mss::clamp(&frame.window, packet, service)?;
        }
        let ends = Ends {
            source: T::of(&service.address),
            destination: client,
            source_port: service.port,
            destination_port: client_port,
        };
        let out = back::way(ctx, &as_sent(packet, ends), ends, hop);
        Ok(match out {
            Some(out) => Course {
                ends,
                room,
                macs: out.macs,
                tags: out.tags,
                way: way_number(Some(out.way)),
            },
            None => Course {
                ends,
                room,
                macs: [0; 3],
                tags: Tags::NONE,
                way: way_number(None),
            },
        })
    }
}

/// Where a packet goes in the other family.
struct Course<T: Translated> {
    ends: Ends<T>,
    /// The largest packet of its own family that fits, without a fragment's header.
    room: u32,
    macs: [u32; 3],
    tags: Tags,
    /// One of [`way`].
    way: u32,
}

/// One of [`way`].
#[inline(always)]
fn way_number(way: Option<Send>) -> u32 {
    match way {
        Some(Send::Tx) => way::OUT,
        Some(Send::Redirect) => way::REDIRECTED,
        None => way::KERNEL,
    }
}

/// How a packet leaves, as a number that the verifier forgets: it would look at the writing anew for each.
mod way {
    pub const OUT: u32 = 0;
    pub const REDIRECTED: u32 = 1;
    /// The kernel finds it.
    pub const KERNEL: u32 = 2;
}

impl<T: Translated> Course<T> {
    /// Hops left of so many.
    #[inline(always)]
    fn hops(&self, hops: u8) -> u8 {
        hops.wrapping_sub((self.way != way::KERNEL) as u8)
    }

    #[inline(always)]
    fn way(&self) -> Option<Send> {
        match self.way {
            way::OUT => Some(Send::Tx),
            way::REDIRECTED => Some(Send::Redirect),
            _ => None,
        }
    }
}

/// The same number, which the verifier forgets.
#[inline(always)]
fn forgotten(number: u32) -> Step<u32> {
    let Some(found) = FOUND.get_ptr_mut(0) else {
        return exit(Reason::Internal);
    };
    // SAFETY: this CPU's, and what was noted there was read before.
    Ok(unsafe { forgotten::number(&raw mut (*found).word, number) })
}

/// Notes that later fragments of this one's datagram go back, too.
#[inline(always)]
fn note_first<F: Balanced>(frame: &Untagged, packet: &Packet<F>, across: Across, service: u16) {
    fragments::note_first(&frame.window, packet, || FragmentWay {
        // Nobody asks for it: the port's holder says who the client is.
        address: F::any(packet.source),
        seen: clock::seconds(),
        backend: across.backend,
        hash: across.index,
        service,
        direction: fragment_direction::BACK,
        reserved: 0,
    });
}

/// The packet as the kernel's routes are asked for it.
#[inline(always)]
fn as_sent<F: Translated, T: Translated>(packet: &Packet<F>, ends: Ends<T>) -> Packet<T> {
    Packet {
        addresses: Addresses {
            source: ends.source,
            destination: ends.destination,
            source_port: ends.source_port,
            destination_port: ends.destination_port,
            protocol: packet.protocol,
            header_length: T::BYTES as u8,
        },
        total_length: packet.total_length - packet.header_length as u32 + T::BYTES as u32,
        traffic_class: packet.traffic_class,
        tcp_flags: packet.tcp_flags,
        frame_length: packet.frame_length,
        ingress: packet.ingress,
    }
}
