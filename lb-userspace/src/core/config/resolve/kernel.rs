//! Rules that the kernel sets.

use super::Findings;
use super::service::Draft;
use crate::core::capabilities::{Capabilities, NO_COMPARE_EXCHANGE};
use crate::core::config::file::File;
use crate::core::config::words::wrong;
use crate::core::model::Mode;

/// `services` are those of the document, in its order.
pub fn check(file: &File, services: &[Draft], capabilities: &Capabilities, findings: &mut Findings) {
    if capabilities.flow_table {
        return;
    }
    for (service, draft) in file.service.iter().zip(services) {
        if draft.mode != Some(Mode::Fullnat) {
            continue;
        }
        let mode = match service.mode {
            Some(_) => "mode fullnat",
            None => "mode fullnat, the default,",
        };
        let kernel = &capabilities.kernel;
        let what = format!("{mode} is not available: kernel {kernel} has {NO_COMPARE_EXCHANGE}");
        let help = "use mode gue, ipip, l2 or nat, or a kernel from 5.12 on";
        findings.take(&draft.table, "mode", wrong::<()>(what, help));
    }
}
