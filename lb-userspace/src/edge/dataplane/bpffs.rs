//! The directory of pins.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use lb_common::maps;

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

/// The right to write what is pinned in `dir`, for one process at a time. Ends with the file.
pub fn lock(dir: &Path) -> Result<File, DataplaneError> {
    let file = File::open(dir).map_err(|error| DataplaneError::pin(dir, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataplaneError::pin(
            dir,
            "in use by another lb daemon; stop it, or name another directory with --pin-dir",
        )),
        Err(TryLockError::Error(error)) => Err(DataplaneError::pin(dir, error)),
    }
}

/// Removes everything pinned in `dir`, not `dir` itself.
pub fn clear(dir: &Path) -> Result<(), DataplaneError> {
    let failed = |error| DataplaneError::pin(dir, error);
    // First what says that the rest is whole: cut short, the next start finds leftovers and begins anew.
    match fs::remove_file(dir.join(maps::META)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_file() {
            fs::remove_file(entry.path()).map_err(|error| DataplaneError::pin(entry.path(), error))?;
        }
    }
    Ok(())
}

/// Removes everything pinned in `dir`, and `dir` itself unless somebody else's directory is in it.
pub fn remove(dir: &Path) -> Result<(), DataplaneError> {
    if !dir.exists() {
        return Ok(());
    }
    clear(dir)?;
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => Err(DataplaneError::pin(dir, error)),
        _ => Ok(()),
    }
}

fn is_bpffs(path: &Path) -> bool {
    /// `BPF_FS_MAGIC` of `linux/magic.h`.
    const MAGIC: u64 = 0xcafe_4a11;
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type as u64 == MAGIC)
}
