//! Requests to the API: each is answered as HTTP has it, a refusal by a problem document; and what changes leaves a desired state
//! that is right as a whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lb_userspace::core::capabilities::Capabilities;
use lb_userspace::core::config::{Format, to_toml};
use lb_userspace::core::edit::{Document, Edit, apply};
use lb_userspace::core::model::SetBy;
use lb_userspace::core::view::{Change, Problem};
use lb_userspace::edge::api::{Request, UnixSocket, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// What there is before.
const BEFORE: &str = r#"
version = 1
[[service]]
name = "web"
address = "192.0.2.10"
port = 80
[[service.backend]]
name = "web-1"
address = "10.0.1.1"
[[service.backend]]
name = "web-2"
address = "10.0.1.2"
[[service]]
name = "dns"
address = "2001:db8::10"
port = 53
protocol = "udp"
mode = "ipip"
[[service.backend]]
address = "2001:db8:1::1"
"#;

/// Far longer than an answer takes: one that does not come is the finding.
const LIMIT: Duration = Duration::from_secs(60);

/// Headers that say where a request ends, which is known here.
const OURS: &[&str] = &["content-length", "transfer-encoding", "connection", "upgrade", "expect"];

/// The bytes are the method and the path, headers a line each, an empty line, and the body.
pub fn any(bytes: &[u8]) {
    let (head, body) = head_and_body(bytes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (answer, document) = runtime.block_on(exchange(&head, body));
    let is_head = head.starts_with(b"HEAD ");
    is_an_answer(&answer, is_head);
    is_right(&document);
}

/// A request's head as it goes over the wire, and its body.
fn head_and_body(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let (head, body) = match bytes.windows(2).position(|window| window == b"\n\n") {
        Some(end) => (&bytes[..end], &bytes[end + 2..]),
        None => (bytes, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let mut whole = [first, b" HTTP/1.1\r\nhost: lb\r\nconnection: close\r\n"].concat();
    let is_ours = |line: &[u8]| {
        let begins = |name: &str| {
            line.get(..name.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(name.as_bytes()))
        };
        OURS.iter().any(|name| begins(name))
    };
    for line in lines.filter(|line| !line.is_empty() && !is_ours(line)) {
        whole.extend_from_slice(line);
        whole.extend_from_slice(b"\r\n");
    }
    whole.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    (whole, body)
}

/// The answer, and the desired state after it.
async fn exchange(head: &[u8], body: &[u8]) -> (Vec<u8>, Document) {
    let place = Place::new();
    let (requests, inbox) = mpsc::channel(1);
    let path = place.socket();
    let socket = UnixSocket::bind(&path, None).expect("a socket");
    let mut document = before();
    let answer = tokio::select! {
        answer = tokio::time::timeout(LIMIT, ask(&path, head, body)) => answer.expect("an answer in time"),
        served = serve(socket, requests) => panic!("the API ended: {served:?}"),
        () = own(inbox, &mut document) => panic!("nobody asks any more"),
    };
    (answer, document)
}

async fn ask(socket: &Path, head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).await.expect("it listens");
    // It may have refused before it has read all.
    let _ = stream.write_all(&[head, body].concat()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

fn before() -> Document {
    let edit = Edit::Apply {
        text: BEFORE.to_owned(),
        format: Format::Toml,
    };
    let made = apply(&Document::empty(), &edit, &who("nobody"), &Capabilities::all());
    made.expect("it is right").document
}

fn who(who: &str) -> SetBy {
    SetBy {
        who: who.to_owned(),
        at: 0,
    }
}

/// Answers as the daemon does where a document is all that it takes; other questions are not answered.
async fn own(mut inbox: mpsc::Receiver<Request>, document: &mut Document) {
    while let Some(request) = inbox.recv().await {
        let present = document.revision;
        match request {
            Request::Config(reply) => reply.send(present, to_toml(&document.file)),
            Request::Edit {
                edit,
                who,
                dry_run,
                if_revision,
                reply,
            } => {
                let changed = match if_revision.filter(|expected| *expected != present) {
                    Some(expected) => Err(Problem::revision_mismatch(expected, present)),
                    None => change(document, &edit, &who, dry_run),
                };
                reply.send(document.revision, changed);
            }
            _ => {}
        }
    }
}

fn change(document: &mut Document, edit: &Edit, by: &str, dry_run: bool) -> Result<Change, Problem> {
    let outcome = apply(document, edit, &who(by), &Capabilities::all()).map_err(|refusal| {
        super::is_one_line(&refusal.to_string());
        Problem::invalid(refusal.to_string())
    })?;
    for line in &outcome.plan {
        super::is_one_line(line);
    }
    let change = Change {
        revision: outcome.document.revision,
        changed: outcome.changed,
        dry_run,
        plan: outcome.plan,
        warnings: outcome.warnings.iter().map(ToString::to_string).collect(),
    };
    if !dry_run {
        *document = outcome.document;
    }
    Ok(change)
}

/// The desired state resolves, is on disk as it is here, and its own save changes nothing of it.
fn is_right(document: &Document) {
    let resolved = document.resolve(&Capabilities::all());
    resolved.unwrap_or_else(|findings| panic!("{findings:?}"));
    let stored = serde_json::to_string(document).expect("tables, text and numbers");
    assert_eq!(
        serde_json::from_str::<Document>(&stored).expect("it was stored"),
        *document
    );
    let save = Edit::Apply {
        text: to_toml(&document.file),
        format: Format::Toml,
    };
    let again = apply(document, &save, &who("nobody"), &Capabilities::all());
    let again = again.unwrap_or_else(|refusal| panic!("its own save: {refusal}"));
    assert!(!again.changed, "its own save: {:?}", again.plan);
}

/// A status, and what it says with it: a problem document that agrees where something is refused.
fn is_an_answer(answer: &[u8], is_head: bool) {
    let shown = String::from_utf8_lossy(answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no head: {shown}"));
    let head = str::from_utf8(&answer[..end])
        .expect("a head is text")
        .to_ascii_lowercase();
    let status = head
        .strip_prefix("http/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {shown}"));
    let body = &answer[end + 4..];
    if status < 400 || is_head {
        return;
    }
    if body.is_empty() {
        // What is no HTTP never comes to a handler.
        assert!([400, 414, 431].contains(&status), "{shown}");
        return;
    }
    assert!(head.contains("application/problem+json"), "{shown}");
    let problem: Problem = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!(problem.status, status, "{shown}");
}

/// A directory for a socket, removed on drop.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lb-request-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("lb.sock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
