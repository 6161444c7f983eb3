//! How a guest ends: with a byte at a port at which QEMU's `isa-debug-exit` listens.

/// That port.
pub const PORT: u16 = 0xf4;

/// What a guest has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All that was planned was done, and went well.
    Good = 0,
    /// All that was planned was done, and something failed.
    Bad = 1,
    /// The plan could not be carried out.
    Broken = 2,
}

impl Verdict {
    /// From the exit code of QEMU, which makes it odd; none when the guest ended in another way, by a panic for instance.
    pub fn from_exit_code(code: i32) -> Option<Self> {
        let all = [Self::Good, Self::Bad, Self::Broken];
        all.into_iter().find(|verdict| (*verdict as i32) << 1 | 1 == code)
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn an_even_code_is_no_verdict() {
        assert_eq!(Verdict::from_exit_code(1), Some(Verdict::Good));
        assert_eq!(Verdict::from_exit_code(3), Some(Verdict::Bad));
        assert_eq!(Verdict::from_exit_code(0), None);
        assert_eq!(Verdict::from_exit_code(9), None);
    }
}
