//! What errors quote of the packets that they are about (RFC 792; RFC 4443, section 2.4).

use std::net::{IpAddr, SocketAddr};

use lb_common::reason::Reason;
use lb_userspace::core::observed::ResolvedHop;

use super::bytes::{RIGHT, Sums, address_at, octets, put16, sealed, sum, u16_at};
use super::forward::{self, Packet, one_hop_less, readdress, seal};
use super::frame::{Ends, Frame, ICMP, ICMPV6, Part, SCTP, TCP, UDP};
use super::icmp::Control;
use super::{Step, end};

/// A packet that an error quotes.
pub struct Quoted {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub protocol: u8,
}

impl Quoted {
    /// The one that an error is about, if it says whose it was: sent by who gets the error.
    pub fn read(frame: &Frame, control: &Control) -> Step<Self> {
        let icmp = if control.is_ipv6 { ICMPV6 } else { ICMP };
        let Some(mut quoted) = Self::of(frame, control) else {
            return end(Reason::NotTcpUdp);
        };
        if quoted.from.ip() != control.to || quoted.protocol == icmp {
            return end(Reason::NotTcpUdp);
        }
        if ![TCP, UDP, SCTP].contains(&quoted.protocol) {
            quoted.from.set_port(0);
            quoted.to.set_port(0);
        }
        Ok(quoted)
    }

    fn of(frame: &Frame, control: &Control) -> Option<Self> {
        let message = &frame.packet[control.header + 8..frame.total_length()];
        let is_ipv6 = control.is_ipv6;
        let (header, first, protocol) = if is_ipv6 { (40, 8, 6) } else { (20, 12, 9) };
        let length = if is_ipv6 { 16 } else { 4 };
        let is_header = match is_ipv6 {
            // Behind extension headers it does not tell, either.
            true => message.first()? >> 4 == 6 && ![0, 43, 44, 60].contains(message.get(6)?),
            // With options the ports are elsewhere; in a later fragment there are none.
            false => *message.first()? == 0x45 && u16_at(message, 6)? & 0x1fff == 0,
        };
        if !is_header {
            return None;
        }
        let address = |at| address_at(message, at, is_ipv6);
        Some(Self {
            from: SocketAddr::new(address(first)?, u16_at(message, header)?),
            to: SocketAddr::new(address(first + length)?, u16_at(message, header + 2)?),
            protocol: *message.get(protocol)?,
        })
    }

    /// The flow of a packet that answers it.
    pub fn turned(&self, header: usize) -> Ends {
        Ends {
            from: self.to,
            to: self.from,
            protocol: self.protocol,
            header,
            part: Part::Whole,
        }
    }

    /// The error with other addresses, about a packet with other addresses and ports; in the version that those have.
    pub fn rewritten(
        &self,
        frame: &Frame,
        control: &Control,
        (from, to): (IpAddr, IpAddr),
        inside: (SocketAddr, SocketAddr),
        hop: &ResolvedHop,
    ) -> Step<Packet> {
        if to.is_ipv6() == control.is_ipv6 {
            return Ok(self.translated(frame, control, (from, to), inside));
        }
        self.across(frame, control, (from, to), inside, hop)
    }

    fn translated(
        &self,
        frame: &Frame,
        control: &Control,
        (from, to): (IpAddr, IpAddr),
        inside: (SocketAddr, SocketAddr),
    ) -> Packet {
        let ends = control.ends();
        let came = forward::checked(frame.packet, &ends);
        let total = frame.total_length();
        let mut packet = frame.packet.to_vec();
        one_hop_less(&mut packet);
        readdress(&mut packet, from, to);
        let start = control.header + 8;
        let mut sums_inside = Sums::default();
        self.translate(&mut packet[start..total], inside, &mut sums_inside);
        let ends = Ends {
            from: SocketAddr::new(from, 0),
            to: SocketAddr::new(to, 0),
            ..ends
        };
        let mut sums = seal(&mut packet, &ends, &came);
        sums.wrong.extend(sums_inside.behind(start).wrong);
        Packet { bytes: packet, sums }
    }

    fn translate(&self, message: &mut [u8], (from, to): (SocketAddr, SocketAddr), sums: &mut Sums) {
        let header = if from.is_ipv6() { 40 } else { 20 };
        let all = (header == 20).then(|| sum(&[&message[..20]]));
        readdress(message, from.ip(), to.ip());
        if let Some(all) = all {
            put16(message, 10, 0);
            let checksum = sealed(&[&message[..20]], all);
            put16(message, 10, checksum);
            if all != RIGHT {
                sums.wrong.push(10);
            }
        }
        self.put_ports(message, header, (from, to), sums);
    }

    /// Ports behind so many bytes of header, and what that and the addresses change of the checksum, if it is there.
    pub fn put_ports(&self, message: &mut [u8], header: usize, (from, to): (SocketAddr, SocketAddr), sums: &mut Sums) {
        put16(message, header, from.port());
        put16(message, header + 2, to.port());
        let at = header + if self.protocol == TCP { 16 } else { 6 };
        let Some(old) = u16_at(message, at).filter(|old| self.protocol == TCP || *old != 0) else {
            return;
        };
        // What else it covers is not all there, but is what it was: so the sum of what changes is what it was.
        let part = |from: &SocketAddr, to: &SocketAddr| {
            let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
            [octets(from.ip()), octets(to.ip()), ports].concat()
        };
        let before = sum(&[&part(&self.from, &self.to), &old.to_be_bytes()]);
        let checksum = sealed(&[&part(&from, &to)], before);
        put16(message, at, checksum);
        sums.wrong.push(at);
    }
}
