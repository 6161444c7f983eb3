//! The desired state on disk: durable before a change is answered, and readable after whatever happened.
//!
//! A state directory holds
//!
//! - `state.json`: the document, with the version of its format and a checksum
//! - `state.json.1`: the one before
//! - `revisions/N.json`: the last [`REVISIONS`] of them, in the same format
//! - `lock`: held by the daemon that uses the directory, with its process number in it
//!
//! Each file is written beside its place, flushed to the disk, and renamed into its place; then the directory is flushed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::core::config::digest;
use crate::core::edit::Document;

/// Version of the format of `state.json`.
const VERSION: u32 = 1;
/// Old revisions that are kept.
pub const REVISIONS: usize = 100;

const STATE: &str = "state.json";
const PREVIOUS: &str = "state.json.1";
const HISTORY: &str = "revisions";

/// A state directory that belongs to this process until it is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// What a state directory held.
#[derive(Debug)]
pub struct Loaded {
    /// `None`: nothing was ever stored.
    pub document: Option<Document>,
    /// What an operator should know of: the last document could not be read, and the one before was taken.
    pub warning: Option<String>,
}

/// What goes wrong with a state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("state directory {}: {doing}: {source}; give another one with --state-dir, or mend this", path.display())]
    Io {
        path: PathBuf,
        doing: String,
        source: io::Error,
    },
    #[error("state directory {} is in use by {owner}; stop that, or give another one with --state-dir", path.display())]
    Locked { path: PathBuf, owner: String },
    #[error("{why}; {remedy}")]
    Damaged { why: String, remedy: String },
    #[error("{} is of version {version}, newer than this lb reads ({VERSION}); install the lb that wrote it", path.display())]
    Newer { path: PathBuf, version: u32 },
    #[error("revision {0} is not kept; the last {REVISIONS} are")]
    NoRevision(u64),
}

/// The file around a document.
#[derive(Serialize, Deserialize)]
struct Envelope {
    version: u32,
    /// [`digest`] of the document's text.
    checksum: String,
    document: Box<RawValue>,
}

/// Why a file holds no document.
enum Unreadable {
    Missing,
    Damaged(String),
    Fatal(StateError),
}

impl StateDir {
    /// Makes the directory if it is not there, and takes it for this process.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        let path = path.into();
        let failed = |doing: &str, source| StateError::Io {
            path: path.clone(),
            doing: doing.to_owned(),
            source,
        };
        let history = path.join(HISTORY);
        let made = fs::DirBuilder::new().recursive(true).mode(0o750).create(&history);
        made.map_err(|error| failed("cannot make it", error))?;
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(|error| failed("cannot flush it", error))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o640)
            .open(path.join("lock"));
        let mut lock = lock.map_err(|error| failed("cannot open lock", error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StateError::Locked {
                    owner: owner(&mut lock),
                    path,
                });
            }
            Err(error) => return Err(failed("cannot lock it", error.into())),
        }
        let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        noted.map_err(|error| failed("cannot write lock", error))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last document that was stored. If it cannot be read, the one before, with a warning.
    pub fn load(&self) -> Result<Loaded, StateError> {
        let why = match self.read(STATE) {
            Ok(document) => {
                return Ok(Loaded {
                    document: Some(document),
                    warning: None,
                });
            }
            Err(Unreadable::Fatal(error)) => return Err(error),
            Err(Unreadable::Missing) => None,
            Err(Unreadable::Damaged(why)) => Some(why),
        };
        match (self.read(PREVIOUS), why) {
            (Ok(document), why) => {
                let why = why.unwrap_or_else(|| format!("{} is missing", self.path.join(STATE).display()));
                let warning = format!("{why}; went on with revision {} of {PREVIOUS}", document.revision);
                Ok(Loaded {
                    document: Some(document),
                    warning: Some(warning),
                })
            }
            (Err(Unreadable::Fatal(error)), _) => Err(error),
            (Err(Unreadable::Missing), None) => Ok(Loaded {
                document: None,
                warning: None,
            }),
            (Err(Unreadable::Missing), Some(why)) => Err(self.damaged(why)),
            (Err(Unreadable::Damaged(previous)), None) => Err(self.damaged(previous)),
            (Err(Unreadable::Damaged(previous)), Some(why)) => Err(self.damaged(format!("{why}, and {previous}"))),
        }
    }

    /// Stores a document: when this returns, it is on the disk.
    pub fn store(&self, document: &Document) -> Result<(), StateError> {
        let text = seal(document);
        let history = self.path.join(HISTORY);
        // History first: a document counts as stored only once it is in `state.json`.
        self.replace(&history, &format!("{}.json", document.revision), &text, None)?;
        self.replace(&self.path, STATE, &text, Some(PREVIOUS))?;
        self.prune();
        Ok(())
    }

    /// Old revisions that are kept, in ascending order.
    pub fn revisions(&self) -> Result<Vec<u64>, StateError> {
        let entries =
            fs::read_dir(self.path.join(HISTORY)).map_err(|error| self.failed("cannot list revisions", error))?;
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
        let mut revisions: Vec<u64> = entries.filter_map(|entry| number(entry.ok()?)).collect();
        revisions.sort_unstable();
        Ok(revisions)
    }

    /// An old revision.
    pub fn revision(&self, revision: u64) -> Result<Document, StateError> {
        self.read(&format!("{HISTORY}/{revision}.json"))
            .map_err(|error| match error {
                Unreadable::Missing => StateError::NoRevision(revision),
                Unreadable::Damaged(why) => StateError::Damaged {
                    why,
                    remedy: "take another revision".to_owned(),
                },
                Unreadable::Fatal(error) => error,
            })
    }

    fn read(&self, name: &str) -> Result<Document, Unreadable> {
        read(&self.path, name)
    }

    /// Writes a file in whole; what stood in its place is kept as `previous`.
    fn replace(&self, directory: &Path, name: &str, text: &str, previous: Option<&str>) -> Result<(), StateError> {
        let (new, place) = (directory.join(format!("{name}.new")), directory.join(name));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o640)
                .open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            if let Some(previous) = previous {
                match fs::rename(&place, directory.join(previous)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            fs::rename(&new, &place)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(|error| self.failed(&format!("cannot write {name}"), error))
    }

    /// Drops the oldest revisions. What cannot be dropped now is dropped another time.
    fn prune(&self) {
        let revisions = self.revisions().unwrap_or_default();
        for revision in &revisions[..revisions.len().saturating_sub(REVISIONS)] {
            let _ = fs::remove_file(self.path.join(HISTORY).join(format!("{revision}.json")));
        }
    }

    fn damaged(&self, why: String) -> StateError {
        let path = self.path.display();
        let remedy = match self.revisions().unwrap_or_default().last() {
            Some(last) => format!("copy {path}/{HISTORY}/{last}.json to {path}/{STATE}"),
            None => format!("remove {path}/{STATE} and {path}/{PREVIOUS} to begin with the configuration file"),
        };
        StateError::Damaged { why, remedy }
    }

    fn failed(&self, doing: &str, source: io::Error) -> StateError {
        failed(&self.path, doing, source)
    }
}

/// The last document that was stored in a state directory, whoever it belongs to: for those who only look. `None`: there is none that can be
/// read.
pub fn look(path: &Path) -> Option<Document> {
    read(path, STATE).or_else(|_| read(path, PREVIOUS)).ok()
}

fn read(directory: &Path, name: &str) -> Result<Document, Unreadable> {
    let path = directory.join(name);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unreadable::Missing),
        Err(error) => {
            return Err(Unreadable::Fatal(failed(
                directory,
                &format!("cannot read {name}"),
                error,
            )));
        }
    };
    open_seal(&path, &text)
}

fn failed(path: &Path, doing: &str, source: io::Error) -> StateError {
    StateError::Io {
        path: path.to_owned(),
        doing: doing.to_owned(),
        source,
    }
}

fn owner(lock: &mut File) -> String {
    let mut text = String::new();
    // Only for the message: what cannot be read is not told.
    let _ = lock.rewind().and_then(|()| lock.read_to_string(&mut text));
    match text.trim().parse::<u32>() {
        Ok(pid) => format!("process {pid}"),
        Err(_) => "another process".to_owned(),
    }
}

fn seal(document: &Document) -> String {
    let document = serde_json::value::to_raw_value(document).expect("a document is text and numbers");
    let envelope = Envelope {
        version: VERSION,
        checksum: digest(document.get()),
        document,
    };
    serde_json::to_string(&envelope).expect("an envelope is text and numbers") + "\n"
}

fn open_seal(path: &Path, text: &[u8]) -> Result<Document, Unreadable> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let damaged = |why: &str| Unreadable::Damaged(format!("{} is damaged: {why}", path.display()));
    match serde_json::from_slice(text) {
        Ok(Versioned { version }) if version > VERSION => {
            return Err(Unreadable::Fatal(StateError::Newer {
                path: path.to_owned(),
                version,
            }));
        }
        Ok(_) => {}
        Err(error) => return Err(damaged(&error.to_string())),
    }
    let envelope: Envelope = serde_json::from_slice(text).map_err(|error| damaged(&error.to_string()))?;
    if digest(envelope.document.get()) != envelope.checksum {
        return Err(damaged("its checksum differs"));
    }
    serde_json::from_str(envelope.document.get()).map_err(|error| damaged(&error.to_string()))
}

#[cfg(test)]
mod tests;
