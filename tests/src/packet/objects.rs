//! The objects that the balancer is built as: with the flow table of `fullnat`, and without it for kernels that refuse it.
//!
//! Where the kernel takes both, the modes that need no flow table are tested through both; where it does not, `fullnat` is left
//! out, and tests of nothing else are skipped.

use std::sync::OnceLock;

use lb_userspace::core::model::Mode;
use lb_userspace::edge::dataplane::capabilities;

use super::Setup;

/// Whether this kernel takes the object with the flow table.
pub fn has_flow_table() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| capabilities().flow_table)
}

/// Whether each object that this kernel takes has a flow table.
pub fn objects() -> impl Iterator<Item = bool> {
    [true, false]
        .into_iter()
        .filter(|flow_table| !flow_table || has_flow_table())
}

/// Those of `modes` that an object can do.
pub fn modes_with(flow_table: bool, modes: &[Mode]) -> Vec<Mode> {
    let can = |mode: &Mode| flow_table || *mode != Mode::Fullnat;
    modes.iter().copied().filter(can).collect()
}

/// Those of `modes` that this kernel can do.
pub fn possible(modes: &[Mode]) -> Vec<Mode> {
    modes_with(has_flow_table(), modes)
}

/// Each of `modes` through each object that can do it.
pub fn through(modes: &[Mode]) -> Vec<(Mode, Setup)> {
    let setup = |flow_table| Setup {
        flow_table,
        ..Setup::default()
    };
    let of = |flow_table| {
        modes_with(flow_table, modes)
            .into_iter()
            .map(move |mode| (mode, setup(flow_table)))
    };
    objects().flat_map(of).collect()
}

/// Skips the test it stands in unless we may use BPF, and this kernel takes the object with the flow table.
#[macro_export]
macro_rules! needs_flow_table {
    () => {
        $crate::needs_bpf!();
        lb_lab::needs!(
            $crate::packet::objects::has_flow_table(),
            "needs atomic compare-exchange in BPF (Linux 5.12)"
        )
    };
}
