//! The directory of pins.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::DataplaneError;

/// Where the BPF file system belongs.
const BPFFS: &str = "/sys/fs/bpf";

/// Makes `dir`, and mounts the BPF file system where it is missing.
pub fn prepare(dir: &Path) -> Result<(), DataplaneError> {
    if dir.starts_with(BPFFS) && !is_bpffs(Path::new(BPFFS)) {
        let none: Option<&std::ffi::CStr> = None;
        rustix::mount::mount("bpf", BPFFS, "bpf", rustix::mount::MountFlags::empty(), none)
            .map_err(|error| DataplaneError::pin(BPFFS, format!("cannot mount the BPF file system: {error}")))?;
    }
    fs::create_dir_all(dir).map_err(|error| DataplaneError::pin(dir, error))?;
    if !is_bpffs(dir) {
        let _ = fs::remove_dir(dir);
        return Err(DataplaneError::pin(
            dir,
            "not on a BPF file system; choose a directory below /sys/fs/bpf (--pin-dir)",
        ));
    }
    Ok(())
}

/// Removes `dir` with everything pinned in it.
pub fn remove(dir: &Path) -> Result<(), DataplaneError> {
    match fs::remove_dir_all(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(DataplaneError::pin(dir, error)),
    }
}

fn is_bpffs(path: &Path) -> bool {
    /// `BPF_FS_MAGIC` of `linux/magic.h`.
    const MAGIC: u64 = 0xcafe_4a11;
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type as u64 == MAGIC)
}
