//! Ranges of ports, as the prefixes that they are made of.

use std::ops::RangeInclusive;

/// The first port of a prefix, and how many bits it has: the fewest prefixes that make up a range, in order.
pub fn prefixes(ports: RangeInclusive<u16>) -> Vec<(u16, u8)> {
    let (mut next, last) = (u32::from(*ports.start()), u32::from(*ports.end()));
    let mut prefixes = Vec::new();
    while next <= last {
        // As many low bits as are zero, and as fit.
        let aligned = if next == 0 { 16 } else { next.trailing_zeros().min(16) };
        let fitting = (last - next + 1).ilog2();
        let host = aligned.min(fitting);
        prefixes.push((next as u16, 16 - host as u8));
        next += 1 << host;
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_prefixes_make_up_a_range() {
        assert_eq!(prefixes(0..=65_535), [(0, 0)]);
        assert_eq!(prefixes(8080..=8080), [(8080, 16)]);
        assert_eq!(prefixes(8000..=8099), [(8000, 10), (8064, 11), (8096, 14)]);
        assert_eq!(prefixes(65_535..=65_535), [(65_535, 16)]);
        assert_eq!(prefixes(1..=65_534).len(), 30);
    }

    proptest! {
        #[test]
        fn each_port_is_in_one_prefix(a in any::<u16>(), b in any::<u16>(), port in any::<u16>()) {
            let range = a.min(b)..=a.max(b);
            let prefixes = prefixes(range.clone());
            let mask = |bits: u8| u16::MAX.checked_shl(16 - u32::from(bits)).unwrap_or(0);
            let hits = prefixes.iter().filter(|(first, bits)| port & mask(*bits) == *first).count();
            prop_assert_eq!(hits, usize::from(range.contains(&port)));
        }
    }
}
