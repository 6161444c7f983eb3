//! The filesystem in which programs, links and maps are pinned.

use anyhow::Result;

use crate::shell;

/// Mounts the bpffs where it is missing. Needs root.
pub fn mount_bpffs() -> Result<()> {
    if lb_lab::bpffs::is_mounted()? {
        shell::already("bpffs");
        return Ok(());
    }
    shell::step("bpffs: mounting it at /sys/fs/bpf", lb_lab::bpffs::mount)
}
