//! What can go wrong with the data plane, and what to do about it.

use std::path::{Path, PathBuf};

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    #[error("{0}")]
    Permission(String),
    #[error("the embedded program cannot be loaded: {0}")]
    Load(String),
    #[error("the kernel refuses the program: {0}")]
    Verifier(String),
    #[error("the kernel does not run a packet through the program: {0}")]
    Run(String),
    #[error("the embedded object is not what this lb expects: {0}")]
    Object(String),
    #[error("map {name}: {reason}")]
    Map { name: String, reason: String },
    #[error("{path}: {reason}")]
    Pin { path: PathBuf, reason: String },
    #[error(
        "the data plane pinned in {path} has ABI version {found}, this lb has {own}; \
         start the lb that made it, or remove it with: rm -r {path} (its packets stop being balanced)"
    )]
    Abi { path: PathBuf, found: u32, own: u32 },
    #[error("{interface}: no such interface; see: lb interfaces, or ip link")]
    NoInterface { interface: String },
    #[error("{interface}: {reason}")]
    Attach { interface: String, reason: String },
}

/// Whether an error, or what caused it, is this system error.
pub(super) fn caused_by(error: &(dyn std::error::Error + 'static), code: i32) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.raw_os_error() == Some(code)
        {
            return true;
        }
        next = error.source();
    }
    false
}

const PERMISSION: &str = "not permitted to use BPF: run as root, or with CAP_BPF and CAP_NET_ADMIN \
                          (setcap cap_bpf,cap_net_admin+ep lb, or AmbientCapabilities= in the unit)";

/// The error with all that caused it, on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text.replace('\n', " ")
}

/// The instruction that the verifier refused and what it says of it: the end of its log, without its statistics.
fn refused(log: &str) -> String {
    const STATISTICS: [&str; 3] = ["processed ", "verification time ", "stack depth "];
    let is_said = |line: &&str| !STATISTICS.iter().any(|begin| line.starts_with(begin)) && !line.trim().is_empty();
    let last: Vec<&str> = log.lines().filter(is_said).collect();
    last[last.len().saturating_sub(2)..].join("; ")
}

impl DataplaneError {
    pub(super) fn load(error: EbpfError) -> Self {
        if caused_by(&error, libc::EPERM) || caused_by(&error, libc::EACCES) {
            return Self::Permission(PERMISSION.into());
        }
        Self::Load(chain(&error))
    }

    pub(super) fn program(error: ProgramError) -> Self {
        if let ProgramError::LoadError { io_error, verifier_log } = &error {
            let log = verifier_log.to_string();
            if io_error.raw_os_error() == Some(libc::EPERM) && log.trim().is_empty() {
                return Self::Permission(PERMISSION.into());
            }
            return Self::Verifier(format!("{io_error}: {}", refused(&log)));
        }
        Self::Verifier(chain(&error))
    }

    pub(super) fn run(error: ProgramError) -> Self {
        Self::Run(chain(&error))
    }

    pub(super) fn map(name: &str, error: MapError) -> Self {
        Self::Map {
            name: name.into(),
            reason: chain(&error),
        }
    }

    /// A map that the kernel does not make.
    pub(super) fn create(name: &str, error: std::io::Error) -> Self {
        if error.raw_os_error() == Some(libc::EPERM) {
            return Self::Permission(PERMISSION.into());
        }
        Self::io(name, error)
    }

    pub(super) fn io(name: &str, error: std::io::Error) -> Self {
        Self::Map {
            name: name.into(),
            reason: error.to_string(),
        }
    }

    /// A pinned map that cannot be opened.
    pub(super) fn open(path: &Path, error: MapError) -> Self {
        if caused_by(&error, libc::EPERM) || caused_by(&error, libc::EACCES) {
            return Self::Permission(PERMISSION.into());
        }
        Self::pin(path, chain(&error))
    }

    pub(super) fn pin(path: impl Into<PathBuf>, error: impl std::fmt::Display) -> Self {
        Self::Pin {
            path: path.into(),
            reason: error.to_string(),
        }
    }

    /// Why a program could not be attached, in an operator's words.
    pub(super) fn attach(interface: &str, error: &ProgramError, native: bool) -> Self {
        let interface = interface.to_owned();
        if matches!(error, ProgramError::UnknownInterface { .. }) || caused_by(error, libc::ENODEV) {
            return Self::NoInterface { interface };
        }
        let reason = if caused_by(error, libc::EBUSY) || caused_by(error, libc::EEXIST) {
            format!("another XDP program is attached; remove it first (ip link set dev {interface} xdp off)")
        } else if native && caused_by(error, libc::EOPNOTSUPP) {
            "its driver has no native XDP; attach with --xdp generic (slower), or use another interface".into()
        } else if caused_by(error, libc::EPERM) {
            PERMISSION.into()
        } else {
            chain(error)
        };
        Self::Attach { interface, reason }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_refused_instruction_is_named() {
        let log = "0: (b7) r0 = 0\n1: (db) lock *(u64 *)(r2 +0) = r1\nBPF_STX uses reserved fields\n\
                   verification time 843 usec\nstack depth 0\nprocessed 0 insns (limit 1000000)\n";
        let wanted = "1: (db) lock *(u64 *)(r2 +0) = r1; BPF_STX uses reserved fields";
        assert_eq!(super::refused(log), wanted);
        assert_eq!(super::refused(""), "");
    }
}
