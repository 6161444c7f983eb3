//! What a packet is counted as.

/// Counters of a backend, per CPU. 48 bytes: of so many, packets and bytes never lie in two cache lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counters {
    /// Packets sent to it.
    pub packets: u64,
    /// Their bytes as received, from the Ethernet header on.
    pub bytes: u64,
    /// TCP SYNs sent to it, and new UDP flows where the mode knows them.
    pub new_flows: u64,
    /// Its packets sent back to clients through the balancer.
    pub back_packets: u64,
    /// Their bytes as received, from the Ethernet header on.
    pub back_bytes: u64,
    pub reserved: u64,
}

impl core::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.new_flows += other.new_flows;
        self.back_packets += other.back_packets;
        self.back_bytes += other.back_bytes;
    }
}

/// What those backends of a service had counted that are gone, all CPUs added up; the daemon's alone. 56 bytes.
///
/// A service's counters are these and those of its backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Past {
    pub counters: Counters,
    /// The backend whose counters are in here already and may not be 0 yet; [`super::NO_BACKEND`]: none.
    pub added: u32,
    pub reserved: u32,
}

super::assert_layout! {
    Counters: 48, 8;
    Past: 56, 8;
}
