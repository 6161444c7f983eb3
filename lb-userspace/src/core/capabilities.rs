//! What the kernel can do for the data plane.

/// What the kernel can do, of what not every supported one can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Release of the kernel: `5.10.0-46-amd64`.
    pub kernel: String,
    /// Whether BPF has an atomic compare-exchange (Linux 5.12), which the flow table of `fullnat` is made of.
    pub flow_table: bool,
}

/// What the kernel lacks where there is no flow table.
pub(super) const NO_COMPARE_EXCHANGE: &str = "no atomic compare-exchange in BPF (needs 5.12)";

impl Capabilities {
    /// Those of a kernel that can do everything: for a document that is looked at without a data plane.
    pub fn all() -> Self {
        Self {
            kernel: String::new(),
            flow_table: true,
        }
    }

    /// What the kernel cannot do, and what follows, a line each.
    pub fn warnings(&self) -> Vec<String> {
        let kernel = &self.kernel;
        let no_flow_table = || format!("kernel {kernel}: {NO_COMPARE_EXCHANGE}: mode fullnat is not available");
        (!self.flow_table).then(no_flow_table).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_lacks_is_said() {
        let old = Capabilities {
            kernel: "5.10.0-46-amd64".into(),
            flow_table: false,
        };
        assert_eq!(
            old.warnings(),
            ["kernel 5.10.0-46-amd64: no atomic compare-exchange in BPF (needs 5.12): mode fullnat is not available"]
        );
        assert_eq!(Capabilities::all().warnings(), [] as [String; 0]);
    }
}
