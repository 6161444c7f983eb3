//! Attaching to interfaces, through links that are pinned and so outlive the daemon.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aya::programs::Xdp;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode as AyaMode};

use super::DataplaneError;
use super::error::caused_by;
use crate::core::model::XdpMode;

/// An interface with our program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    pub index: u32,
    /// `Native` or `Generic`.
    pub xdp: XdpMode,
}

/// The links by interface index.
#[derive(Default)]
pub struct Links(BTreeMap<u32, Link>);

struct Link {
    xdp: XdpMode,
    held: Held,
}

/// What keeps a link alive.
enum Held {
    /// Its pin, removed to detach; the file descriptor alone would go with this process.
    Pinned { path: PathBuf, _link: PinnedLink },
    /// This process alone.
    Here { _link: FdLink },
}

/// `link-INDEX-native`: names in the BPF file system hold no dot, names of interfaces may.
fn pin_name(index: u32, xdp: XdpMode) -> String {
    format!(
        "link-{index}-{}",
        if xdp == XdpMode::Generic { "generic" } else { "native" }
    )
}

fn parse_pin_name(name: &str) -> Option<(u32, XdpMode)> {
    let (index, xdp) = name.strip_prefix("link-")?.split_once('-')?;
    let xdp = match xdp {
        "native" => XdpMode::Native,
        "generic" => XdpMode::Generic,
        _ => return None,
    };
    Some((index.parse().ok()?, xdp))
}

/// A link that is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Index of its interface.
    pub index: u32,
    /// The kernel's identifier of the program that it runs.
    pub program: u32,
}

/// The links that are pinned in `dir`, in the order of their interfaces.
pub fn pinned(dir: &Path) -> Result<Vec<Pinned>, DataplaneError> {
    let entries = fs::read_dir(dir).map_err(|error| DataplaneError::pin(dir, error))?;
    let mut links = Vec::new();
    for entry in entries.flatten() {
        if let Some((index, _)) = entry.file_name().to_str().and_then(parse_pin_name) {
            let path = entry.path();
            let link = PinnedLink::from_pin(&path).map_err(|error| DataplaneError::pin(&path, error))?;
            let program = FdLink::from(link).info().map(|info| info.program_id());
            let program = program.map_err(|error| DataplaneError::pin(&path, error))?;
            links.push(Pinned { index, program });
        }
    }
    links.sort_by_key(|link| link.index);
    Ok(links)
}

impl Links {
    /// Takes over the links pinned in `dir`: each gets `program` instead of the one it has, in one step. Links whose interface
    /// is gone are removed.
    pub fn adopt(dir: &Path, program: &mut Xdp) -> Result<Self, DataplaneError> {
        let mut links = BTreeMap::new();
        let entries = fs::read_dir(dir).map_err(|error| DataplaneError::pin(dir, error))?;
        for entry in entries.flatten() {
            let Some((index, xdp)) = entry.file_name().to_str().and_then(parse_pin_name) else {
                continue;
            };
            let path = entry.path();
            let pinned = PinnedLink::from_pin(&path).map_err(|error| DataplaneError::pin(&path, error))?;
            match replace(program, pinned.into()) {
                Ok(()) => {
                    let link = PinnedLink::from_pin(&path).map_err(|error| DataplaneError::pin(&path, error))?;
                    links.insert(
                        index,
                        Link {
                            xdp,
                            held: Held::Pinned { path, _link: link },
                        },
                    );
                }
                Err(error) if caused_by(&error, libc::ENOLINK) => {
                    fs::remove_file(&path).map_err(|error| DataplaneError::pin(&path, error))?;
                }
                Err(error) => return Err(DataplaneError::pin(&path, error)),
            }
        }
        Ok(Self(links))
    }

    pub fn attached(&self) -> Vec<Attached> {
        self.0
            .iter()
            .map(|(index, link)| Attached {
                index: *index,
                xdp: link.xdp,
            })
            .collect()
    }

    pub fn attach(
        &mut self,
        pin_dir: Option<&Path>,
        program: &mut Xdp,
        interface: &str,
        xdp: XdpMode,
    ) -> Result<Attached, DataplaneError> {
        let index = index_of(interface)?;
        if let Some(link) = self.0.get(&index) {
            return Ok(Attached { index, xdp: link.xdp });
        }
        let (link, xdp) = link(program, interface, xdp)?;
        let held = match pin_dir {
            Some(dir) => {
                let path = dir.join(pin_name(index, xdp));
                // Left by an interface of the same index that is gone.
                let _ = fs::remove_file(&path);
                let link = link.pin(&path).map_err(|error| DataplaneError::pin(&path, error))?;
                Held::Pinned { path, _link: link }
            }
            None => Held::Here { _link: link },
        };
        self.0.insert(index, Link { xdp, held });
        Ok(Attached { index, xdp })
    }

    pub fn detach(&mut self, index: u32) -> Result<(), DataplaneError> {
        let Some(link) = self.0.remove(&index) else {
            return Ok(());
        };
        if let Held::Pinned { path, .. } = &link.held {
            fs::remove_file(path).map_err(|error| DataplaneError::pin(path, error))?;
        }
        Ok(())
    }

    pub fn detach_all(&mut self) -> Result<(), DataplaneError> {
        let indices: Vec<u32> = self.0.keys().copied().collect();
        indices.into_iter().try_for_each(|index| self.detach(index))
    }
}

/// The index of an interface in this network namespace.
pub fn index_of(interface: &str) -> Result<u32, DataplaneError> {
    let no_such = || DataplaneError::NoInterface {
        interface: interface.into(),
    };
    let name = std::ffi::CString::new(interface).map_err(|_| no_such())?;
    // SAFETY: a string that ends in NUL.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(no_such()),
        index => Ok(index),
    }
}

/// Whether a link is pinned at `path` whose interface still exists; a link without one is a leftover. The kernel shows that in
/// the `fdinfo` of an open link only: interface 0.
pub fn is_live(path: &Path) -> bool {
    let Ok(link) = PinnedLink::from_pin(path) else {
        return false;
    };
    let link = FdLink::from(link);
    let Ok(info) = link.info() else { return false };
    let own = format!("link_id:\t{}", info.id());
    let entries = fs::read_dir("/proc/self/fdinfo").into_iter().flatten().flatten();
    let shown = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let dead = |text: &String| text.lines().any(|line| line == own) && text.lines().any(|line| line == "ifindex:\t0");
    !shown.into_iter().any(|text| dead(&text))
}

fn replace(program: &mut Xdp, link: FdLink) -> Result<(), aya::programs::ProgramError> {
    let link =
        XdpLink::try_from(link).map_err(|error| aya::programs::ProgramError::IOError(std::io::Error::other(error)))?;
    let id = program.attach_to_link(link)?;
    // Dropped when the caller has opened the pin again: the pin holds the link meanwhile.
    program.take_link(id).map(drop)
}

/// A link on `interface`: native first where `Auto` lets us choose.
pub fn link(program: &mut Xdp, interface: &str, xdp: XdpMode) -> Result<(FdLink, XdpMode), DataplaneError> {
    let native = xdp != XdpMode::Generic;
    let id = match program.attach(interface, if native { AyaMode::Driver } else { AyaMode::Skb }) {
        Ok(id) => id,
        Err(error) if xdp == XdpMode::Auto && caused_by(&error, libc::EOPNOTSUPP) => {
            return link(program, interface, XdpMode::Generic);
        }
        Err(error) => return Err(DataplaneError::attach(interface, &error, native)),
    };
    let taken = program
        .take_link(id)
        .map_err(|error| DataplaneError::attach(interface, &error, native))?;
    let link = FdLink::try_from(taken).map_err(|_| DataplaneError::Attach {
        interface: interface.into(),
        reason: "this kernel has no links for XDP (needs 5.9)".into(),
    })?;
    Ok((link, if native { XdpMode::Native } else { XdpMode::Generic }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pin_names_round_trip() {
        for (index, xdp) in [(3, XdpMode::Native), (70000, XdpMode::Generic)] {
            assert_eq!(parse_pin_name(&pin_name(index, xdp)), Some((index, xdp)));
        }
        assert_eq!(parse_pin_name("SERVICES"), None);
    }
}
