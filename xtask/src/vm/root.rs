//! The file system of a guest: programs with their libraries, in an archive that the kernel unpacks.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use lb_guest::places;

use super::cpio::Archive;
use super::kernels::Kernel;
use crate::shell::{self, program};

/// What a guest has beside its kernel.
#[derive(Default)]
pub struct Root {
    /// Where each file lies in the guest, and on the host.
    files: BTreeMap<PathBuf, PathBuf>,
    links: BTreeMap<PathBuf, &'static str>,
}

/// busybox's programs that tests and labs start by name.
const BUSYBOX: [&str; 9] = [
    "cat",
    "kill",
    "nsenter",
    "sh",
    "sha256sum",
    "sleep",
    "true",
    "unshare",
    "which",
];

impl Root {
    /// With `lb`, the first process, which cargo builds beside it, busybox, and iproute2's `ip`.
    pub fn with_lb(lb: &Path) -> Result<Self> {
        let mut root = Self::default();
        root.own_program("lb", lb)?;
        let guest = stripped(&lb.with_file_name("lb-guest"), "lb-guest")?;
        root.program(Path::new("/init"), &guest)?;
        root.program(Path::new("/bin/busybox"), &find("busybox")?)?;
        root.host_program("ip")?;
        for name in BUSYBOX {
            root.links.insert(Path::new("/bin").join(name), "busybox");
        }
        Ok(root)
    }

    /// Adds a program of ours, where the guest looks for them.
    pub fn own_program(&mut self, name: &str, file: &Path) -> Result<()> {
        self.program(&Path::new(places::PROGRAMS).join(name), &stripped(file, name)?)
    }

    /// Adds a program of the host by its name, where the guest has what an administrator runs.
    pub fn host_program(&mut self, name: &str) -> Result<()> {
        self.program(&Path::new("/sbin").join(name), &find(name)?)
    }

    /// Adds a program of the host, and the libraries that it is linked to.
    fn program(&mut self, guest: &Path, host: &Path) -> Result<()> {
        self.files.insert(guest.to_owned(), host.to_owned());
        for library in libraries(host)? {
            self.files.insert(library.clone(), library);
        }
        Ok(())
    }

    /// Adds a directory of the host with all that is in it, at the same place.
    pub fn directory(&mut self, dir: &Path) -> Result<()> {
        for entry in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
            let path = entry?.path();
            match path.is_dir() {
                true => self.directory(&path)?,
                false => {
                    self.files.insert(path.clone(), path);
                }
            }
        }
        Ok(())
    }

    /// The archive. Not compressed: unpacking is what an emulated processor is slow at.
    pub fn archive(&self) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        // Before devtmpfs is mounted, the first process needs something for its standard streams.
        archive.device(Path::new("/dev/console"), (5, 1));
        archive.device(Path::new("/dev/null"), (1, 3));
        for (guest, host) in &self.files {
            let read = || format!("reading {}", host.display());
            let content = std::fs::read(host).with_context(read)?;
            let permissions = std::fs::metadata(host).with_context(read)?.permissions().mode() & 0o777;
            archive.file(guest, permissions, &content);
        }
        for (guest, target) in &self.links {
            archive.link(guest, target);
        }
        Ok(archive.finish())
    }
}

/// The archive of what differs between guests: the modules of a kernel, and the plan.
pub fn of_kernel(kernel: &Kernel, modules: &[&str], plan: &str) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    let mut list = String::new();
    for file in kernel.modules(modules)? {
        let name = file.file_name().context("a module has a name")?.to_string_lossy();
        let (name, content) = match name.strip_suffix(".xz") {
            Some(name) => (name, unpacked(&file)?),
            None => (&*name, std::fs::read(&file)?),
        };
        archive.file(&Path::new(places::MODULES).join(name), 0o644, &content);
        list.push_str(name);
        list.push('\n');
    }
    archive.file(Path::new(places::MODULE_LIST), 0o644, list.as_bytes());
    archive.file(Path::new(places::PLAN), 0o644, plan.as_bytes());
    Ok(archive.finish())
}

fn unpacked(file: &Path) -> Result<Vec<u8>> {
    let output = program("xz", ["--decompress", "--stdout"]).arg(file).output();
    let output = output.context("cannot run xz")?;
    anyhow::ensure!(output.status.success(), "xz {}: {}", file.display(), output.status);
    Ok(output.stdout)
}

/// A program of the host, by its name.
fn find(name: &str) -> Result<PathBuf> {
    lb_lab::program::find(name).with_context(|| format!("there is no `{name}` here"))
}

/// What ldd says that the program is linked to, the loader among it; nothing for a static one.
fn libraries(host: &Path) -> Result<Vec<PathBuf>> {
    let listed = Command::new("ldd").arg(host).output().context("cannot run ldd")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(listed.lines().filter_map(library).collect())
}

/// The path in `libc.so.6 => /lib/libc.so.6 (0x7f)` or in `/lib64/ld-linux-x86-64.so.2 (0x7f)`.
fn library(line: &str) -> Option<PathBuf> {
    let path = line.split_whitespace().find(|word| word.starts_with('/'))?;
    Some(PathBuf::from(path))
}

/// A copy of the program without what only a debugger needs, made anew where the program is newer.
fn stripped(program_file: &Path, name: &str) -> Result<PathBuf> {
    let copies = super::directory()?.join("stripped");
    let copy = copies.join(name);
    let changed = |file: &Path| std::fs::metadata(file).and_then(|metadata| metadata.modified());
    if changed(&copy).ok() < changed(program_file).ok() {
        std::fs::create_dir_all(&copies)?;
        let mut strip = program("strip", ["-o"]);
        shell::output(strip.arg(&copy).arg(program_file))?;
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ldd() {
        let library = |line| library(line).map(|path| path.display().to_string());
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007ffd)"), None);
        assert_eq!(
            library("\tlibc.so.6 => /lib/libc.so.6 (0x7f)").as_deref(),
            Some("/lib/libc.so.6")
        );
        assert_eq!(library("\t/lib64/ld.so.2 (0x7f)").as_deref(), Some("/lib64/ld.so.2"));
        assert_eq!(library("\tnot a dynamic executable"), None);
    }
}
