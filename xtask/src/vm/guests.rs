//! Guests of the same file system, on different kernels.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::kernels::Kernel;
use super::machine::{Machine, Processor};
use super::root::{self, Root};

/// What is the same for all of them.
pub struct Guests {
    /// For the files of a run.
    dir: PathBuf,
    root: Vec<u8>,
}

impl Guests {
    pub fn new(root: &Root) -> Result<Self> {
        let dir = super::directory()?.join("run");
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        let root = root.archive()?;
        Ok(Self { dir, root })
    }

    /// A machine with this kernel, and with an archive of its own beside the common one.
    pub fn machine(&self, kernel: &Kernel, processor: Processor, own: &[u8]) -> Result<Machine> {
        let file = |what| self.file(kernel, what);
        let machine = Machine {
            processor,
            image: kernel.image(),
            archives: file("cpio"),
            console: file("console"),
            complaints: file("qemu"),
        };
        let mut archives = File::create(&machine.archives)?;
        archives.write_all(&self.root)?;
        archives.write_all(own)?;
        Ok(machine)
    }

    /// A file of the run on this kernel.
    pub fn file(&self, kernel: &Kernel, what: &str) -> PathBuf {
        self.dir.join(format!("{}.{what}", kernel.series.name))
    }

    /// Whether guests can run on the host's own processor. That there is a `/dev/kvm` proves nothing: it is tried.
    pub fn can_use_kvm(&self, kernel: &Kernel) -> Result<bool> {
        if !Path::new("/dev/kvm").exists() {
            return Ok(false);
        }
        let machine = self.machine(kernel, Processor::Kvm, &root::of_kernel(kernel, &[], "")?)?;
        machine.is_good()
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        // The archives are large, and made anew by every run; what was said stays.
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "cpio") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
