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

/// Turns transmit checksum offload off, as `ethtool -K DEV tx off` does.
///
/// With it on, a veth sends partial checksums, which an XDP program on the other end carries on as wrong ones.
pub fn tx_checksum_off(netns: &Netns, device: &str) -> Result<()> {
    netns
        .run(|| set_tx_checksum(device, false))
        .with_context(|| format!("{} of {}: cannot turn tx offload off", device, netns.name()))
}

/// `struct ethtool_value` of `linux/ethtool.h`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    value: u32,
}

/// `ETHTOOL_STXCSUM` of `linux/ethtool.h`.
const SET_TX_CHECKSUM: u32 = 0x17;

fn set_tx_checksum(device: &str, is_on: bool) -> Result<()> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let mut value = EthtoolValue {
        command: SET_TX_CHECKSUM,
        value: is_on.into(),
    };
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
    Ok(())
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
    fn tx_offload_goes_off() -> Result<()> {
        crate::needs_root!();
        crate::needs!(program::ip().is_ok(), "needs iproute2");
        let netns = Netns::create(&format!("lb-{}-link", std::process::id()))?;
        let lines = ["link add name veth0 type veth peer name veth1".to_owned()];
        ip(&netns, &lines)?;
        tx_checksum_off(&netns, "veth0")?;
        assert!(tx_checksum_off(&netns, "nosuch").is_err());
        Ok(())
    }
}
