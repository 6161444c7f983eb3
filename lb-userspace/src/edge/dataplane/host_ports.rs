//! Which ports of this host `fullnat` may use.

/// Source ports of `fullnat`: 1024 to 65535 without those that this host gives to its own connections, health checks among
/// them, which go to the same backends. Begins at a random one, so that a new data plane does not at once reuse the ports of the
/// one before it.
pub fn host_ports() -> Vec<u16> {
    let own = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut own = own.split_whitespace().filter_map(|port| port.parse::<u16>().ok());
    let (first, last) = (own.next().unwrap_or(32768), own.next().unwrap_or(60999));
    let mut ports = free_ports(first, last);
    let mut seed = [0u8; 4];
    let _ = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
    let turn = u32::from_ne_bytes(seed) as usize % ports.len().max(1);
    ports.rotate_left(turn);
    ports
}

/// 1024 to 65535 without `first` to `last`; all of them where nothing would be left.
pub fn free_ports(first: u16, last: u16) -> Vec<u16> {
    let left: Vec<u16> = (1024..=65535).filter(|port| *port < first || *port > last).collect();
    if left.is_empty() {
        (1024..=65535).collect()
    } else {
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_ports_are_left_out() {
        let ports = free_ports(32768, 60999);
        assert_eq!(
            (ports.len(), ports[0], *ports.last().unwrap()),
            (31744 + 4536, 1024, 65535)
        );
        assert!(!ports.contains(&40000));
        assert_eq!(free_ports(1024, 65535).len(), 64512);
    }
}
