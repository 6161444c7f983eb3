//! Every reason for which a packet is passed to the kernel or dropped. Each has a counter.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal, $verdict:ident, $text:literal;)*) => {
        /// Why a packet was not sent to a backend or a client. The number is the index of its counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Reason {
            $($(#[doc = $doc])* $name = $number,)*
        }

        impl Reason {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What happens to such a packet.
            pub const fn verdict(self) -> Verdict {
                match self {
                    $(Self::$name => Verdict::$verdict,)*
                }
            }

            /// Its name in metrics, JSON and tables.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it means, one line for an operator.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*),)*
                }
            }
        }
    };
}

/// What happens to a packet that has a [`Reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The kernel gets it.
    Pass,
    /// It is gone.
    Drop,
    /// Its sender gets an answer.
    Answer,
}

reasons! {
    /// Neither an IPv4 nor an IPv6 packet.
    NotIp = 0, Pass, "not_ip";
    /// Neither TCP nor UDP, nor an ICMP packet that is about a service, nor of a protocol that a service takes.
    NotTcpUdp = 1, Pass, "not_tcp_udp";
    /// No service has this address, port and protocol, and it is nobody's way back.
    NoService = 2, Pass, "no_service";
    /// A later fragment to an address that no service has, whose first one is not known to have gone through here.
    OtherFragment = 3, Pass, "other_fragment";
    /// Malformed, and not to an address that a service has.
    OtherMalformed = 4, Pass, "other_malformed";
    /// On its way back to a client that neither the routes nor the neighbours tell how to reach; rewritten, for the kernel to route.
    KernelRoutes = 5, Pass, "kernel_routes";
    /// The frame ends before the TCP or UDP header does.
    ShortHeader = 6, Drop, "short_header";
    /// The length in the IP, TCP or UDP header contradicts the packet.
    BadLength = 7, Drop, "bad_length";
    /// Its source address is 0.0.0.0.
    BadSource = 8, Drop, "bad_source";
    /// A later fragment whose first one has not come before it, or came too long ago, or was not sent.
    Fragment = 9, Drop, "fragment";
    /// Its time to live, or hop limit, ends here; its sender is not told, for it cannot be or enough were.
    TtlExpired = 10, Drop, "ttl_expired";
    /// Larger than the link to the next hop takes, counting the outer header; its sender is not told, for it cannot be or enough were.
    TooBig = 11, Drop, "too_big";
    /// The service has no backend that may take it.
    NoBackend = 12, Drop, "no_backend";
    /// The flow's backend is down or gone.
    BackendGone = 13, Drop, "backend_gone";
    /// The way to the backend or client is not known: no route, or the neighbour does not answer.
    NoNextHop = 14, Drop, "no_next_hop";
    /// A TCP packet in the middle of a connection that the flow table does not know.
    NoFlow = 15, Drop, "no_flow";
    /// The flow is being set up or taken down at this moment.
    FlowBusy = 16, Drop, "flow_busy";
    /// The flow table has no room for a new flow.
    FlowTableFull = 17, Drop, "flow_table_full";
    /// No source port is free for a new flow.
    PortsExhausted = 18, Drop, "ports_exhausted";
    /// The driver left no room in front of the packet for an outer header.
    NoHeadroom = 19, Drop, "no_headroom";
    /// A map entry that must exist does not: a fault of ours.
    Internal = 20, Drop, "internal";
    /// IPv6 extension headers that cannot be followed: more than eight or 215 bytes of them, or a route that does not end here.
    ExtensionHeaders = 21, Drop, "extension_headers";
    /// An ICMP echo request to an address that a service has: answered.
    EchoAnswered = 22, Answer, "echo_answered";
    /// Larger than the link to the next hop takes, counting the outer header: its sender is told what fits.
    TooBigAnswered = 23, Answer, "too_big_answered";
    /// Its time to live, or hop limit, ends here: its sender is told.
    TtlExpiredAnswered = 24, Answer, "ttl_expired_answered";
    /// Between a service and a backend of different IP versions, and without an equal in the other version (RFC 7915).
    NotTranslated = 25, Drop, "not_translated";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_places_in_the_list_and_names_differ() {
        for (place, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place);
            assert!(!reason.meaning().is_empty());
            assert_eq!(Reason::ALL.iter().filter(|r| r.name() == reason.name()).count(), 1);
        }
    }
}
