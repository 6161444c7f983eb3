//! Archives that the kernel unpacks into its first file system: cpio's `newc` format, as the kernel's
//! `driver-api/early-userspace/buffer-format` describes it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_666;

/// An archive in the making. Everything in it belongs to root.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    number: u32,
    directories: BTreeSet<PathBuf>,
}

impl Archive {
    /// Adds a directory, and those above it.
    pub fn directory(&mut self, path: &Path) {
        let above: Vec<&Path> = path.ancestors().filter(|path| path.parent().is_some()).collect();
        for path in above.into_iter().rev() {
            if self.directories.insert(path.to_owned()) {
                self.entry(path, DIRECTORY, (0, 0), b"");
            }
        }
    }

    /// Adds a file with permissions such as `0o755`.
    pub fn file(&mut self, path: &Path, permissions: u32, content: &[u8]) {
        self.directory_of(path);
        self.entry(path, FILE | permissions, (0, 0), content);
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &Path, target: &str) {
        self.directory_of(path);
        self.entry(path, LINK, (0, 0), target.as_bytes());
    }

    /// Adds a character device by its major and minor number.
    pub fn device(&mut self, path: &Path, numbers: (u32, u32)) {
        self.directory_of(path);
        self.entry(path, CHARACTER_DEVICE, numbers, b"");
    }

    /// The archive, whole. Several of them, one after the other, are one to the kernel.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry(Path::new("TRAILER!!!"), 0, (0, 0), b"");
        self.bytes
    }

    fn directory_of(&mut self, path: &Path) {
        if let Some(parent) = path.parent() {
            self.directory(parent);
        }
    }

    fn entry(&mut self, path: &Path, mode: u32, (major, minor): (u32, u32), content: &[u8]) {
        const MAGIC: &[u8] = b"070701";
        let name = path.to_string_lossy();
        let name = name.trim_start_matches('/');
        self.number += 1;
        let fields = [
            self.number,
            mode,
            0, // user
            0, // group
            1, // links
            0, // time of change
            content.len() as u32,
            0, // device that it was on, major
            0, // and minor
            major,
            minor,
            name.len() as u32 + 1,
            0, // no checksum in this format
        ];
        self.bytes.extend_from_slice(MAGIC);
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether GNU cpio, which is another's, reads it.
    #[test]
    fn another_program_reads_it() -> anyhow::Result<()> {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        lb_lab::needs!(crate::shell::has_program("cpio"), "there is no cpio here");
        let mut archive = Archive::default();
        archive.file(Path::new("/a/b/odd"), 0o755, b"12345");
        archive.file(Path::new("/a/b/even"), 0o644, b"1234");
        archive.link(Path::new("/a/link"), "b/odd");
        archive.device(Path::new("/dev/null"), (1, 3));
        let mut cpio = Command::new("cpio");
        cpio.args(["-t", "-v", "--quiet"]);
        let mut child = cpio.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(&archive.finish())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        assert!(output.status.success());
        let listed = String::from_utf8(output.stdout)?;
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<Vec<String>> = listed.lines().map(words).collect();
        let is_there = |first: &str, last: &[&str]| {
            lines.iter().any(|line| {
                line[0] == first && line.ends_with(&last.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
            })
        };
        assert!(is_there("drwxr-xr-x", &["a/b"]), "{listed}");
        assert!(is_there("-rwxr-xr-x", &["a/b/odd"]), "{listed}");
        assert!(is_there("-rw-r--r--", &["a/b/even"]), "{listed}");
        assert!(is_there("lrwxrwxrwx", &["a/link", "->", "b/odd"]), "{listed}");
        assert!(is_there("crw-rw-rw-", &["dev/null"]), "{listed}");
        assert_eq!(lines.len(), 7, "{listed}");
        Ok(())
    }
}
