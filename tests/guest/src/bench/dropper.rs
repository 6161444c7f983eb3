//! The smallest XDP program: it drops.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use lb_lab::Netns;

/// The program, loaded.
pub struct Dropper {
    program: OwnedFd,
}

/// While this is kept, the program is attached.
pub struct Attached(#[allow(dead_code, reason = "it is kept for what closing it does")] OwnedFd);

/// `struct bpf_insn`, with both registers in one byte.
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The attributes of `BPF_PROG_LOAD`, as far as they are needed.
#[repr(C)]
struct Load {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The attributes of `BPF_LINK_CREATE`.
#[repr(C)]
struct Link {
    program: u32,
    device: u32,
    attach_type: u32,
    flags: u32,
}

impl Dropper {
    pub fn load() -> Result<Self> {
        const BPF_PROG_LOAD: libc::c_int = 5;
        const BPF_PROG_TYPE_XDP: u32 = 6;
        const XDP_DROP: i32 = 1;
        let instruction = |code, immediate| Instruction {
            code,
            registers: 0,
            offset: 0,
            immediate,
        };
        // r0 = XDP_DROP; exit
        let instructions = [instruction(0xb7, XDP_DROP), instruction(0x95, 0)];
        let load = Load {
            program_type: BPF_PROG_TYPE_XDP,
            count: instructions.len() as u32,
            instructions: instructions.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: 0,
        };
        // SAFETY: the attributes of this command; what they point to outlives the call, which only reads it.
        let program = unsafe { bpf(BPF_PROG_LOAD, &load) };
        let program = program.context("loading the smallest program")?;
        Ok(Self { program })
    }

    /// Attaches it in the driver of a device.
    pub fn attach(&self, host: &Netns, device: u32) -> Result<Attached> {
        const BPF_LINK_CREATE: libc::c_int = 28;
        const BPF_XDP: u32 = 37;
        const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
        let link = Link {
            program: self.program.as_raw_fd() as u32,
            device,
            attach_type: BPF_XDP,
            flags: XDP_FLAGS_DRV_MODE,
        };
        // SAFETY: the attributes of this command, which point to nothing.
        let create = || Ok(unsafe { bpf(BPF_LINK_CREATE, &link) }?);
        host.run(create).context("attaching the smallest program").map(Attached)
    }
}

/// A command whose answer is a descriptor.
///
/// # Safety
///
/// `T` has the layout of the command's attributes, and what it points to is alive.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: by the caller; the kernel reads no more than it is told that there is.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that the kernel has just given, and that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}
