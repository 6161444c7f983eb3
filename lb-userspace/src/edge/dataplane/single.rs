//! The programs that need no daemon: `decap` on a backend, `pass` on the peer of a veth.
//!
//! Each is attached by a link that is pinned in `PIN_DIR/decap-INDEX` or `PIN_DIR/pass-INDEX`, with its maps.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::maps::{HashMap, LpmTrie, MapData, PerCpuArray, lpm_trie::Key};
use lb_common::abi::Address;
use lb_common::{encap, maps};

use super::{DataplaneError, bpffs, links, object};
use crate::core::model::XdpMode;
use crate::core::prefix::Prefix;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Single {
    Decap,
    Pass,
}

impl Single {
    fn name(self) -> &'static str {
        match self {
            Self::Decap => "decap",
            Self::Pass => "pass",
        }
    }

    fn dir(self, pin_dir: &Path, index: u32) -> PathBuf {
        pin_dir.join(format!("{}-{index}", self.name()))
    }
}

/// Which packets `decap` unpacks.
#[derive(Clone, Copy, Debug)]
pub struct Tunnels<'a> {
    /// Tunnels end at these addresses.
    pub local: &'a [IpAddr],
    /// Only from these; empty: from anyone.
    pub from: &'a [Prefix],
    /// UDP port at which those of `gue` end.
    pub gue_port: u16,
}

/// Attaches `decap` to `interface`, for tunnel packets.
///
/// # Errors
///
/// Attached already; and those of [`super::Dataplane::attach`].
pub fn attach_decap(pin_dir: &Path, interface: &str, tunnels: Tunnels<'_>, xdp: XdpMode) -> Result<(), DataplaneError> {
    attach(pin_dir, interface, Single::Decap, xdp, |dir| {
        let pins = [maps::DECAP_LOCAL, maps::DECAP_FROM, maps::DECAP_STATS].map(|name| (name, dir.join(name)));
        let mut ebpf = object::decap(tunnels, &pins)?;
        fill_decap(&mut ebpf, tunnels)?;
        Ok(ebpf)
    })
}

/// Tells `decap` which packets it is to unpack.
pub(super) fn fill_decap(ebpf: &mut Ebpf, tunnels: Tunnels<'_>) -> Result<(), DataplaneError> {
    let map = |name: &str, ebpf: &mut Ebpf| {
        ebpf.take_map(name)
            .ok_or_else(|| DataplaneError::Object(format!("no map {name}")))
    };
    let mut addresses: HashMap<_, [u64; 2], u32> = HashMap::try_from(map(maps::DECAP_LOCAL, ebpf)?)
        .map_err(|error| DataplaneError::map(maps::DECAP_LOCAL, error))?;
    for address in tunnels.local {
        addresses
            .insert(mapped(*address), 1, 0)
            .map_err(|error| DataplaneError::map(maps::DECAP_LOCAL, error))?;
    }
    let mut prefixes: LpmTrie<_, [u64; 2], u32> = LpmTrie::try_from(map(maps::DECAP_FROM, ebpf)?)
        .map_err(|error| DataplaneError::map(maps::DECAP_FROM, error))?;
    for prefix in tunnels.from {
        let before = if prefix.address.is_ipv4() { 96 } else { 0 };
        let key = Key::new(before + prefix.length as u32, mapped(prefix.address));
        prefixes
            .insert(&key, 1, 0)
            .map_err(|error| DataplaneError::map(maps::DECAP_FROM, error))?;
    }
    Ok(())
}

/// An address as `decap` has it.
fn mapped(address: IpAddr) -> [u64; 2] {
    let there = Address::from(address);
    match address {
        IpAddr::V4(_) => encap::mapped(there.as_v4()),
        IpAddr::V6(_) => there.as_v6(),
    }
}

/// Attaches `pass` to `interface`.
///
/// # Errors
///
/// Attached already; and those of [`super::Dataplane::attach`].
pub fn attach_pass(pin_dir: &Path, interface: &str) -> Result<(), DataplaneError> {
    attach(pin_dir, interface, Single::Pass, XdpMode::Native, |_| object::pass())
}

fn attach(
    pin_dir: &Path,
    interface: &str,
    single: Single,
    xdp: XdpMode,
    load: impl FnOnce(&Path) -> Result<Ebpf, DataplaneError>,
) -> Result<(), DataplaneError> {
    let index = links::index_of(interface)?;
    let dir = single.dir(pin_dir, index);
    if links::is_live(&dir.join("link")) {
        return Err(DataplaneError::Attach {
            interface: interface.into(),
            reason: format!(
                "{0} is attached already; detach it first (lb {0} detach {interface})",
                single.name()
            ),
        });
    }
    bpffs::remove(&dir)?;
    bpffs::prepare(&dir)?;
    let result = load(&dir).and_then(|mut ebpf| {
        let (link, _) = links::link(object::program(&mut ebpf, single.name())?, interface, xdp)?;
        let path = dir.join("link");
        // The pin is what keeps the link from now on.
        link.pin(&path)
            .map(drop)
            .map_err(|error| DataplaneError::pin(&path, error))
    });
    if result.is_err() {
        let _ = bpffs::remove(&dir);
    }
    result
}

/// Detaches `single` from `interface`.
///
/// # Errors
///
/// It is not attached there.
pub fn detach(pin_dir: &Path, interface: &str, single: Single) -> Result<(), DataplaneError> {
    let index = links::index_of(interface)?;
    let dir = single.dir(pin_dir, index);
    if !dir.exists() {
        return Err(DataplaneError::Attach {
            interface: interface.into(),
            reason: format!("{} is not attached (looked in {})", single.name(), pin_dir.display()),
        });
    }
    bpffs::remove(&dir)?;
    // Only goes if nothing else is pinned there.
    let _ = std::fs::remove_dir(pin_dir);
    Ok(())
}

/// Packets by outcome, in the order of [`maps::decap`].
///
/// # Errors
///
/// `decap` is not attached there.
pub fn decap_counters(pin_dir: &Path, interface: &str) -> Result<[u64; maps::decap::COUNT], DataplaneError> {
    let index = links::index_of(interface)?;
    let path = Single::Decap.dir(pin_dir, index).join(maps::DECAP_STATS);
    let data = MapData::from_pin(&path).map_err(|_| DataplaneError::Attach {
        interface: interface.into(),
        reason: format!("decap is not attached (looked in {})", pin_dir.display()),
    })?;
    let map = aya::maps::Map::from_map_data(data).map_err(|error| DataplaneError::map(maps::DECAP_STATS, error))?;
    read_decap(map)
}

/// The counters behind a handle on [`maps::DECAP_STATS`].
pub(super) fn read_decap(map: aya::maps::Map) -> Result<[u64; maps::decap::COUNT], DataplaneError> {
    let array = PerCpuArray::<_, u64>::try_from(map).map_err(|error| DataplaneError::map(maps::DECAP_STATS, error))?;
    let mut counters = [0; maps::decap::COUNT];
    for (index, counter) in counters.iter_mut().enumerate() {
        let values = array
            .get(&(index as u32), 0)
            .map_err(|error| DataplaneError::map(maps::DECAP_STATS, error))?;
        *counter = values.iter().sum();
    }
    Ok(counters)
}
