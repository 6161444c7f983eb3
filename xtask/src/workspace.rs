//! Where things lie in this workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::shell::{self, cargo};

/// The root of the workspace, as an absolute path.
pub fn root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf)
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

/// Cargo's target directory, by asking cargo: a variable or a configuration file may have moved it.
pub fn target() -> Result<PathBuf> {
    let mut metadata = cargo();
    metadata.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let text = shell::output(metadata.current_dir(root()))?;
    json_string(&text, "target_directory")
        .map(PathBuf::from)
        .context("`cargo metadata` names no target directory")
}

/// The value of the first string field of that name in cargo's JSON, whose paths need no unescaping on Linux.
pub fn json_string<'a>(json: &'a str, field: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{field}\":\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_cargos_json() {
        let json = r#"{"packages":[],"target_directory":"/a/target","version":1}"#;
        assert_eq!(json_string(json, "target_directory"), Some("/a/target"));
        assert_eq!(json_string(json, "version"), None);
    }
}
