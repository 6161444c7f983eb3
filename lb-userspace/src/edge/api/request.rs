//! What the API asks the daemon's loop. The handlers own no state: the loop does.

use tokio::sync::oneshot;

use crate::core::edit::Edit;
use crate::core::view::{self, Problem};

/// A question or a change, with where to send the answer.
#[derive(Debug)]
pub enum Request {
    Status(Reply<view::Status>),
    Services(Reply<Vec<view::Service>>),
    Service {
        /// A name, or `VIP:PORT[/PROTOCOL]`.
        name: String,
        reply: Reply<Result<view::Service, Problem>>,
    },
    Interfaces(Reply<Vec<view::Interface>>),
    Reasons(Reply<Vec<view::ReasonCount>>),
    /// The base state as TOML.
    Config(Reply<String>),
    Snapshot(Reply<view::Snapshot>),
    /// Answered when the change is durable and in the maps.
    Edit {
        edit: Edit,
        /// Name of the user, or the number of one without a name.
        who: String,
        /// Say what would change, and change nothing.
        dry_run: bool,
        /// Refuse when the desired state is at another revision ([`Problem::revision_mismatch`]).
        if_revision: Option<u64>,
        reply: Reply<Result<view::Change, Problem>>,
    },
}

/// Where the answer to one request goes.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<Answer<T>>);

/// An answer, and the revision of the desired state that it speaks of.
#[derive(Debug)]
pub struct Answer<T> {
    pub revision: u64,
    pub value: T,
}

impl<T> Reply<T> {
    /// A place for an answer, and where it will be found.
    pub fn new() -> (Self, oneshot::Receiver<Answer<T>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }
    /// Answers. `revision` is the desired state's present one, after the change if there was one.
    pub fn send(self, revision: u64, value: T) {
        // Whoever asked may have gone; then nobody wants the answer.
        let _ = self.0.send(Answer { revision, value });
    }
}
