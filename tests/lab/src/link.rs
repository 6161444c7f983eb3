//! Links, addresses and routes.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use rustix::net::{AddressFamily, SocketType};

use crate::netns::Netns;
use crate::program;

/// Runs lines as of `ip -batch` in a namespace.
pub fn ip(netns: &Netns, lines: &[String]) -> Result<()> {
    let mut command = netns.command(program::ip()?)?;
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run ip")?;
    let mut stdin = child.stdin.take().context("ip has no input")?;
    stdin.write_all((lines.join("\n") + "\n").as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "in {}: ip failed: {}\n{}",
        netns.name(),
        String::from_utf8_lossy(&output.stderr).trim(),
        lines.join("\n")
    );
    Ok(())
}

/// What a device can be told to do, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// Leave checksums to the device: `tx`. With it on, a veth sends partial checksums, which an XDP program on the other end
    /// carries on as wrong ones.
    TransmitChecksum,
    /// Leave VLAN tags to the device: `txvlan`. With it on, a veth sends them beside the frame, where no XDP program sees them.
    TransmitVlan,
    /// Put segments that arrive together: `gro`. A veth takes frames from a devmap only with it on, or with an XDP program.
    Gro,
}

/// Turns an offload on or off, as `ethtool -K DEV tx off` does.
pub fn set_offload(netns: &Netns, device: &str, offload: Offload, is_on: bool) -> Result<()> {
    let to = if is_on { "on" } else { "off" };
    netns
        .run(|| set_in_this_namespace(device, offload, is_on))
        .with_context(|| format!("{device} of {}: cannot turn {offload:?} {to}", netns.name()))
}

/// `struct ethtool_value` of `linux/ethtool.h`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    value: u32,
}

/// `ETHTOOL_STXCSUM`, `ETHTOOL_SGRO`, `ETHTOOL_GFLAGS`, `ETHTOOL_SFLAGS` and `ETH_FLAG_TXVLAN` of `linux/ethtool.h`.
const SET_TX_CHECKSUM: u32 = 0x17;
const SET_GRO: u32 = 0x2c;
const GET_FLAGS: u32 = 0x25;
const SET_FLAGS: u32 = 0x26;
const FLAG_TX_VLAN: u32 = 1 << 7;

fn set_in_this_namespace(device: &str, offload: Offload, is_on: bool) -> Result<()> {
    match offload {
        Offload::TransmitChecksum => ethtool(device, SET_TX_CHECKSUM, is_on.into())?,
        Offload::Gro => ethtool(device, SET_GRO, is_on.into())?,
        Offload::TransmitVlan => {
            let others = ethtool(device, GET_FLAGS, 0)? & !FLAG_TX_VLAN;
            let own = if is_on { FLAG_TX_VLAN } else { 0 };
            ethtool(device, SET_FLAGS, others | own)?
        }
    };
    Ok(())
}

/// A command with a value, which the kernel may have changed.
fn ethtool(device: &str, command: u32, value: u32) -> Result<u32> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let mut value = EthtoolValue { command, value };
    let mut request = libc::ifreq {
        ifr_name: device_name(device)?,
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: (&raw mut value).cast(),
        },
    };
    // SAFETY: the request names a device and points to a value of the layout that the ethtool command asks for; both
    // live until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    ensure!(result == 0, std::io::Error::last_os_error());
    Ok(value.value)
}

/// A kind of device that not every kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    Vlan,
    Ipip,
    /// Foo over UDP, which an `ipip` device takes packets from.
    Fou,
}

/// Whether this kernel has them.
///
/// # Errors
///
/// No permission to try.
pub fn has(device: Device) -> Result<bool> {
    let name = format!("lb-{}-{device:?}-{:?}", std::process::id(), std::thread::current().id());
    let netns = Netns::create(&name.replace(['(', ')'], ""))?;
    let lines: &[&str] = match device {
        Device::Vlan => &[
            "link add name veth0 type veth peer name veth1",
            "link add link veth0 name veth0.1 type vlan id 1",
        ],
        Device::Ipip => &["link add name tunnel type ipip local 192.0.2.1"],
        Device::Fou => &[
            "fou add port 6080 gue",
            "link add name tunnel type ipip local 192.0.2.1",
        ],
    };
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    Ok(ip(&netns, &lines).is_ok())
}

/// A device's name as the kernel takes it: padded with zeroes, of which there is one at least.
fn device_name(device: &str) -> Result<[libc::c_char; libc::IFNAMSIZ]> {
    let mut name = [0; libc::IFNAMSIZ];
    ensure!(device.len() < name.len(), "{device}: too long for a device");
    for (to, from) in name.iter_mut().zip(device.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices() {
        let name = device_name("eth0").unwrap();
        assert_eq!(name[..5].iter().filter(|c| **c != 0).count(), 4);
        assert!(device_name("a-name-of-sixteen").is_err());
    }

    #[test]
    fn offloads_go_off_and_on() -> Result<()> {
        crate::needs_root!();
        crate::needs!(program::ip().is_ok(), "needs iproute2");
        let netns = Netns::create(&format!("lb-{}-link", std::process::id()))?;
        let lines = ["link add name veth0 type veth peer name veth1".to_owned()];
        ip(&netns, &lines)?;
        set_offload(&netns, "veth0", Offload::TransmitChecksum, false)?;
        set_offload(&netns, "veth0", Offload::Gro, true)?;
        set_offload(&netns, "veth0", Offload::TransmitVlan, false)?;
        assert_eq!(netns.run(|| ethtool("veth0", GET_FLAGS, 0))? & FLAG_TX_VLAN, 0);
        assert!(set_offload(&netns, "nosuch", Offload::Gro, true).is_err());
        Ok(())
    }
}
