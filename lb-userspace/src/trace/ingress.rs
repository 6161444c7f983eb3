//! The interface that the packet comes in by.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::edge::dataplane;
use crate::edge::net::Link;

/// An interface that the data plane is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    pub index: u32,
    pub name: String,
    pub mac: [u8; 6],
}

/// All of them; at least one.
pub struct Attached {
    interfaces: Vec<Ingress>,
    pin_dir: PathBuf,
}

impl Attached {
    /// Those of the data plane pinned in `pin_dir`, of which `links` are this network namespace's.
    pub fn of(pin_dir: &Path, links: &[Link]) -> anyhow::Result<Self> {
        let pinned = dataplane::pinned_links(pin_dir)?;
        let dir = pin_dir.display();
        if pinned.is_empty() {
            bail!("the data plane pinned in {dir} is attached to no interface; attach it with: lb attach IFACE");
        }
        // An index says nothing by itself: every network namespace has an interface 2.
        let is_pinned = |link: &&Link| {
            pinned
                .iter()
                .any(|pin| pin.index == link.index && Some(pin.program) == link.xdp_program)
        };
        let interfaces: Vec<Ingress> = links.iter().filter(is_pinned).map(Ingress::from).collect();
        if interfaces.is_empty() {
            bail!(
                "the data plane pinned in {dir} is attached to no interface of this network namespace; \
                 enter the daemon's with: nsenter --net=FILE, or attach one with: lb attach IFACE"
            );
        }
        Ok(Self {
            interfaces,
            pin_dir: pin_dir.to_owned(),
        })
    }

    /// The one with this name; without one, that with this index, to which packets to the sender go; or else the first.
    pub fn choose(&self, name: Option<&str>, towards_sender: Option<u32>) -> anyhow::Result<&Ingress> {
        let Some(name) = name else {
            let way = self.interfaces.iter().find(|one| Some(one.index) == towards_sender);
            return Ok(way.unwrap_or(&self.interfaces[0]));
        };
        let Some(found) = self.interfaces.iter().find(|one| one.name == name) else {
            bail!(
                "{name}: the data plane pinned in {} is not attached to it; give one of {}",
                self.pin_dir.display(),
                self.names().join(", ")
            );
        };
        Ok(found)
    }

    fn names(&self) -> Vec<&str> {
        self.interfaces.iter().map(|one| one.name.as_str()).collect()
    }

    /// Names of all but this one.
    pub fn others(&self, than: &Ingress) -> Vec<String> {
        let others = self.names().into_iter().filter(|name| *name != than.name);
        others.map(str::to_owned).collect()
    }
}

impl From<&Link> for Ingress {
    fn from(link: &Link) -> Self {
        Self {
            index: link.index,
            name: link.name.clone(),
            mac: link.mac,
        }
    }
}
