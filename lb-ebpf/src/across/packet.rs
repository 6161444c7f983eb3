//! TCP, UDP and fragments, with the header of the other family.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    abi::protocol,
    checksum::{change16, fold},
    reason::Reason,
};

use super::{
    Course,
    header::{Said, Translated, pseudo},
    whole,
};
use crate::{
    exit::{Step, exit},
    packet::{self, Window},
    parse::{Fragment, L3, Packet},
    rewrite::{self, Ends},
    wire::{Ethernet, Ports, Udp},
};

/// Writes the packet.
#[inline(always)]
pub fn translate<F: Translated, T: Translated>(
    ctx: &XdpContext,
    window: &Window,
    packet: &Packet<F>,
    fragment: Fragment,
    course: &Course<T>,
) -> Step<()> {
    let ends = &course.ends;
    let is_fragment = fragment.is_one();
    let is_later = fragment.is_later();
    if is_fragment {
        rewrite::fits(packet, course.room.saturating_sub(T::FRAGMENT_BYTES as u32))?;
        if !fragment.is_plain {
            return exit(Reason::NotTranslated);
        }
    }
    let hops_left = F::length(window)?.hops_left;
    let identification = if is_later {
        0
    } else {
        ports(window, packet, is_fragment, ends)?
    };
    let said = Said {
        source: ends.source,
        destination: ends.destination,
        traffic_class: packet.traffic_class,
        hops: course.hops(hops_left),
        protocol: packet.protocol,
        payload: packet.total_length - packet.header_length as u32,
        fragment,
        identification,
    };
    let added = T::BYTES + if is_fragment { T::FRAGMENT_BYTES } else { 0 };
    let window = reheaded::<T>(ctx, window, packet.header_length as usize, added)?;
    T::write(&window, L3, &said)?;
    Ok(())
}

/// The frame with room for `new` bytes of headers behind Ethernet's, where there were `old`.
#[inline(always)]
pub fn reheaded<T: Translated>(ctx: &XdpContext, window: &Window, old: usize, new: usize) -> Step<Window> {
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame.
    let macs = unsafe { (*ethernet).macs };
    let Some(window) = packet::resize_front(ctx, old as i32 - new as i32) else {
        return exit(Reason::NoHeadroom);
    };
    rewrite::ethernet(&window, &macs)?;
    let Some(ethernet) = window.at::<Ethernet>(0) else {
        return exit(Reason::Internal);
    };
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe { (*ethernet).ethertype = T::ETHERTYPE };
    Ok(window)
}

/// Writes the ports, and corrects the checksum behind them; gives that as it lies in the packet.
#[inline(always)]
fn ports<F: Translated, T: Translated>(
    window: &Window,
    packet: &Packet<F>,
    is_fragment: bool,
    ends: &Ends<T>,
) -> Step<u16> {
    let Some(ports) = window.at::<Ports>(packet.l4()) else {
        return exit(Reason::Internal);
    };
    let old = fold(F::address_sum(packet.source) + F::address_sum(packet.destination));
    let change = !old as u32
        + T::address_sum(ends.source)
        + T::address_sum(ends.destination)
        + change16(packet.source_port, ends.source_port)
        + change16(packet.destination_port, ends.destination_port);
    if !T::UDP_MAY_BE_UNCHECKED && packet.protocol == protocol::UDP {
        let Some(udp) = window.at::<Udp>(packet.l4()) else {
            return exit(Reason::ShortHeader);
        };
        // SAFETY: checked to lie in the frame; only this run has the frame.
        let udp = unsafe { &mut *udp };
        if udp.checksum == 0 {
            if is_fragment {
                return exit(Reason::NotTranslated);
            }
            udp.ports.source = ends.source_port;
            udp.ports.destination = ends.destination_port;
            let bytes = u16::from_be(udp.length) as u32;
            let sum = whole::sum(window, packet.l4(), bytes)?;
            let all = sum as u32 + pseudo::<T>(ends.source, ends.destination, protocol::UDP, bytes);
            udp.checksum = rewrite::not_zero(!fold(all));
            return Ok(udp.checksum);
        }
    }
    // SAFETY: checked to lie in the frame; only this run has the frame.
    unsafe {
        (*ports).source = ends.source_port;
        (*ports).destination = ends.destination_port;
    }
    rewrite::transport_checksum(window, packet, change)
}
