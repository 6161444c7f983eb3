//! A compiled BPF object, looked at without the kernel.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// An object and the shapes of its maps.
pub struct Object {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub maps: Maps,
}

/// Maps by name.
pub type Maps = BTreeMap<String, Shape>;

/// What a map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes.
    pub key: u32,
    /// Bytes.
    pub value: u32,
    pub entries: u32,
}

impl Object {
    /// Reads the object at `path`.
    ///
    /// # Errors
    ///
    /// There is no such file, or it is no BPF object.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let parsed = aya_obj::Object::parse(&bytes).with_context(|| {
            format!(
                "{} is no BPF object; name what clang -target bpf -c wrote",
                path.display()
            )
        })?;
        let shape = |map: &aya_obj::Map| Shape {
            key: map.key_size(),
            value: map.value_size(),
            entries: map.max_entries(),
        };
        let maps = parsed
            .maps
            .iter()
            .map(|(name, map)| (name.clone(), shape(map)))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            bytes,
            maps,
        })
    }

    /// Its file's name, without where that lies.
    pub fn name(&self) -> Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }
}

/// A map that an adapter needs, by name and by the bytes of its keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    pub name: &'static str,
    pub key: u32,
    pub value: u32,
}

impl Needed {
    pub const fn new(name: &'static str, key: u32, value: u32) -> Self {
        Self { name, key, value }
    }

    pub fn is_in(&self, maps: &Maps) -> bool {
        maps.get(self.name)
            .is_some_and(|shape| (shape.key, shape.value) == (self.key, self.value))
    }
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (keys of {} bytes, values of {})",
            self.name, self.key, self.value
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_known_by_its_name_and_its_shape() {
        let shape = Shape {
            key: 4,
            value: 16,
            entries: 9,
        };
        let maps = Maps::from([("stats".to_owned(), shape)]);
        assert!(Needed::new("stats", 4, 16).is_in(&maps));
        assert!(!Needed::new("stats", 4, 8).is_in(&maps));
        assert!(!Needed::new("status", 4, 16).is_in(&maps));
    }

    #[test]
    fn what_is_no_object_is_said_to_be_none() {
        let error = Object::read(Path::new("/proc/self/cmdline")).err().expect("no object");
        assert!(error.to_string().contains("is no BPF object"), "{error}");
        let error = Object::read(Path::new("/nonexistent")).err().expect("no file");
        assert!(error.to_string().contains("cannot read /nonexistent"), "{error}");
    }
}
