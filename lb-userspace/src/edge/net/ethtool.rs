//! What an interface does with checksums.

use std::io;

use rustix::fd::AsRawFd;
use rustix::net::{AddressFamily, SocketType, socket};

/// ETHTOOL_GTXCSUM of linux/ethtool.h.
const GET_TX_CHECKSUM: u32 = 0x16;

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    cmd: u32,
    data: u32,
}

/// Whether an interface leaves the checksums of packets that this host sends to the hardware. A veth pair has no hardware:
/// what its far end gets then are checksums that were never completed, and no XDP program can complete them.
///
/// Error `ENODEV` if there is no such interface.
pub fn tx_checksum_offload(interface: &str) -> io::Result<bool> {
    let name = interface.as_bytes();
    if name.is_empty() || name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    let mut value = EthtoolValue {
        cmd: GET_TX_CHECKSUM,
        data: 0,
    };
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: (&raw mut value).cast(),
        },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: `request` names an interface in a string with a zero at its end, and points to `value`, which is laid out as
    // the command says; the kernel writes to both only while the call lasts, and both outlive it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(value.data != 0)
}
