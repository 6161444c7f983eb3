//! The modes of the balancer.

/// How packets reach a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Fullnat,
    Nat,
    L2,
    Ipip,
    Gue,
}

impl Mode {
    pub const ALL: [Self; 5] = [Self::Fullnat, Self::Nat, Self::L2, Self::Ipip, Self::Gue];

    /// For whoever means none in particular: `fullnat`, which is the default of `lb`; on kernels that are older than what it
    /// needs, `l2`, which is laid out alike.
    pub fn usual() -> Self {
        let uname = rustix::system::uname();
        if can_fullnat(&uname.release().to_string_lossy()) {
            Self::Fullnat
        } else {
            Self::L2
        }
    }

    /// As the command line has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fullnat => "fullnat",
            Self::Nat => "nat",
            Self::L2 => "l2",
            Self::Ipip => "ipip",
            Self::Gue => "gue",
        }
    }

    /// Whether servers answer past the balancer, and so hold the VIP themselves.
    pub fn is_direct_return(self) -> bool {
        matches!(self, Self::L2 | Self::Ipip | Self::Gue)
    }

    /// Whether servers get packets with an outer header.
    pub fn is_tunnel(self) -> bool {
        matches!(self, Self::Ipip | Self::Gue)
    }
}

/// Whether a kernel of this release has what `fullnat` needs: that came with 5.12.
fn can_fullnat(release: &str) -> bool {
    let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_kernels() {
        let can = ["5.12.0", "5.15.0-91-generic", "6.1.0-56-amd64", "7.3.4", "10.0-rc1"];
        assert!(can.iter().all(|release| can_fullnat(release)));
        let cannot = ["5.10.0-46-cloud-amd64", "5.11.22", "4.19.0", "5.9.0", "unknown", ""];
        assert!(!cannot.iter().any(|release| can_fullnat(release)));
    }
}
