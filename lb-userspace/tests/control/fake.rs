//! A daemon whose loop answers with fixed views and remembers what it was asked to change.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use lb_userspace::core::edit::Edit;
use lb_userspace::core::view::{Change, Problem};
use lb_userspace::edge::api::{self, Request, UnixSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::sample;

/// One change as the loop got it.
#[derive(Debug)]
pub struct Asked {
    pub edit: Edit,
    pub who: String,
    pub dry_run: bool,
    pub if_revision: Option<u64>,
}

/// A daemon at a socket of its own.
pub struct Daemon {
    pub socket: PathBuf,
    pub asked: mpsc::UnboundedReceiver<Asked>,
    tasks: Vec<JoinHandle<()>>,
}

impl Daemon {
    pub fn start() -> Self {
        let socket = place();
        let (requests, inbox) = mpsc::channel(8);
        let (asked_sender, asked) = mpsc::unbounded_channel();
        let server = UnixSocket::bind(&socket, Some("no-such-group")).unwrap();
        let tasks = vec![
            tokio::spawn(async move { api::serve(server, requests).await.unwrap() }),
            tokio::spawn(answer_all(inbox, asked_sender)),
        ];
        Self { socket, asked, tasks }
    }
    /// The change that was asked for last; there is one.
    pub fn last(&mut self) -> Asked {
        self.asked.try_recv().expect("the loop was asked for a change")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        if let Some(directory) = self.socket.parent() {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// A path for a socket, in a directory that does not exist yet.
pub fn place() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir()
        .join(format!("lb-control-{}-{number}", std::process::id()))
        .join("lb.sock")
}

/// Answers until nobody can ask any more.
pub async fn answer_all(mut inbox: mpsc::Receiver<Request>, asked: mpsc::UnboundedSender<Asked>) {
    while let Some(request) = inbox.recv().await {
        let revision = sample::REVISION;
        match request {
            Request::Status(reply) => reply.send(revision, sample::status()),
            Request::Services(reply) => reply.send(revision, vec![sample::service()]),
            Request::Service { name, reply } => reply.send(revision, service(&name)),
            Request::Interfaces(reply) => reply.send(revision, sample::interfaces()),
            Request::Reasons(reply) => reply.send(revision, sample::reasons()),
            Request::Config(reply) => reply.send(revision, sample::CONFIG.to_owned()),
            Request::Snapshot(reply) => reply.send(revision, sample::snapshot()),
            Request::Edit {
                edit,
                who,
                dry_run,
                if_revision,
                reply,
            } => {
                let verdict = decide(&edit, dry_run, if_revision);
                asked
                    .send(Asked {
                        edit,
                        who,
                        dry_run,
                        if_revision,
                    })
                    .unwrap();
                match verdict {
                    Some(verdict) => reply.send(revision, verdict),
                    // Never answered, and never given up: what `wait` is for.
                    None => std::mem::forget(reply),
                }
            }
        }
    }
}

fn service(name: &str) -> Result<lb_userspace::core::view::Service, Problem> {
    match name {
        "web" | "192.0.2.10:80/tcp" => Ok(sample::service()),
        _ => Err(Problem::not_found(format!("there is no service {name}; see lb list"))),
    }
}

/// What becomes of a change, by what it is about: a service called `stuck` is never answered for.
fn decide(edit: &Edit, dry_run: bool, if_revision: Option<u64>) -> Option<Result<Change, Problem>> {
    if let Some(expected) = if_revision.filter(|expected| *expected != sample::REVISION) {
        return Some(Err(Problem::revision_mismatch(expected, sample::REVISION)));
    }
    let (changed, plan) = match edit {
        Edit::ServiceRemove { service } if service == "stuck" => return None,
        Edit::ServiceRemove { service } if service == "gone" => {
            return Some(Err(Problem::not_found("there is no service gone; see lb list")));
        }
        Edit::Apply { text, .. } if text.contains("bad") => {
            let findings = vec![
                "<document>:1:1: unknown key \"bad\"".to_owned(),
                "<document>:2:1: port 0".to_owned(),
            ];
            return Some(Err(
                Problem::invalid("2 errors; nothing was changed").with_findings(findings)
            ));
        }
        Edit::State { backend, .. } if backend == "web-1" => (false, Vec::new()),
        _ => (true, vec!["~ service web".to_owned()]),
    };
    let revision = sample::REVISION + u64::from(changed);
    Some(Ok(Change {
        revision,
        changed,
        dry_run,
        plan,
        warnings: Vec::new(),
    }))
}
