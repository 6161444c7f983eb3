//! The unix socket: its place, its rights, who is at the other end.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

use super::ApiError;

/// Read and write for owner and group.
const SOCKET_MODE: u32 = 0o660;

/// Who may use the socket where the configuration names no group.
const DEFAULT_GROUP: &str = "lb";

/// A socket that listens.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    guard: SocketFile,
}

/// The file of a socket; removed on drop, if it is still the same one.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl UnixSocket {
    /// Listens at `path`, whose directory is made where it is missing. A socket that nobody listens at is replaced. Whoever
    /// is in `group` may use it, where there is such a group; `None`: the group `lb`.
    pub fn bind(path: &Path, group: Option<&str>) -> Result<Self, ApiError> {
        let failed = |action| {
            let path = path.to_owned();
            move |cause| ApiError::Socket { action, path, cause }
        };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed("make the directory of"))?;
        }
        make_room(path)?;
        let listener = UnixListener::bind(path).map_err(failed("listen at"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed("set the rights of"))?;
        match group {
            Some(group) => give_to(path, group, true),
            None => give_to(path, DEFAULT_GROUP, false),
        }
        let inode = fs::metadata(path).map_err(failed("look at"))?.ino();
        Ok(Self {
            listener,
            guard: SocketFile {
                path: path.to_owned(),
                inode,
            },
        })
    }

    pub(super) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.guard)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket that nobody listens at.
fn make_room(path: &Path) -> Result<(), ApiError> {
    let failed = |action| {
        move |cause| ApiError::Socket {
            action,
            path: path.to_owned(),
            cause,
        }
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(ApiError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ApiError::InUse(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed("replace the abandoned socket"))
        }
        Err(error) => Err(failed("see whether a daemon listens at")(error)),
    }
}

/// Lets a group use the socket. Where there is no such group, only the owner's own group can; worth a word if somebody `asked`.
fn give_to(path: &Path, group: &str, asked: bool) {
    let number = fs::read_to_string("/etc/group")
        .ok()
        .and_then(|groups| number_of(&groups, group));
    let Some(number) = number else {
        if asked {
            tracing::warn!("there is no group {group}: only root may use {}", path.display());
        }
        return;
    };
    if let Err(error) = chown(path, None, Some(number)) {
        tracing::warn!("cannot give {} to the group {group}: {error}", path.display());
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    user: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let credentials: io::Result<_> = stream.io().peer_cred();
        Self {
            user: credentials.ok().map(|credentials| credentials.uid()),
        }
    }
}

impl Peer {
    /// The user's name, or its number where it has none.
    pub fn who(self) -> String {
        let Some(user) = self.user else {
            return "unknown".to_owned();
        };
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        name_of(&users, user).map_or_else(|| format!("uid {user}"), str::to_owned)
    }
}

/// Fields of the lines of `/etc/passwd` and `/etc/group`: name, password, number, ….
fn entries(text: &str) -> impl Iterator<Item = (&str, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?.parse().ok()?;
        Some((name, number))
    })
}

fn name_of(text: &str, number: u32) -> Option<&str> {
    entries(text).find(|entry| entry.1 == number).map(|entry| entry.0)
}

fn number_of(text: &str, name: &str) -> Option<u32> {
    entries(text).find(|entry| entry.0 == name).map(|entry| entry.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\n# broken\nanna:x:1000:1000::/home/anna:/bin/sh\n";

    #[test]
    fn names_and_numbers() {
        assert_eq!(name_of(USERS, 1000), Some("anna"));
        assert_eq!(name_of(USERS, 7), None);
        assert_eq!(number_of(USERS, "root"), Some(0));
        assert_eq!(number_of(USERS, "ann"), None);
    }
}
