//! The filesystem in which programs, links and maps are pinned.

use anyhow::{Context as _, Result};
use rustix::mount::MountFlags;

/// Where it is mounted.
pub const MOUNT_POINT: &str = "/sys/fs/bpf";

/// Whether the bpffs is mounted at its usual place.
pub fn is_mounted() -> Result<bool> {
    let stat = rustix::fs::statfs(MOUNT_POINT)
        .with_context(|| format!("{MOUNT_POINT} cannot be read; is this kernel built with BPF and sysfs mounted?"))?;
    Ok(stat.f_type == libc::BPF_FS_MAGIC)
}

/// Mounts the bpffs where it is missing. Needs root.
pub fn mount() -> Result<()> {
    if is_mounted()? {
        return Ok(());
    }
    rustix::mount::mount("bpf", MOUNT_POINT, "bpf", MountFlags::empty(), None)
        .with_context(|| format!("cannot mount the bpffs at {MOUNT_POINT}; are you root?"))
}
