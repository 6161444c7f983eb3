//! Where things lie in this workspace.

use std::path::{Path, PathBuf};

/// The root of the workspace, as an absolute path.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest
        .parent()
        .map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// Where the tools live that a build needs and the machine does not have.
///
/// Absolute: it ends up in an rpath. `lb-userspace/build.rs` looks in the same place.
pub fn tools() -> PathBuf {
    match std::env::var_os("LB_TOOLS_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target/tools"),
    }
}
