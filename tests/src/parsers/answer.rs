//! What servers answer to checks: the verdict does not hang on how the bytes come, and a good one has its reason in them.

use lb_userspace::core::observed::CheckCode;
use lb_userspace::edge::probe::check::ask;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

/// The status and the text that are looked for.
const STATUS: (u16, u16) = (200, 299);
const TEXT: &str = "alive";

pub fn any(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let at_once = runtime.block_on(verdict(bytes, bytes.len().max(1)));
    let in_pieces = runtime.block_on(verdict(bytes, TEXT.len() - 1));
    assert_eq!(at_once, in_pieces);
    match at_once {
        CheckCode::L7OK => {
            assert!(has_good_status(bytes), "no such status");
            assert!(has_in_order(bytes, TEXT.as_bytes()), "no such text");
        }
        CheckCode::L7STS | CheckCode::L7RSP => {}
        other => panic!("{other:?} of an answer"),
    }
}

/// What is made of an answer that comes in pieces of so many bytes.
async fn verdict(bytes: &[u8], piece: usize) -> CheckCode {
    let (near, far) = duplex(piece);
    let statuses = [STATUS];
    let asked = ask(near, "/healthz", "lb", &statuses, Some(TEXT));
    let ((code, detail), ()) = tokio::join!(asked, serve(far, bytes));
    super::is_one_line(&detail);
    code
}

/// Reads a request to its end, answers, and ends the connection. Whoever asked may have left.
async fn serve(mut connection: DuplexStream, answer: &[u8]) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let _ = connection.write_all(answer).await;
}

/// Whether there is a status line with one that is looked for; it may come after others, that say to go on.
fn has_good_status(bytes: &[u8]) -> bool {
    let lines = bytes.windows(12).filter(|window| window.starts_with(b"HTTP/1."));
    let codes = lines.filter_map(|line| str::from_utf8(&line[9..]).ok()?.parse::<u16>().ok());
    codes.into_iter().any(|code| (STATUS.0..=STATUS.1).contains(&code))
}

/// Whether there are these bytes, with others between them: a chunk may end within the text.
fn has_in_order(bytes: &[u8], wanted: &[u8]) -> bool {
    let mut bytes = bytes.iter();
    wanted.iter().all(|wanted| bytes.any(|byte| byte == wanted))
}
