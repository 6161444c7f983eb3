//! From the first process of a kernel to a machine in which tests run, and its end.

use std::ffi::CString;
use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use lb_guest::verdict::Verdict;
use lb_guest::{places, verdict};
use lb_lab::program;
use rustix::mount::MountFlags;
use rustix::system::RebootCommand;

/// Type and place of each file system.
const FILE_SYSTEMS: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("bpf", lb_lab::bpffs::MOUNT_POINT),
    // Hides the kernel's descriptions of its types: the loader of BPF objects reads all of them at every start, though none of
    // ours has a use for them, and emulated that takes longer than the verifier.
    ("tmpfs", "/sys/kernel/btf"),
];

/// Whether this is the first process, and of a kernel that the host has started for us: what it does not know of its command
/// line it gives to the first process as its environment.
pub fn is_guest() -> bool {
    rustix::process::getpid().is_init() && std::env::var_os(places::SIGN).is_some()
}

/// Mounts what programs expect to be there.
pub fn mount() -> Result<()> {
    for (kind, place) in FILE_SYSTEMS {
        std::fs::create_dir_all(place)?;
        let mounted = rustix::mount::mount(kind, place, kind, MountFlags::empty(), None);
        mounted.with_context(|| format!("mounting {place}"))?;
    }
    // Nothing is mounted there: the root is memory, too, and holds the fixtures where the tests were built, wherever that is.
    std::fs::create_dir_all("/tmp")?;
    Ok(())
}

/// Loads the modules that the host has put there, in its order.
pub fn load_modules() -> Result<()> {
    let list = std::fs::read_to_string(places::MODULE_LIST).context("reading the list of modules")?;
    for name in list.lines() {
        let file = File::open(Path::new(places::MODULES).join(name)).with_context(|| format!("module {name}"))?;
        match rustix::system::finit_module(file, &CString::default(), 0) {
            // A module of instructions that this processor does not have; what needs it does without.
            Ok(()) | Err(rustix::io::Errno::NODEV) => {}
            Err(error) => return Err(error).with_context(|| format!("loading module {name}")),
        }
    }
    Ok(())
}

pub fn raise_loopback() -> Result<()> {
    let mut ip = std::process::Command::new(program::ip()?);
    program::output(ip.args(["link", "set", "lo", "up"])).map(drop)
}

/// As `uname -r` has it.
pub fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Seconds since the kernel began.
pub fn uptime_s() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/uptime")?;
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().context("reading /proc/uptime")
}

/// Ends the machine.
pub fn end(verdict: Verdict) -> ! {
    tell_qemu(verdict);
    // Only where nothing listens at that port.
    let _ = rustix::system::reboot(RebootCommand::PowerOff);
    loop {
        std::thread::park();
    }
}

/// Writes the verdict to the port at which `isa-debug-exit` listens. It does not return where that is.
fn tell_qemu(verdict: Verdict) {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: asks for the right to write to one port.
        if unsafe { libc::ioperm(verdict::PORT.into(), 1, 1) } != 0 {
            return;
        }
        // SAFETY: the port is ours by the call above, and nothing but the end of the machine is behind it.
        unsafe { std::arch::asm!("out dx, al", in("dx") verdict::PORT, in("al") verdict as u8) };
    }
}
